"""A hash of each path of a column, computed over the column's buffers."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

__all__ = ["path_hashes"]

_WORD = 8
_MOST_BYTES = 1_024
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
# The finalizer of MurmurHash3 (A. Appleby, public domain): every bit of the input moves every bit of the output.
_MIX = (np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53))
_SHIFT = np.uint64(33)
_MASKS = np.array([(1 << 8 * count) - 1 for count in range(_WORD + 1)], np.uint64)


def path_hashes(paths: pa.Array) -> NDArray[np.uint64]:
    """Return 64 bits for each text, which depend on nothing but its UTF-8 bytes.

    They are the same on every machine, in every release, wherever columns are cut: bounds of segments depend on them.
    Of a text longer than 1,024 bytes the last 1,024 and the length count.
    """
    if len(paths) == 0:
        return np.empty(0, np.uint64)
    offsets = np.frombuffer(paths.buffers()[1], "<i4", len(paths) + 1, paths.offset * 4).astype(np.int64)
    first, last = int(offsets[0]), int(offsets[-1])
    padded = np.zeros(last - first + _WORD, np.uint8)
    if last > first:
        padded[:-_WORD] = np.frombuffer(paths.buffers()[2], np.uint8, last - first, first)
    # A word at every byte.
    words: NDArray[np.uint64] = np.ndarray((last - first + 1,), "<u8", padded.data, strides=(1,))
    ends = offsets[1:] - first
    lengths = ends - (offsets[:-1] - first)
    return _mixed(_folded(words, ends, lengths))


def _folded(words: NDArray[np.uint64], ends: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Fold the words of each text into one; each round takes one word of all texts that have one left."""
    hashes = lengths.astype(np.uint64) * _MULTIPLIER
    left = np.minimum(lengths, _MOST_BYTES)
    at = ends - left
    rows: NDArray[np.int64] | None = None
    done = hashes
    while True:
        hashes = (hashes ^ (words[at] & _MASKS[np.minimum(left, _WORD)])) * _MULTIPLIER
        hashes ^= hashes >> _SHIFT
        at, left = at + _WORD, left - _WORD
        more = left > 0
        if more.all():
            continue
        if rows is None:
            rows, done = np.arange(len(hashes)), hashes.copy()
        else:
            done[rows] = hashes
        if not more.any():
            return done
        rows, hashes, at, left = rows[more], hashes[more], at[more], left[more]


def _mixed(hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    for factor in _MIX:
        hashes ^= hashes >> _SHIFT
        hashes *= factor
    return hashes ^ (hashes >> _SHIFT)
