"""Listing by key ranges: workers list ranges at once, pages leave in key order."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from anyio.abc import TaskGroup

from refscan.errors import ListingOrderError
from refscan.manifest.receipt import RangeReceipt
from refscan.scan.buffer import Listed, RangeBuffer
from refscan.scan.ledger import KeyRange, Ledger
from refscan.scan.limits import LIST_CONCURRENCY
from refscan.scan.page import check_order, trim
from refscan.scan.tally import Tally
from refscan.sources.source import Source

__all__ = ["RangeListing"]


class RangeListing:
    """Lists a prefix of an ordered source.

    Args:
        source: Lists it.
        prefix: What all keys begin with.
        uri: What is listed, for errors.
        tally: Counts what is seen.
        bounds: Ascending keys that cut the key space into ranges to list at once.
    """

    def __init__(self, source: Source, prefix: str, uri: str, tally: Tally, bounds: Sequence[str] = ()) -> None:
        self._source = source
        self._prefix = prefix
        self._uri = uri
        self._tally = tally
        self._ledger = Ledger(bounds)
        self._buffers = {key_range.after: RangeBuffer() for key_range, _ in self._ledger}
        self._by_token = False

    def ranges(self) -> tuple[RangeReceipt, ...]:
        """Return the ranges that tile the key space, with the objects found in each."""
        return tuple(RangeReceipt(part.after, part.until, objects) for part, objects in self._ledger)

    def start(self, group: TaskGroup, sink: Callable[[Listed], Awaitable[None]], end: Callable[[], None]) -> None:
        """Begin listing; each page goes to ``sink``, in key order, and ``end`` is called behind the last one."""
        # First, so that it is the first range's turn before a page of it comes.
        group.start_soon(self._feed, sink, end)
        for _ in range(min(LIST_CONCURRENCY, len(self._buffers))):
            group.start_soon(self._work)

    async def _feed(self, sink: Callable[[Listed], Awaitable[None]], end: Callable[[], None]) -> None:
        after: str | None = ""
        while after is not None:
            while (page := await self._buffers[after].next()) is not None:
                await sink(page)
            after = self._ledger.following(after)
        end()

    async def _work(self) -> None:
        while (key_range := self._ledger.take()) is not None:
            await self._list(key_range)

    async def _list(self, key_range: KeyRange) -> None:
        """List one range to its end, or to where it was split."""
        start = reached = key_range.after
        seen = ""
        token: str | None = None
        while True:
            by_token = self._by_token
            until = self._ledger.until(start)
            self._tally.listing += 1
            try:
                page = await self._source.list_page(
                    self._prefix,
                    after="" if by_token else reached,
                    until=until,
                    token=token if by_token else None,
                )
            finally:
                self._tally.listing -= 1
            try:
                check_order(page.rows, seen if by_token else reached, self._uri)
            except ListingOrderError:
                if by_token:
                    raise
                # It does not begin behind a key, so its own tokens must lead through it, from the beginning.
                self._by_token, token, seen = True, None, ""
                continue
            seen = page.rows.column("key")[-1].as_py() if page.rows.num_rows else seen
            # The bound may have been lowered while the page was under way.
            until = self._ledger.until(start)
            rows = self._tally.keep(page, trim(page.rows, reached, until))
            await self._buffers[start].put(Listed(rows, page.complete))
            following = page.next_after
            if following is None or (until is not None and following >= until):
                self._ledger.finish(start, rows.num_rows)
                self._buffers[start].end()
                return
            if page.token in {None, token} if by_token else following <= reached:
                raise ListingOrderError(f"{self._uri}: the listing stands still at {reached!r}", uri=self._uri)
            token = page.token
            reached = max(reached, seen) if by_token else following
            self._ledger.advance(start, reached, rows.num_rows)
