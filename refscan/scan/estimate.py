"""How much there is to scan, guessed from a bounded number of requests."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import anyio
import pyarrow as pa

from refscan.first_error import one_error
from refscan.scan.filter import PathFilter
from refscan.scan.limits import LIST_CONCURRENCY
from refscan.scan.ranges import RangeListing
from refscan.scan.resolve import nothing_there, resolve
from refscan.scan.shared import Shared, shared_limits
from refscan.scan.statting import Listing
from refscan.scan.tally import Tally
from refscan.scan.walk import FolderWalk
from refscan.sources.options import StoreOptions, as_options
from refscan.sources.schemes import check_options, locate, open_source
from refscan.sources.source import Page, Source

__all__ = ["Estimate", "estimate"]

_REQUESTS = 128
# Seconds of this machine's work for a page.
_PAGE_WORK = 0.003
# What listings and HEADs are charged as. Sources: aws.amazon.com/s3/pricing, cloud.google.com/storage/pricing
# ("Operation charges"), azure.microsoft.com/pricing/details/storage/blobs ("Operations").
_CLASSES = {
    "s3": ("PUT, COPY, POST, LIST", "GET, SELECT and all other"),
    "gcs": ("Class A operations", "Class B operations"),
    "azure": ("List and Create Container operations", "All other operations"),
}


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a scan will find and cost.

    Attributes:
        uri: What would be scanned, without secrets.
        objects: How many objects there are.
        exact: All of them were seen; otherwise ``objects`` is a guess, and at least ``seen``.
        seen: Objects seen.
        list_requests: Pages that a scan asks for.
        stat_requests: Objects whose facts it has to ask for one by one, or files that it has to read.
        list_class: What the provider charges pages as; ``None`` where nobody does.
        stat_class: What the provider charges single objects' facts as.
        seconds: How long it takes, if the store answers as it did now.
        requests: Requests sent for this estimate.
    """

    uri: str
    objects: int
    exact: bool
    seen: int
    list_requests: int
    stat_requests: int
    list_class: str | None
    stat_class: str | None
    seconds: float
    requests: int

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON's types."""
        return asdict(self)


async def estimate(
    uri: str,
    *,
    include: str | Iterable[str] | None = None,
    exclude: str | Iterable[str] | None = None,
    options: StoreOptions | Iterable[StoreOptions] | None = None,
    source: Source | None = None,
    max_requests: int = _REQUESTS,
) -> Estimate:
    """Guess how many objects a URI holds, and what a scan of them will cost.

    The listing begins as a scan's does, in ranges that are split where most seems to be left, and ends after
    ``max_requests`` pages. Fewer pages than that are counted exactly. Where names follow a rule, or are random, the
    guess is mostly right to a half; one folder that is much larger than its siblings may be missed, and a store that
    is listed folder by folder tells nothing of folders not seen.

    Args:
        uri: As for ``scan``.
        include: As for ``scan``.
        exclude: As for ``scan``.
        options: As for ``scan``.
        source: As for ``scan``.
        max_requests: Pages to ask for, at most; some more may be under way then.

    Raises:
        ValueError: ``max_requests`` is less than one.
        RefscanError: What ``scan`` raises.
    """
    if max_requests < 1:
        raise ValueError(f"max_requests must be at least 1, not {max_requests}")
    given = as_options(options)
    location = locate(uri, given)
    check_options(options, location)
    only = PathFilter.of(location, include, exclude)
    async with source if source is not None else open_source(location, given) as opened:
        found = await resolve(opened, location)
        list_class, stat_class = _CLASSES.get(location.store, (None, None))
        if found.rows is not None:
            return Estimate(
                uri=location.uri,
                objects=1,
                exact=True,
                seen=1,
                list_requests=0,
                stat_requests=1,
                list_class=list_class,
                stat_class=stat_class,
                seconds=0.0,
                requests=opened.requests,
            )
        with shared_limits(opened) as shared:
            probe = _Probe(location.uri, only, max_requests)
            ended = await probe.run(opened, found.prefix, shared)
        if ended and not probe.listed:
            raise nothing_there(location, found.prefix, probe.skipped)
        pages = probe.pages + probe.pages_left
        objects = probe.listed if ended else round(probe.listed * pages / max(1, probe.pages))
        stats = 0 if probe.complete else objects
        return Estimate(
            uri=location.uri,
            objects=max(objects, probe.listed),
            exact=ended,
            seen=probe.listed,
            list_requests=round(pages),
            stat_requests=stats,
            list_class=list_class,
            stat_class=stat_class,
            seconds=round(probe.seconds(pages, stats, opened), 1),
            requests=opened.requests,
        )


class _EnoughError(Exception):
    """There were enough pages."""


class _Probe(Tally):
    """Counts pages, and ends their listing when there are enough."""

    def __init__(self, uri: str, only: PathFilter | None, most: int) -> None:
        super().__init__(uri, limit=None, only=only)
        self.pages = 0
        self.pages_left = 0.0
        self.complete = True
        self._uri_shown = uri
        self._most = most

    def keep(self, page: Page, rows: pa.RecordBatch) -> pa.RecordBatch:
        """Count a page; raises where there are enough."""
        if self.pages >= self._most:
            raise _EnoughError
        self.pages += 1
        self.complete &= page.complete
        return super().keep(page, rows)

    async def run(self, source: Source, prefix: str, shared: Shared) -> bool:
        """List until there are enough pages; tell whether that was all."""
        listing: RangeListing | FolderWalk
        if source.capabilities.ordered:
            listing = RangeListing(source, prefix, self._uri_shown, self, shared.pressure)
        else:
            listing = FolderWalk(source, prefix, self._uri_shown, self, shared.walks)
        try:
            with one_error():
                await _list(listing)
        except _EnoughError:
            self.pages_left = listing.pages_guessed
            return False
        else:
            return True
        finally:
            listing.close()

    def seconds(self, pages: float, stats: int, source: Source) -> float:
        """Guess how long a scan takes."""
        can = source.capabilities
        answer = self.waited / max(1, self.pages)
        at_once = can.list_concurrency if can.ordered else LIST_CONCURRENCY
        return max(pages * answer / at_once, pages * _PAGE_WORK) + stats * answer / can.stat_concurrency + answer


async def _list(listing: Listing) -> None:
    async def drop(_: object) -> None:
        pass

    async with anyio.create_task_group() as group:
        listing.start(group, drop, lambda: None)
