"""The pages of one key range between its listing and its turn in key order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import anyio
import pyarrow as pa

from refscan.scan.spool import Spool
from refscan.sources.source import PAGE_SCHEMA

__all__ = ["Listed", "RangeBuffer"]

_PAGES_IN_MEMORY = 4


@dataclass(frozen=True, slots=True)
class Listed:
    """Rows of a page, and whether they hold all the source knows."""

    rows: pa.RecordBatch
    complete: bool


class RangeBuffer:
    """Pages of one range: few in memory, the rest on disk until it is the range's turn.

    When it is, ``put`` waits for the reader: first until what is on disk was taken, then while a few pages are ahead.
    """

    def __init__(self) -> None:
        self._pages: deque[Listed] = deque()
        self._spool: Spool | None = None
        self._spooled: list[bool] = []
        self._from_disk: Iterator[Listed] | None = None
        self._ahead = 0
        self._its_turn = False
        self._ended = False
        self._changed = anyio.Event()

    async def put(self, page: Listed) -> None:
        """Add a page; waits while it is the range's turn and the reader is behind."""
        if page.rows.num_rows == 0:
            return
        while self._its_turn and self._ahead >= _PAGES_IN_MEMORY:
            await self._changed.wait()
        self._ahead += 1
        if self._spool is not None or (not self._its_turn and len(self._pages) >= _PAGES_IN_MEMORY):
            # Once one page is on disk, later ones must follow it there to keep their order.
            self._spool = self._spool or Spool(PAGE_SCHEMA, "key")
            self._spool.append(page.rows)
            self._spooled.append(page.complete)
        else:
            self._pages.append(page)
        self._wake()

    def end(self) -> None:
        """Note that the range is listed to its end."""
        self._ended = True
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    async def next(self) -> Listed | None:
        """Return the next page in key order, or ``None`` behind the last; calling it makes it the range's turn."""
        self._its_turn = True
        while True:
            page = self._take()
            if page is not None:
                self._ahead -= 1
                self._wake()
                return page
            if self._ended:
                return None
            await self._changed.wait()

    def _take(self) -> Listed | None:
        if self._from_disk is not None:
            page = next(self._from_disk, None)
            if page is not None:
                return page
            self._from_disk = None
        if self._pages:
            return self._pages.popleft()
        if self._spool is None:
            return None
        spool, self._spool = self._spool, None
        spool.seal()
        self._from_disk = map(Listed, spool, self._spooled)
        return self._take()
