"""Where segments end: at rows that their neighbourhood singles out, wherever the manifest begins."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["LARGEST", "SMALLEST", "Bounds"]

SMALLEST = 8_192
"""Fewest rows of a segment, the last one excepted; on average there are twice as many."""

LARGEST = 4 * SMALLEST
"""Most rows of a segment."""


class Bounds:
    """Cuts a sequence of rows, known by the hashes of their paths, into segments.

    A segment ends at each row whose hash is the least within ``smallest - 1`` rows on either side. Whether a row is
    such a one depends on these rows alone: an insertion or a removal moves bounds in its own neighbourhood only, and
    two such rows are never closer than ``smallest``. Where the next one is farther away than ``largest``, which one gap
    in some hundreds is, the least hash that leaves enough rows on both sides ends a segment instead. Pages and batches
    play no part.

    (Local-minimum chunking: N. Bjørner, A. Blass, Y. Gurevich, "Content-dependent chunking for differential
    compression, the local maximum approach", 2010.)

    Args:
        smallest: Fewest rows of a segment, the last one excepted.
        largest: Most rows of a segment; at least twice ``smallest``.
    """

    def __init__(self, smallest: int = SMALLEST, largest: int = LARGEST) -> None:
        if smallest < 1 or largest < 2 * smallest:
            raise ValueError(f"segments of {smallest} to {largest} rows cannot be; the largest must be twice the least")
        self._reach = smallest - 1
        self._largest = largest
        self._hashes = np.empty(0, np.uint64)
        self._first = 0  # the row of the first hash that is kept
        self._start = 0  # the row that the segment begins with
        self._at = self._reach  # no row from the start up to here, itself excluded, is a least one

    def push(self, hashes: NDArray[np.uint64]) -> list[int]:
        """Take more rows, and return the lengths of the segments that are complete."""
        self._hashes = np.concatenate([self._hashes, hashes])
        known = self._first + len(self._hashes)
        lengths: list[int] = []
        while True:
            if self._at >= self._start + self._largest:
                lengths.append(self._cut_early())
            elif self._at + self._reach >= known:
                break
            else:
                least = self._least(self._at - self._reach, self._at + self._reach + 1)
                if least == self._at:
                    lengths.append(self._end_at(least))
                # Rows near the least one are none: they have it within their reach.
                self._at = least if least > self._at else least + self._reach + 1
        self._forget()
        return lengths

    def end(self) -> list[int]:
        """Return the lengths of the segments that are left."""
        known = self._first + len(self._hashes)
        lengths = []
        while known - self._start > self._largest:
            lengths.append(self._cut_early())
        if known > self._start:
            lengths.append(known - self._start)
        self._start = known
        return lengths

    def _cut_early(self) -> int:
        reach = self._reach
        return self._end_at(self._least(self._start + reach, self._start + self._largest - reach - 1))

    def _end_at(self, row: int) -> int:
        length, self._start = row + 1 - self._start, row + 1
        return length

    def _least(self, begin: int, end: int) -> int:
        """Return the row of the least hash of ``[begin, end)``; the first of equals."""
        return begin + int(np.argmin(self._hashes[begin - self._first : end - self._first]))

    def _forget(self) -> None:
        keep = min(self._start, self._at - self._reach)
        self._hashes = self._hashes[keep - self._first :]
        self._first = keep
