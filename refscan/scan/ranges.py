"""Listing by key ranges: split while they are listed, so that all hands have work; pages leave in key order.

An idle hand takes the upper part of the range with the most left. It asks for the page behind a guessed pivot: if
there are keys, the range is cut there and the page is the first of the new one; if there are none, the range ends
below, which makes the next guess better. Meanwhile others may take parts of what lies below the pivot. The open-source
lister swath works so, with probes in the place of pages.
"""

from __future__ import annotations

import bisect
import math
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

import pyarrow as pa
from anyio.abc import TaskGroup

from refscan.errors import ListingOrderError, StoreError
from refscan.manifest.receipt import RangeReceipt
from refscan.scan.alphabet import Alphabet
from refscan.scan.buffer import Listed, RangeBuffer, Room
from refscan.scan.journal import Journal
from refscan.scan.ledger import Found, Ledger
from refscan.scan.limits import LIST_CONCURRENCY
from refscan.scan.load import Load
from refscan.scan.outlook import Outlook
from refscan.scan.page import check_order, trim
from refscan.scan.pressure import Pressure
from refscan.scan.run_file import Record
from refscan.scan.tally import Tally
from refscan.sources.source import Page, Source

__all__ = ["RangeListing"]

_SAMPLES = 5
_WORTH_CUTTING = 4.0
# Requests beyond those that one hand would need: so many, and for each page of the listing, as far as it is known.
_FREE = 1.5
_FREE_PER_PAGE = 0.044
# How soon what cuts may cost is held back for larger ranges: 0 never, 1 soon.
_THRIFT = 0.6
_FAR = 10
# What a cut costs: the lower part ends in the midst of a page.
_CUT = 0.45


