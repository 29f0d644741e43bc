"""A scan from its URI to its receipt: what is listed is statted where it must be, and leaves in key order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from types import TracebackType
from typing import Self

import anyio
import pyarrow as pa
import pyarrow.compute as pc

from refscan.errors import ListingOrderError, ObjectNotFoundError
from refscan.first_error import first_error, one_error
from refscan.manifest.receipt import Receipt
from refscan.scan.buffer import Listed
from refscan.scan.limits import DEFAULT_MAX_OBJECTS
from refscan.scan.ordered import OrderedWorkers
from refscan.scan.page import check_order, drop_folder_markers
from refscan.scan.ranges import RangeListing
from refscan.scan.resolve import Found, resolve
from refscan.scan.tally import Tally
from refscan.scan.walk import FolderWalk
from refscan.sources.options import StoreOptions, as_options
from refscan.sources.schemes import check_options, locate, open_source
from refscan.sources.source import Source
from refscan.uri import Location

__all__ = ["Scan", "scan"]


_BATCHES_AHEAD = 4


def scan(
    uri: str,
    *,
    max_objects: int | None = DEFAULT_MAX_OBJECTS,
    checksum: bool = True,
    options: StoreOptions | Iterable[StoreOptions] | None = None,
    source: Source | None = None,
) -> Scan:
    """List the objects of a URI as Arrow record batches in key order.

    Memory does not grow with the number of objects, and the listing waits while the batches are not taken.

    Args:
        uri: An object, a folder, a bucket, a file, a directory, or a URL.
        max_objects: Refuse more objects than this; ``None`` lifts the limit.
        checksum: Read local files for their MD5.
        options: How the store is reached (``S3Options``, …), where its environment does not say so.
        source: Reads the URI's container; by default the URI's scheme decides.

    Returns:
        An async context manager; iterate over it inside for ``pyarrow.RecordBatch`` of ``PAGE_SCHEMA`` (``key``,
        ``size`` in bytes, ``e_tag``, ``version_id``, ``checksum``, ``last_modified``, ``storage_class``). Its
        ``receipt`` says afterwards how the key space was covered.

    Raises:
        InvalidURIError: The URI cannot be read.
        UnsupportedSchemeError: No source reads its scheme.
        ValueError: ``options`` are for another kind of store than the URI's.
    """
    given = as_options(options)
    location = locate(uri, given)
    check_options(options, location)
    return Scan(
        location,
        source if source is not None else open_source(location, given, checksum=checksum),
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
        self._max_objects = max_objects
        self._tally = Tally(location.uri, limit=max_objects)
        self._checksum = checksum
        self._bounds = bounds
        self._emitted = ""
        self._bytes = self._pinned = 0
        self._started = datetime.now(UTC)
        self._receipt: Receipt | None = None
        self._error: Exception | None = None
        self._exit = AsyncExitStack()
        self._group = anyio.create_task_group()
        self._line: OrderedWorkers[Listed, Listed] | None = None
        self._listing: RangeListing | FolderWalk | None = None

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
    def listed(self) -> int:
        """Objects that the listing gave so far."""
        return self._tally.listed

    @property
    def concurrency(self) -> int:
        """Requests under way."""
        return self._tally.listing + (self._line.active if self._line else 0)

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
                self._error = first_error(errors)

    async def _run_listing(self) -> None:
        try:
            with one_error():
                await self._list_all()
        except ListingOrderError:
            # The first pages have shown that the store has another order than it seemed to have.
            if self._emitted or self.source.capabilities.ordered or isinstance(self._listing, FolderWalk):
                raise
            self._tally = Tally(self.location.uri, limit=self._max_objects)
            await self._list_all()
        if self.objects == 0:
            raise ObjectNotFoundError(self._nothing_there(), uri=self.location.uri)

    async def _list_all(self) -> None:
        async with anyio.create_task_group() as group:
            line = OrderedWorkers(group, self._stat, concurrency=self.source.capabilities.stat_concurrency)
            self._line, self._listing = line, self._make_listing()
            self._listing.start(group, partial(self._put, line), line.end)
            await line.deliver(self._emit_listed)

    def _make_listing(self) -> RangeListing | FolderWalk:
        prefix, uri = self.found.prefix, self.location.uri
        if self.source.capabilities.ordered:
            return RangeListing(self.source, prefix, uri, self._tally, self._bounds)
        return FolderWalk(self.source, prefix, uri, self._tally)

    def _nothing_there(self) -> str:
        key, prefix = self.location.key, self.found.prefix
        what = "holds no objects" if not prefix else f"is neither an object nor a folder with objects ({prefix!r})"
        if key.endswith("/"):
            what = "holds no objects"
        skipped = ", ".join(f"{count} {reason}" for reason, count in sorted(self._tally.skipped.items()) if count)
        return f"nothing to reference: {self.location.uri} {what}" + (f"; skipped: {skipped}" if skipped else "")

    async def _put(self, line: OrderedWorkers[Listed, Listed], page: Listed) -> None:
        """Put a page into the line of work: pages come in key order."""
        if page.complete:
            await line.put(page)
            return
        # A few objects, which may be large, are spread; many small ones go in large batches.
        can, rows = self.source.capabilities, page.rows.num_rows
        batch = min(can.stat_batch, -(-rows // can.stat_concurrency))
        for start in range(0, rows, batch):
            await line.put(Listed(page.rows.slice(start, batch), complete=False))

    async def _stat(self, page: Listed) -> Listed:
        if page.complete:
            return page
        answer = await self.source.stat(page.rows.column("key").to_pylist())
        rows, markers = drop_folder_markers(answer.rows)
        self._tally.skipped.update(answer.skipped)
        self._tally.skipped["folder_marker"] += markers
        # What was listed and is not there, the source may leave uncounted.
        self._tally.skipped["vanished"] += page.rows.num_rows - answer.rows.num_rows - sum(answer.skipped.values())
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
            skipped={reason: count for reason, count in sorted(self._tally.skipped.items()) if count},
            ranges=() if self._listing is None else self._listing.ranges(),
            started=self._started,
            ended=datetime.now(UTC),
        )
