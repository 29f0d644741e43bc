"""How many threads shall read files."""

from __future__ import annotations

import os

import pyarrow.compute as pc

from refscan.sources.source import Page

__all__ = ["MOST_THREADS", "Pace"]

MOST_THREADS = 32
"""More are of no use to one listing."""

_ENOUGH_FILES = 2_048
_ENOUGH_TIME = 0.2  # seconds
_MUCH_WAITING = 4.0  # time passed for each second computed; the interpreter lock alone may cost a factor of 2
_LARGE = 1 << 16  # bytes from which hashing, which needs no interpreter lock, outweighs opening


class Pace:
    """Finds it out from what one thread does alone.

    Small files in the cache are a matter of the interpreter lock, where more threads only get in each other's way.
    Threads that wait for a disk or a server leave it free, and so does the hashing of large files.
    """

    def __init__(self) -> None:
        self._files = self._bytes = 0
        self._computing = self._elapsed = 0.0

    def add(self, page: Page, computing: float, elapsed: float) -> None:
        """Note what reading the files of a page took: seconds computed, and seconds passed."""
        self._files += page.rows.num_rows
        self._bytes += pc.sum(page.rows.column("size")).as_py() or 0
        self._computing += computing
        self._elapsed += elapsed

    def threads(self) -> int:
        """Return the number; 1 until enough is known."""
        if self._files < _ENOUGH_FILES and self._elapsed < _ENOUGH_TIME:
            return 1
        waiting = self._elapsed / max(self._computing, self._elapsed / MOST_THREADS)
        if waiting > _MUCH_WAITING:
            return round(waiting)
        threads = (os.cpu_count() or 1) if self._bytes > _LARGE * self._files else 1
        self._files = self._bytes = 0
        self._computing = self._elapsed = 0.0
        return threads
