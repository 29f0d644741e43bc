"""Entries of buckets that keep versions, checked by listing all versions where that is cheaper than asking for each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from refscan.download.asked import Asking
from refscan.download.cost import Density
from refscan.download.findings import Findings
from refscan.download.history_join import RULES, Codes, HistoryJoin
from refscan.download.resolver import Object, Resolver
from refscan.download.status import ARCHIVED, UNDECIDED
from refscan.download.stretch import Stretch
from refscan.errors import AccessDeniedError, ListingOrderError, ObjectNotFoundError
from refscan.sources.history import HISTORY_SCHEMA, History, HistoryPage
from refscan.sources.source import Page, Source
from refscan.uri import Location

__all__ = ["PinCheck", "anywhere"]

_UNKNOWN_WEIGHT = 10
_NOTHING = HistoryPage(pa.RecordBatch.from_pylist([], HISTORY_SCHEMA))


def anywhere(container: Location) -> Object:
    """Return an object of a container, to ask the resolver for its source."""
    return Object(container, "", None, None, None, None, None)


class PinCheck:
    """Checks stretches of entries; many may be checked at once.

    A stretch is listed from its first key to its last one. Its entries that a page could not decide, and all of them
    where the listing turns out not to pay or may not be had, are asked for one by one.

    Args:
        resolver: Opens the containers.
        asking: Asks for single entries.
        findings: Takes what is found.
    """

    def __init__(self, resolver: Resolver, asking: Asking, findings: Findings) -> None:
        self._resolver = resolver
        self._asking = asking
        self._findings = findings
        # Containers whose versions may not be listed.
        self._refused: set[str] = set()

    async def check(self, stretch: Stretch) -> None:
        """Decide all entries of a stretch."""
        async with self._resolver.source(anywhere(stretch.container)) as source:
            codes, way = await self._list(source, stretch)
        asked = codes == UNDECIDED
        if not asked.all():
            listed = pa.array(~asked)
            self._findings.add(stretch.rows.filter(listed), codes[~asked], way)
        if asked.any():
            rows = stretch.rows.filter(pa.array(asked))
            self._findings.add(rows, await self._asking.check(rows.to_pylist()), "request")

    async def _unarchive(self, source: History, stretch: Stretch, join: HistoryJoin) -> None:
        """Find out which of the archived entries have a copy that can be read now."""
        archived = np.flatnonzero(join.codes == ARCHIVED)
        restored = join.restored[archived]

        async def ask(row: Mapping[str, Any]) -> int:
            try:
                return await source.is_restored(row["key"], row["version_id"])
            except ObjectNotFoundError:
                return False  # it went between the two requests

        if len(archived):
            rows = stretch.rows.take(pa.array(archived)).to_pylist()
            readable = await self._asking.each(ask, rows)
            join.codes[archived] = np.where(readable, restored, ARCHIVED)

    async def _list(self, source: Source, stretch: Stretch) -> tuple[Codes, str]:
        """Return the statuses that listings give, and which kind of listing."""
        rows, base = stretch.rows, stretch.container.base
        unpinned = rows.column("version_id").is_null().to_numpy(zero_copy_only=False)
        if isinstance(source, History) and base not in self._refused:
            join = await self._join(source, stretch, history=True)
            if join is not None:
                await self._unarchive(source, stretch, join)
                return join.codes, "versions"
            self._refused.add(base)
        codes = np.full(rows.num_rows, UNDECIDED, np.int8)
        if unpinned.any():
            # For these the current objects are enough.
            part = Stretch(stretch.container, rows.filter(pa.array(unpinned)), stretch.folder, stretch.after)
            found = await self._join(source, part, history=False)
            codes[unpinned] = UNDECIDED if found is None else found.codes
            codes[codes == ARCHIVED] = UNDECIDED
        return codes, "listing"

    async def _join(self, source: Source, stretch: Stretch, *, history: bool) -> HistoryJoin | None:
        """List and join, as long as it pays; ``None``: that may not be listed."""
        rows = stretch.rows
        density = (
            Density(weight=_UNKNOWN_WEIGHT) if stretch.folder is None else Density(expected=stretch.folder.density)
        )
        join = HistoryJoin(rows.select(["key", "version_id", "e_tag", "size"]), RULES[stretch.container.store])
        if not source.capabilities.ordered or not density.pays(rows.num_rows):
            return join
        try:
            async for page in _pages(source, stretch, history=history):
                if page is None:
                    return None
                before = join.decided
                join.feed(page)
                density.see(page.rows.num_rows, join.decided - before)
                if join.decided == rows.num_rows or not density.pays(rows.num_rows - join.decided):
                    break
        except ObjectNotFoundError:
            join.feed(_NOTHING)  # the container itself is gone
        except AccessDeniedError:
            return None
        except ListingOrderError:
            pass  # what is not decided is asked for
        return join


async def _pages(source: Source, stretch: Stretch, *, history: bool) -> AsyncIterator[HistoryPage | None]:
    """Yield the pages of a stretch in order; ``None``: there are none to be had.

    Raises:
        ListingOrderError: The store's keys do not ascend.
    """
    prefix = stretch.prefix
    after = stretch.after if stretch.after.startswith(prefix) else ""
    token: str | None = None
    last = ""
    while True:
        if history:
            assert isinstance(source, History)  # noqa: S101  told to the type checker
            page = await source.list_history(prefix, after=after, until=stretch.last, token=token)
        else:
            page = _as_history(await source.list_page(prefix, after=after, until=stretch.last))
        if page is not None:
            last = _check_order(page, after=after if token is None else "", last=last)
        yield page
        if page is None or (page.token is None and page.next_after is None):
            return
        token, after = page.token, page.next_after or after


def _as_history(page: Page) -> HistoryPage:
    """Return current objects as the versions that are known."""
    rows, length = page.rows, page.rows.num_rows
    columns = {name: rows.column(name) for name in HISTORY_SCHEMA.names if name in rows.schema.names}
    columns |= {"is_latest": pa.repeat(pa.scalar(True), length), "is_deleted": pa.repeat(pa.scalar(False), length)}
    history = pa.record_batch([columns[field.name] for field in HISTORY_SCHEMA], schema=HISTORY_SCHEMA)
    return HistoryPage(history, next_after=page.next_after)


def _check_order(page: HistoryPage, *, after: str, last: str) -> str:
    """Return the last key so far, if keys ascend."""
    keys = page.rows.column("key")
    if page.next_after is not None and page.next_after <= after:
        raise ListingOrderError("the listing stands still")
    if len(keys) == 0:
        return last
    ascending = pc.all(pc.less_equal(keys[:-1], keys[1:]), min_count=0).as_py()
    if not ascending or keys[0].as_py() < last:
        raise ListingOrderError("the listing's keys do not ascend")
    found: str = keys[-1].as_py()
    return found
