"""A scan from its URI to its receipt: what is listed is statted where it must be, and leaves in key order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Self

import anyio
import pyarrow as pa
import pyarrow.compute as pc
from anyio import to_thread

from refscan.errors import ListingOrderError
from refscan.first_error import first_error, one_error
from refscan.manifest.receipt import Receipt
from refscan.redact import redact
from refscan.scan.filter import PathFilter
from refscan.scan.journal import Journal
from refscan.scan.limits import DEFAULT_MAX_OBJECTS
from refscan.scan.ranges import RangeListing
from refscan.scan.resolve import Found, nothing_there, resolve
from refscan.scan.shared import Shared, shared_limits
from refscan.scan.statting import Statting
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
    include: str | Iterable[str] | None = None,
    exclude: str | Iterable[str] | None = None,
    resume: str | PathLike[str] | None = None,
    options: StoreOptions | Iterable[StoreOptions] | None = None,
    source: Source | None = None,
) -> Scan:
    """List the objects of a URI as Arrow record batches in key order.

    Memory does not grow with the number of objects, and the listing waits while the batches are not taken.

    Args:
        uri: An object, a folder, a bucket, a file, a directory, or a URL.
        max_objects: Refuse more objects than this; ``None`` lifts the limit.
        checksum: Read local files for their MD5.
        include: Take only what these glob patterns match, as ``Artifact.add_reference`` does.
        exclude: Leave out what these glob patterns match.
        resume: A directory that keeps what was listed while the scan runs. A scan that was killed goes on from it, and
            gives all rows again, from the first one on; ``discard`` removes it.
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
        ResumeError: The directory holds another scan (when the scan is entered).
    """
    given = as_options(options)
    location = locate(uri, given)
    check_options(options, location)
    return Scan(
        location,
        source if source is not None else open_source(location, given, checksum=checksum),
        max_objects=max_objects,
        checksum=checksum,
        only=PathFilter.of(location, include, exclude),
        resume=resume,
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
        only: Takes some of the objects.
        resume: The directory that keeps what was listed.
    """

    def __init__(
        self,
        location: Location,
        source: Source,
        *,
        max_objects: int | None,
        checksum: bool = True,
        bounds: Sequence[str] = (),
        only: PathFilter | None = None,
        resume: str | PathLike[str] | None = None,
    ) -> None:
        if max_objects is not None and max_objects < 1:
            raise ValueError(f"max_objects must be at least 1, or None for no limit; not {max_objects}")
        self.location = location
        self.source = source
        self.found = Found()
        self.objects = 0
        self._max_objects = max_objects
        self._only = only
        self._tally = Tally(location.uri, limit=max_objects, only=only)
        self._checksum = checksum
        self._bounds = bounds
        self._resume = None if resume is None else Path(resume)
        self._journal: Journal | None = None
        self._bytes = self._pinned = 0
        self._started = datetime.now(UTC)
        self._receipt: Receipt | None = None
        self._error: Exception | None = None
        self._exit = AsyncExitStack()
        self._group = anyio.create_task_group()
        self._shared: Shared | None = None
        self._statting: Statting | None = None
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
        return self._tally.listing + (self._statting.active if self._statting else 0)

    @property
    def requests(self) -> int:
        """Requests sent so far, those before the scan was killed among them."""
        return self._tally.requests(self.source)

    @property
    def ranges(self) -> int:
        """Key ranges, or folders, that are being listed."""
        return 0 if self._listing is None else self._listing.open_ranges

    @property
    def left(self) -> int | None:
        """About how many objects there are besides those ``listed``; ``None`` where nothing is known."""
        if not isinstance(self._listing, RangeListing) or not self._listing.pages:
            return None
        return round(self._listing.pages_guessed * self._tally.listed / self._listing.pages)

    @property
    def resumed(self) -> bool:
        """Whether it goes on from what an earlier process has left."""
        return self._journal is not None and self._journal.resumed

    def discard(self) -> None:
        """Remove what was kept to go on from: the rows are safe elsewhere."""
        if self._journal is not None:
            self._journal.discard()

    async def __aenter__(self) -> Self:
        self._started = datetime.now(UTC)
        self._send, self._receive = anyio.create_memory_object_stream[pa.RecordBatch](_BATCHES_AHEAD)
        try:
            await self._exit.enter_async_context(self.source)
            self.found = await resolve(self.source, self.location)
            if self._only is not None and self.found.rows is not None:
                self._only.check_single()
            if self._resume is not None and self.found.rows is None:
                self._journal = Journal(self._resume, self._identity(), self._bounds)
                self._exit.callback(self._journal.close)
            self._shared = self._exit.enter_context(shared_limits(self.source))
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
                    await self._emit(self.found.rows)
                else:
                    await self._run_listing()
                self._receipt = self._make_receipt()
            except* Exception as errors:  # noqa: BLE001  handed on, not lost
                self._error = first_error(errors)

    def _identity(self) -> dict[str, object]:
        """Return what a scan must have in common with the one it goes on from."""
        return {
            "uri": self.location.uri,
            "endpoint": redact(self.source.endpoint) if self.source.endpoint else None,
            "prefix": self.found.prefix,
            "checksum": self._checksum,
            "include": [] if self._only is None else list(self._only.include),
            "exclude": [] if self._only is None else list(self._only.exclude),
        }

    async def _run_listing(self) -> None:
        try:
            with one_error():
                await self._list_all()
        except ListingOrderError:
            # The first pages have shown that the store has another order than it seemed to have.
            unordered = not self.source.capabilities.ordered and isinstance(self._listing, RangeListing)
            if not unordered or self._statting is None or self._statting.emitted:
                raise
            self._tally = Tally(self.location.uri, limit=self._max_objects, only=self._only)
            await self._list_all()
        if self.objects == 0:
            raise nothing_there(self.location, self.found.prefix, self._tally.skipped)

    async def _list_all(self) -> None:
        if self._shared is None:
            raise RuntimeError("a scan is entered before it lists")
        tally, uri = self._tally, self.location.uri
        self._statting = Statting(self.source, tally, self._shared, uri, self._emit, journal=self._journal)
        # What was kept is read, which may be much.
        make = partial(self._make_listing, self._shared)
        self._listing = listing = await to_thread.run_sync(make) if self.resumed else make()
        try:
            await self._statting.run(listing)
        finally:
            listing.close()

    def _make_listing(self, shared: Shared) -> RangeListing | FolderWalk:
        prefix, uri, journal = self.found.prefix, self.location.uri, self._journal
        if self.source.capabilities.ordered:
            return RangeListing(
                self.source, prefix, uri, self._tally, shared.pressure, bounds=self._bounds, journal=journal
            )
        return FolderWalk(self.source, prefix, uri, self._tally, shared.walks, journal=journal)

    async def _emit(self, rows: pa.RecordBatch) -> None:
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
            requests=self.requests,
            retries=self.source.retries,
            splits=0 if self._listing is None else self._listing.splits,
            resumed=self.resumed,
            pinned=self._pinned,
            skipped={reason: count for reason, count in sorted(self._tally.skipped.items()) if count},
            ranges=() if self._listing is None else self._listing.ranges(),
            include=() if self._only is None else self._only.include,
            exclude=() if self._only is None else self._only.exclude,
            started=self._started if self._journal is None else self._journal.started,
            ended=datetime.now(UTC),
        )
