"""The pages of one key range between its listing and its turn in key order."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import anyio
import pyarrow as pa

from refscan.scan.run_file import RunFile

__all__ = ["Listed", "RangeBuffer", "Room"]

_PAGES_AHEAD = 4
_BYTES_IN_MEMORY = 48 << 20


@dataclass(frozen=True, slots=True)
class Listed:
    """Rows of a page, and whether they hold all the source knows."""

    rows: pa.RecordBatch
    complete: bool


class Room:
    """Memory for the pages of all ranges that wait for their turn.

    Args:
        size: In bytes.
    """

    def __init__(self, size: int = _BYTES_IN_MEMORY) -> None:
        self._left = size

    def take(self, size: int) -> bool:
        """Take a part of it, if so much is left."""
        if size > self._left:
            return False
        self._left -= size
        return True

    def give_back(self, size: int) -> None:
        """Give back what was taken."""
        self._left += size


class RangeBuffer:
    """Pages of one range: in memory while there is room, the rest on disk until it is the range's turn.

    When it is, ``put`` waits for the reader: first until what is on disk was taken, then while a few pages are ahead.

    Args:
        room: Shared by all ranges.
        kept: Holds every page from the beginning of the range; without it, a file without a name holds those that
            are too many.
        pages: How many are in ``kept`` already.
    """

    def __init__(self, room: Room, kept: RunFile | None = None, *, pages: int = 0) -> None:
        self._room = room
        self._kept = kept is not None
        self._run = kept
        # Each with where it ends in the file that keeps them all, and the room it takes.
        self._pages: deque[tuple[Listed, int, int]] = deque()
        self._on_disk = pages
        self._read_to = 0
        self._its_turn = False
        self._ended = False
        self._changed: anyio.Event | None = None  # while somebody waits

    async def put(self, page: Listed, note: Mapping[str, object] | None = None) -> None:
        """Add a page; waits while it is the range's turn and the reader is behind.

        ``note`` is kept with it, and is kept even where the page has no rows.
        """
        if self._kept and self._run is not None:
            self._run.append({**(note or {}), "complete": page.complete}, page.rows)
        if page.rows.num_rows == 0 and not self._kept:
            return
        while self._its_turn and self._on_disk + len(self._pages) >= _PAGES_AHEAD:
            await self._wait()
        size = 0 if self._its_turn else page.rows.nbytes
        # Once one page is on disk only, later ones must follow it there to keep their order.
        if self._on_disk or not self._room.take(size):
            if not self._kept:
                self._run = self._run or RunFile()
                self._run.append({"complete": page.complete}, page.rows)
            self._on_disk += 1
        else:
            self._pages.append((page, self._run.end if self._run is not None else 0, size))
        self._wake()

    def end(self) -> None:
        """Note that the range is listed to its end."""
        self._ended = True
        if self._kept and self._run is not None:
            self._run.close()
        self._wake()

    async def _wait(self) -> None:
        self._changed = self._changed or anyio.Event()
        await self._changed.wait()

    def _wake(self) -> None:
        if self._changed is not None:
            self._changed.set()
            self._changed = None

    async def next(self) -> Listed | None:
        """Return the next page in key order, or ``None`` behind the last; calling it makes it the range's turn."""
        self._its_turn = True
        while True:
            page = self._take()
            if page is not None:
                self._wake()
                if page.rows.num_rows:
                    return page
            elif self._ended:
                return None
            else:
                await self._wait()

    def _take(self) -> Listed | None:
        if self._pages:
            page, self._read_to, size = self._pages.popleft()
            self._room.give_back(size)
            return page
        if not self._on_disk or self._run is None:
            return None
        record = self._run.read(self._read_to)
        self._read_to = record.end
        self._on_disk -= 1
        return Listed(record.rows, bool(record.header["complete"]))