class RangeListing:
    """Lists a prefix of an ordered source.

    Args:
        source: Lists it.
        prefix: What all keys begin with.
        uri: What is listed, for errors.
        tally: Counts what is seen.
        pressure: How many requests may be under way, of all scans of the bucket.
        bounds: Ascending keys that cut the key space into ranges to list at once.
        journal: Keeps what is listed, and may hold what was listed before.

    Raises:
        MaxObjectsExceededError: The journal holds more than the limit now.
    """

    def __init__(
        self,
        source: Source,
        prefix: str,
        uri: str,
        tally: Tally,
        pressure: Pressure,
        *,
        bounds: Sequence[str] = (),
        journal: Journal | None = None,
    ) -> None:
        self._source = source
        self._prefix = prefix
        self._uri = uri
        self._tally = tally
        self._journal = journal
        self._ledger = Ledger(bounds if journal is None else journal.bounds)
        self._room = Room()
        self._buffers: dict[str, RangeBuffer] = {}
        self._outlooks: dict[str, Outlook] = {}
        # Ascending: where somebody asks whether a range can be cut.
        self._pivots: list[str] = []
        self._alphabet = Alphabet(len(prefix))
        self.pages = 0
        if journal is not None:
            for after, pivot in journal.splits:
                self._ledger.split(after, pivot)
        for key_range, _ in list(self._ledger):
            self._open(key_range.after, Outlook())
        # Ranges that are given are listed at once in any case.
        pressure.raise_to(min(LIST_CONCURRENCY, len(bounds) + 1))
        self._pressure = pressure
        self._share = pressure.join(self._schedule)
        self._load = Load()
        self._by_token = False
        self._group: TaskGroup | None = None
        self.splits = 0
        self.misses = 0
        # In pages: how many requests more than one hand would have needed, so far.
        self._wasted = 0.0 if not self.pages else max(0.0, tally.requests(source) - self.pages)

    def ranges(self) -> tuple[RangeReceipt, ...]:
        """Return the ranges that tile the key space, with the objects found in each."""
        return tuple(
            RangeReceipt(part.after, part.until, found.objects, found.first, found.last) for part, found in self._ledger
        )

    @property
    def pages_left(self) -> float:
        """How many pages there seem to be besides those that were listed."""
        return sum(outlook.left for outlook in self._outlooks.values())

    @property
    def pages_guessed(self) -> float:
        """How many pages to tell a user of: a guess far above all that was listed is taken for less."""
        left, most = self.pages_left, _FAR * self.pages
        return left if left <= most else math.sqrt(left * most)

    @property
    def open_ranges(self) -> int:
        """Ranges that are not listed to their end."""
        return len(self._outlooks)

    def close(self) -> None:
        """Give up what it had of the requests under way, and its files; all tasks have ended."""
        self._share.leave()
        self._buffers.clear()

    def start(self, group: TaskGroup, sink: Callable[[Listed], Awaitable[None]], end: Callable[[], None]) -> None:
        """Begin listing; each page goes to ``sink``, in key order, and ``end`` is called behind the last one."""
        self._group = group
        # First, so that it is the first range's turn before a page of it comes.
        group.start_soon(self._feed, sink, end)
        self._schedule()

    def _open(self, after: str, outlook: Outlook) -> None:
        self._outlooks[after] = outlook
        if self._journal is None:
            self._buffers[after] = RangeBuffer(self._room)
            return
        run, pages = self._journal.run(after), 0
        for record in run.recover():
            self._restore(after, record)
            pages += 1
        self._buffers[after] = RangeBuffer(self._room, run, pages=pages)
        if self._ledger.is_done(after):
            del self._outlooks[after]
            self._buffers[after].end()

    def _restore(self, after: str, record: Record) -> None:
        """Take over a page that was listed before the scan was killed."""
        self.pages += 1
        note = record.header
        found = _found(record.rows)
        self._tally.restore(found.objects, note["skipped"], note["requests"])
        if found.first is not None and found.last is not None:
            self._alphabet.add([found.first, found.last])
        self._ledger.restore(after, note["reached"], found)

    async def _feed(self, sink: Callable[[Listed], Awaitable[None]], end: Callable[[], None]) -> None:
        after: str | None = ""
        while after is not None:
            while (page := await self._buffers[after].next()) is not None:
                await sink(page)
            done = after
            after = self._ledger.following(after)
            del self._buffers[done]
        end()

    def _schedule(self) -> None:
        """Give work to as many hands as there may be."""
        while self._group is not None and self._share.may_start() and not self._is_busy():
            key_range = self._ledger.take()
            if key_range is not None:
                self._share.start()
                self._group.start_soon(self._list_range, key_range.after)
                continue
            chosen = self._choose()
            if chosen is None:
                return
            self._share.start()
            victim, pivot = chosen
            bisect.insort(self._pivots, pivot)
            self._look(victim)
            self._group.start_soon(self._steal, pivot, self._ledger.until(victim))

    def _is_busy(self) -> bool:
        """Tell whether more hands would only wait for this thread; a few it has in any case."""
        return self._share.hands >= LIST_CONCURRENCY and self._load.is_full()

    def _choose(self) -> tuple[str, str] | None:
        """Return the range with the most left and where to cut it, if any is worth it."""
        if self._by_token or not self._source.capabilities.ranged:
            return None
        left = self.pages_left
        cuts = len(self._outlooks) + len(self._pivots)
        spent = (self._wasted + cuts * _CUT) / (_FREE + _FREE_PER_PAGE * (self.pages + left))
        if spent >= 1:
            return None
        # Who has less than a fair share has no work to give away.
        least = max(_WORTH_CUTTING, left / self._pressure.limit / (1 - spent) ** _THRIFT)
        for after, outlook in sorted(self._outlooks.items(), key=lambda item: -item[1].free):
            if outlook.free < least:
                return None
            if outlook.pages == outlook.tried_at:
                continue
            pivot = outlook.pivot(self._alphabet, self._asked(after) or self._ledger.until(after), self.pages)
            if pivot is not None and self._ledger.can_split(after, pivot):
                return after, pivot
            outlook.tried_at = outlook.pages
        return None

    def _asked(self, after: str) -> str | None:
        """Return the lowest key above what was listed of a range where somebody tries to cut it, if any does."""
        index, until = bisect.bisect_right(self._pivots, self._ledger.reached(after)), self._ledger.until(after)
        found = self._pivots[index] if index < len(self._pivots) else None
        return None if found is None or (until is not None and found >= until) else found

    def _look(self, after: str) -> None:
        """Guess anew what is left of a range."""
        if (outlook := self._outlooks.get(after)) is not None:
            outlook.look(self._alphabet, self._ledger.until(after), self._asked(after))

    async def _steal(self, pivot: str, until: str | None) -> None:
        """Ask for what lies behind ``pivot``, up to ``until``, and take it over if there is anything."""
        try:
            page = await self._ask(pivot, until, None)
        finally:
            self._pivots.remove(pivot)
        # Others may have cut there meanwhile.
        victim = self._ledger.holding(pivot)
        until = self._ledger.until(victim)
        try:
            check_order(page.rows, pivot, self._uri)
        except ListingOrderError:
            # It does not begin behind a key; the victim's own pages will tell that too.
            self._finish_hand()
            return
        rows = trim(page.rows, pivot, until)
        ended = page.next_after is None or (until is not None and page.next_after >= until)
        outlook = self._outlooks.get(victim)
        empty = not rows.num_rows and ended
        if outlook is None or empty or not self._ledger.can_split(victim, pivot):
            if outlook is not None and empty:
                outlook.missed(pivot)
            # Or the victim was quicker.
            self._look(victim)
            self._miss()
            self._finish_hand()
            return
        if self._journal is not None:
            self._journal.split(victim, pivot)
        self._ledger.split(victim, pivot, taken=True)
        outlook.tried_at = outlook.pages
        self.splits += 1
        self._open(pivot, Outlook(ceiling=outlook.ceiling, cut=outlook.position_of(pivot)))
        outlook.ceiling = None
        self._look(victim)
        await self._list_range(pivot, page)

    def _miss(self) -> None:
        self.misses += 1
        self._wasted += 1

    def _finish_hand(self) -> None:
        self._share.stop()
        self._schedule()

    async def _ask(self, after: str, until: str | None, token: str | None) -> Page:
        try:
            with self._tally.asking():
                began = time.monotonic()
                page = await self._source.list_page(self._prefix, after=after, until=until, token=token)
                self._load.answered(time.monotonic() - began)
        except StoreError as error:
            if not after and until is None:
                raise
            where = f"behind {after!r}" + ("" if until is None else f" up to {until!r}")
            raise type(error)(f"{error} (while the keys {where} were listed)", uri=error.uri) from None
        self._pressure.answered(throttled=page.throttled)
        return page

    async def _list_range(self, start: str, page: Page | None = None) -> None:
        """List one range to its end, to where it was split, or until there are too many hands."""
        reached = self._ledger.reached(start)
        seen = ""
        token: str | None = None
        while True:
            by_token = self._by_token
            if page is None or by_token:
                page = await self._ask(
                    "" if by_token else reached, self._ledger.until(start), token if by_token else None
                )
            try:
                check_order(page.rows, seen if by_token else reached, self._uri)
            except ListingOrderError:
                if by_token:
                    raise
                # It does not begin behind a key, so its own tokens must lead through it, from the beginning.
                self._by_token, token, seen, page = True, None, "", None
                continue
            seen = page.rows.column("key")[-1].as_py() if page.rows.num_rows else seen
            # The bound may have been lowered while the page was under way. From here to where the ledger knows of the
            # page nothing waits, so that no split can come between.
            until = self._ledger.until(start)
            within = trim(page.rows, reached, until)
            before = self._tally.skipped.copy() if self._journal is not None else None
            rows = self._tally.keep(page, within)
            self._learn(start, page, within.num_rows)
            found = _found(rows)
            following = page.next_after
            if following is None or (until is not None and following >= until):
                self._ledger.finish(start, found)
                del self._outlooks[start]
                await self._buffers[start].put(Listed(rows, page.complete), self._note(until, before))
                self._buffers[start].end()
                self._finish_hand()
                return
            if page.token in {None, token} if by_token else following <= reached:
                raise ListingOrderError(f"{self._uri}: the listing stands still at {reached!r}", uri=self._uri)
            token = page.token
            reached = max(reached, seen) if by_token else following
            self._ledger.advance(start, reached, found)
            self._schedule()
            await self._buffers[start].put(Listed(rows, page.complete), self._note(reached, before))
            page = None
            if self._share.must_stop() and not by_token:
                self._ledger.release(start)
                self._share.stop()
                return

    def _note(self, reached: str | None, before: Counter[str] | None) -> dict[str, object] | None:
        """Return what the journal is to know of a page besides its rows."""
        if before is None:
            return None
        skipped = self._tally.skipped - before
        return {"reached": reached, "skipped": skipped, "requests": self._tally.requests(self._source)}

    def _learn(self, start: str, page: Page, kept: int) -> None:
        self.pages += 1
        outlook, count = self._outlooks[start], page.rows.num_rows
        if not count:
            self._wasted += 1
            return
        keys = page.rows.column("key")
        samples = [keys[index].as_py() for index in range(0, count, max(1, count // _SAMPLES))]
        last = keys[-1].as_py()
        self._wasted += 1 - kept / count
        self._alphabet.add([*samples, last], cut=None if outlook.pages else outlook.cut)
        outlook.add(samples[0], last)
        self._look(start)


def _found(rows: pa.RecordBatch) -> Found:
    keys = rows.column("key")
    return Found(len(keys), keys[0].as_py(), keys[-1].as_py()) if len(keys) else Found()
