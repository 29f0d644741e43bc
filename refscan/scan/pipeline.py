"""The thin loop that does a scan's I/O: workers list ranges, pages leave in key order, incomplete rows are statted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

import anyio
import pyarrow as pa
import pyarrow.compute as pc

from refscan.errors import ListingOrderError, MaxObjectsExceededError, ObjectNotFoundError
from refscan.manifest.receipt import RangeReceipt, Receipt
from refscan.scan.buffer import Listed, RangeBuffer
from refscan.scan.ledger import KeyRange, Ledger
from refscan.scan.limits import DEFAULT_MAX_OBJECTS, LIST_CONCURRENCY
from refscan.scan.ordered import OrderedWorkers
from refscan.scan.page import check_order, drop_folder_markers, trim
from refscan.scan.resolve import Found, resolve
from refscan.sources.schemes import open_source
from refscan.sources.source import Source
from refscan.uri import Location, parse

__all__ = ["Scan", "scan"]


_BATCHES_AHEAD = 4


def scan(
    uri: str,
    *,
    max_objects: int | None = DEFAULT_MAX_OBJECTS,
    checksum: bool = True,
    source: Source | None = None,
) -> Scan:
    """List the objects of a URI as Arrow record batches in key order.

    Memory does not grow with the number of objects, and the listing waits while the batches are not taken.

    Args:
        uri: An object, a folder, a bucket, a file, a directory, or a URL.
        max_objects: Refuse more objects than this; ``None`` lifts the limit.
        checksum: Read local files for their MD5.
        source: Reads the URI's container; by default the URI's scheme decides.

    Returns:
        An async context manager; iterate over it inside for ``pyarrow.RecordBatch`` of ``PAGE_SCHEMA`` (``key``,
        ``size`` in bytes, ``e_tag``, ``version_id``, ``checksum``, ``last_modified``, ``storage_class``). Its
        ``receipt`` says afterwards how the key space was covered.

    Raises:
        InvalidURIError: The URI cannot be read.
        UnsupportedSchemeError: No source reads its scheme.
    """
    location = parse(uri)
    return Scan(
        location,
        source if source is not None else open_source(location, checksum=checksum),
        max_objects=max_objects,
        checksum=checksum,
    )


class Scan:
    """A running scan: an async context manager, and inside it an async iterator of record batches.

    Entering it finds out whether the location is an object or a folder; leaving it ends all its tasks.

    Args:
        location: What to scan.
        source: Reads it; opened and closed by the scan.
        max_objects: Refuse more; ``None`` lifts the limit.
        checksum: Goes into the receipt.
        bounds: Ascending keys that cut the key space into ranges to list at once.
    """

    def __init__(
        self,
        location: Location,
        source: Source,
        *,
        max_objects: int | None,
        checksum: bool = True,
        bounds: Sequence[str] = (),
    ) -> None:
        if max_objects is not None and max_objects < 1:
            raise ValueError(f"max_objects must be at least 1, or None for no limit; not {max_objects}")
        self.location = location
        self.source = source
        self.found = Found()
        self.objects = 0
        self.listed = 0
        self.listing = 0
        self._max_objects = max_objects
        self._checksum = checksum
        self._ledger = Ledger(bounds)
        self._buffers: dict[str, RangeBuffer] = {}
        self._by_token = False
        self._emitted = ""
        self._skipped: Counter[str] = Counter()
        self._bytes = self._pinned = 0
        self._started = datetime.now(UTC)
        self._receipt: Receipt | None = None
        self._error: Exception | None = None
        self._exit = AsyncExitStack()
        self._group = anyio.create_task_group()
        self._stats: OrderedWorkers[Listed, Listed] | None = None

    @property
    def receipt(self) -> Receipt:
        """How the key space was covered; there once all batches were taken.

        Raises:
            RuntimeError: The scan has not come to its end.
        """
        if self._receipt is None:
            raise RuntimeError("a scan has its receipt once all its batches were taken")
        return self._receipt

    @property
    def concurrency(self) -> int:
        """Requests under way."""
        return self.listing + (self._stats.active if self._stats else 0)

    async def __aenter__(self) -> Self:
        self._started = datetime.now(UTC)
        self._send, self._receive = anyio.create_memory_object_stream[pa.RecordBatch](_BATCHES_AHEAD)
        try:
            await self._exit.enter_async_context(self.source)
            self.found = await resolve(self.source, self.location)
        except BaseException:
            self._send.close()
            self._receive.close()
            with anyio.CancelScope(shield=True):
                await self._exit.aclose()
            raise
        await self._group.__aenter__()
        self._group.start_soon(self._run)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The group is not shown the body's error, so that it comes out as it is and not in a group of errors.
        self._group.cancel_scope.cancel()
        self._receive.close()
        try:
            await self._group.__aexit__(None, None, None)
        finally:
            self._send.close()
            with anyio.CancelScope(shield=True):
                await self._exit.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> pa.RecordBatch:
        try:
            return await self._receive.receive()
        except anyio.EndOfStream:
            if self._error is not None:
                raise self._error from None
            if self._receipt is None:
                # It was left, perhaps by another task; that must not look like the end of the listing.
                raise anyio.ClosedResourceError from None
            raise StopAsyncIteration from None

    async def _run(self) -> None:
        """Fill the stream; an error goes to whoever reads it."""
        async with self._send:
            try:
                if self.found.rows is not None:
                    await self._emit(Listed(self.found.rows, complete=True))
                else:
                    await self._run_listing()
                self._receipt = self._make_receipt()
            except* Exception as errors:  # noqa: BLE001  handed on, not lost
                self._error = _first(errors)

    async def _run_listing(self) -> None:
        async with anyio.create_task_group() as group:
            self._stats = OrderedWorkers(group, self._stat, concurrency=self.source.capabilities.stat_concurrency)
            for key_range, _ in self._ledger:
                self._buffers[key_range.after] = RangeBuffer()
            # First, so that it is the first range's turn before a page of it comes.
            group.start_soon(self._feed, self._stats)
            for _ in range(min(LIST_CONCURRENCY, len(self._buffers))):
                group.start_soon(self._work)
            await self._stats.deliver(self._emit_listed)
        if self.objects == 0:
            raise ObjectNotFoundError(self._nothing_there(), uri=self.location.uri)

    def _nothing_there(self) -> str:
        key, prefix = self.location.key, self.found.prefix
        what = "holds no objects" if not prefix else f"is neither an object nor a folder with objects ({prefix!r})"
        if key.endswith("/"):
            what = "holds no objects"
        skipped = ", ".join(f"{count} {reason}" for reason, count in sorted(self._skipped.items()) if count)
        return f"nothing to reference: {self.location.uri} {what}" + (f"; skipped: {skipped}" if skipped else "")

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
            self.listing += 1
            try:
                page = await self.source.list_page(
                    self.found.prefix,
                    after="" if by_token else reached,
                    until=until,
                    token=token if by_token else None,
                )
            finally:
                self.listing -= 1
            try:
                check_order(page.rows, seen if by_token else reached, self.location.uri)
            except ListingOrderError:
                if by_token:
                    raise
                # It does not begin behind a key, so its own tokens must lead through it, from the beginning.
                self._by_token, token, seen = True, None, ""
                continue
            seen = page.rows.column("key")[-1].as_py() if page.rows.num_rows else seen
            # The bound may have been lowered while the page was under way.
            until = self._ledger.until(start)
            rows, markers = drop_folder_markers(trim(page.rows, reached, until))
            self._skipped.update(page.skipped)
            self._skipped["folder_marker"] += markers
            self._count(rows.num_rows)
            await self._buffers[start].put(Listed(rows, page.complete))
            following = page.next_after
            if following is None or (until is not None and following >= until):
                self._ledger.finish(start, rows.num_rows)
                self._buffers[start].end()
                return
            if page.token in {None, token} if by_token else following <= reached:
                raise ListingOrderError(
                    f"{self.location.uri}: the listing stands still at {reached!r}", uri=self.location.uri
                )
            token = page.token
            reached = max(reached, seen) if by_token else following
            self._ledger.advance(start, reached, rows.num_rows)

    def _count(self, rows: int) -> None:
        self.listed += rows
        limit = self._max_objects
        if limit is not None and self.listed > limit:
            uri = self.location.uri
            raise MaxObjectsExceededError(
                f"{uri} holds more than {limit} objects; pass max_objects=None (--max-objects none) to take all of "
                f"them, or a higher limit",
                uri=uri,
            )

    async def _feed(self, stats: OrderedWorkers[Listed, Listed]) -> None:
        """Put the pages of all ranges, in key order, into the line of work."""
        after: str | None = ""
        can = self.source.capabilities
        while after is not None:
            while (page := await self._buffers[after].next()) is not None:
                if page.complete:
                    await stats.put(page)
                else:
                    # A few objects, which may be large, are spread; many small ones go in large batches.
                    rows = page.rows.num_rows
                    batch = can.stat_batch if rows > can.stat_batch else -(-rows // can.stat_concurrency)
                    for start in range(0, rows, batch):
                        await stats.put(Listed(page.rows.slice(start, batch), complete=False))
            after = self._ledger.following(after)
        stats.end()

    async def _stat(self, page: Listed) -> Listed:
        if page.complete:
            return page
        answer = await self.source.stat(page.rows.column("key").to_pylist())
        rows, markers = drop_folder_markers(answer.rows)
        self._skipped.update(answer.skipped)
        self._skipped["folder_marker"] += markers
        # What was listed and is not there, the source may leave uncounted.
        self._skipped["vanished"] += page.rows.num_rows - answer.rows.num_rows - sum(answer.skipped.values())
        return Listed(rows, complete=True)

    async def _emit_listed(self, page: Listed) -> None:
        """Emit rows; whatever the source answers, none leaves out of order, or twice."""
        if page.rows.num_rows:
            check_order(page.rows, self._emitted, self.location.uri)
            self._emitted = page.rows.column("key")[-1].as_py()
            await self._emit(page)

    async def _emit(self, page: Listed) -> None:
        rows = page.rows
        self.objects += rows.num_rows
        self._bytes += pc.sum(rows.column("size")).as_py() or 0
        self._pinned += rows.num_rows - rows.column("version_id").null_count
        await self._send.send(rows)

    def _make_receipt(self) -> Receipt:
        single = self.found.rows is not None
        return Receipt(
            uri=self.location.uri,
            version_id=self.location.version_id,
            name=None,
            checksum=self._checksum,
            prefix=None if single else self.found.prefix,
            objects=self.objects,
            bytes=self._bytes,
            requests=self.source.requests,
            pinned=self._pinned,
            skipped={reason: count for reason, count in sorted(self._skipped.items()) if count},
            ranges=()
            if single
            else tuple(RangeReceipt(part.after, part.until, objects) for part, objects in self._ledger),
            started=self._started,
            ended=datetime.now(UTC),
        )


def _first(errors: BaseExceptionGroup[Exception]) -> Exception:
    """Return the first single error of nested groups."""
    error = errors.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
