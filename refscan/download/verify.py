"""Whether references still resolve to what was recorded: by listing them again, and asking only for what differs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import anyio
import pyarrow as pa
import pyarrow.compute as pc
from anyio import to_thread

from refscan.download.identity import is_recorded, is_unread_file
from refscan.download.resolver import Object, Resolver
from refscan.errors import DigestMismatchError, ObjectNotFoundError, RegistryError, UnsupportedSchemeError
from refscan.first_error import one_error
from refscan.manifest.receipt import Receipt
from refscan.scan.collect import collect
from refscan.scan.pipeline import Scan
from refscan.scan.quoting import unquote_keys
from refscan.scan.spool import Spool
from refscan.sources.options import StoreOptions
from refscan.sources.schemes import locate_ref, open_source
from refscan.uri import Location

__all__ = ["Verification", "verify"]

_CONCURRENCY = 64
_PROBLEM_SCHEMA = pa.schema(
    [pa.field("path", pa.string()), pa.field("ref", pa.string()), pa.field("status", pa.string())]
)


@dataclass(frozen=True, slots=True)
class Verification:
    """What a check found.

    Attributes:
        checked: Entries looked at.
        problems: ``path``, ``ref`` and ``status`` of each entry that is not as recorded: ``missing``, ``changed``,
            or ``unchecked`` where nothing reads its scheme.
    """

    checked: int
    problems: pa.Table

    @property
    def ok(self) -> bool:
        """Everything that can be checked is as recorded."""
        return bool(pc.all(pc.equal(self.problems.column("status"), "unchecked"), min_count=0).as_py())


async def verify(batches: Iterable[pa.RecordBatch], receipts: Sequence[Receipt], resolver: Resolver) -> Verification:
    """Check all entries.

    Args:
        batches: Rows of ``MANIFEST_SCHEMA`` in path order.
        receipts: How the references were scanned.
        resolver: Finds single objects; closed at the end.
    """
    async with resolver:
        listings = [
            listing
            for receipt in receipts
            if receipt.prefix is not None and (listing := await _list_again(receipt, resolver.options))
        ]
        checked = 0
        problems: list[dict[str, str | None]] = []
        for rows in batches:
            checked += rows.num_rows
            matched = pa.array([False] * rows.num_rows)
            for listing in listings:
                matched = pc.or_(matched, listing.match(rows))
            await _check_rows(rows.filter(pc.invert(matched)), listings, resolver, problems)
    problems.sort(key=lambda problem: str(problem["path"]))
    return Verification(checked, pa.Table.from_pylist(problems, _PROBLEM_SCHEMA))


class _Listing:
    """The entries that a reference gives now."""

    def __init__(self, receipt: Receipt, folder: Location, now: list[Spool]) -> None:
        self._uri = folder.uri
        self._store = folder.store
        self._folder = "" if receipt.name is None else receipt.name + "/"
        self._now = now
        self._by_time = not receipt.checksum

    def match(self, rows: pa.RecordBatch) -> pa.Array:
        """Tell for each recorded row whether it is there as it was."""
        return pc.is_in(_identity(rows, by_time=self._by_time), value_set=self._overlap(rows, identity=True))

    def covers(self, rows: pa.RecordBatch) -> pa.Array:
        """Tell for each row whether this reference places its object at its path."""
        paths = rows.column("path")
        refs = rows.column("ref")
        keys = unquote_keys(pc.utf8_slice_codeunits(refs, len(self._uri)), self._store)
        placed = pc.and_(
            pc.starts_with(refs, self._uri), pc.equal(paths, pc.binary_join_element_wise(self._folder, keys, ""))
        )
        return pc.fill_null(placed, False)

    def has_path(self, rows: pa.RecordBatch) -> pa.Array:
        """Tell for each row whether something has its path."""
        return pc.is_in(rows.column("path"), value_set=self._overlap(rows, identity=False))

    def _overlap(self, rows: pa.RecordBatch, *, identity: bool) -> pa.Array:
        paths = rows.column("path")
        parts = [
            _identity(part, by_time=self._by_time) if identity else part.column("path")
            for run in self._now
            for part in run.between(paths[0].as_py(), paths[-1].as_py())
        ]
        return pa.concat_arrays(parts) if parts else pa.array([], pa.string())


def _identity(rows: pa.RecordBatch, *, by_time: bool) -> pa.Array:
    columns = [rows.column(name) for name in ("path", "ref", "digest", "version_id", "e_tag", "size")]
    time = rows.column("last_modified").cast(pa.int64())
    if not by_time:
        # Where nothing but the URI identifies an object, its time is all that tells of new content.
        named = pc.and_(pc.equal(rows.column("digest"), rows.column("ref")), pc.is_null(rows.column("e_tag")))
        time = pc.if_else(pc.fill_null(named, False), time, None)
    columns = [pc.fill_null(column.cast(pa.string()), "\0") for column in (*columns, time)]
    return pc.binary_join_element_wise(*columns, "\n")


async def _list_again(receipt: Receipt, options: tuple[StoreOptions, ...]) -> _Listing:
    location = locate_ref(receipt.uri, options)
    folder = replace(location, key=receipt.prefix or "", version_id=None)
    scan = Scan(folder, open_source(folder, options, checksum=receipt.checksum), max_objects=None)
    try:
        now = await collect(scan, location, name=receipt.name, checksum=receipt.checksum)
    except ObjectNotFoundError:
        now = []  # every entry of it is reported
    return _Listing(receipt, folder, now)


async def _check_rows(
    rows: pa.RecordBatch, listings: list[_Listing], resolver: Resolver, problems: list[dict[str, str | None]]
) -> None:
    """Add what is wrong with rows that no listing shows as they were."""
    if rows.num_rows == 0:
        return
    unpinned = pc.is_null(rows.column("version_id"))
    decided = pa.array([False] * rows.num_rows)
    for listing in listings:
        covered = pc.and_not(pc.and_(listing.covers(rows), unpinned), decided)
        decided = pc.or_(decided, covered)
        there = rows.filter(covered)
        if there.num_rows:
            changed = listing.has_path(there).to_pylist()
            problems.extend(
                _problem(row, "changed" if is_there else "missing")
                for row, is_there in zip(there.to_pylist(), changed, strict=True)
            )
    slots = anyio.Semaphore(_CONCURRENCY)

    async def check(row: Mapping[str, Any]) -> None:
        async with slots:
            if (status := await _check_one(row, resolver)) is not None:
                problems.append(_problem(row, status))

    with one_error():
        async with anyio.create_task_group() as group:
            for row in rows.filter(pc.invert(decided)).to_pylist():
                group.start_soon(check, row)


def _problem(row: Mapping[str, Any], status: str) -> dict[str, str | None]:
    return {"path": row["path"], "ref": row["ref"], "status": status}


async def _check_one(row: Mapping[str, Any], resolver: Resolver) -> str | None:
    try:
        found = await resolver.resolve(row)
        if found.location.store == "file":
            return await to_thread.run_sync(_check_file, found)
        async with resolver.source(found) as source:
            page = await source.stat([found.location.key], version_id=found.version_id)
    except UnsupportedSchemeError:
        return "unchecked"
    except (ObjectNotFoundError, RegistryError):
        return "missing"
    except DigestMismatchError:
        return "changed"
    if page.rows.num_rows == 0:
        return "missing"
    now = page.rows.to_pylist()[0]
    if now["size"] != found.size:
        return "changed"
    if found.location.store == "fsspec" and found.e_tag is None:
        refs = source.refs(page.rows.column("key"))
        digests = [how(page.rows, refs) for how in (source.digests, source.uri_digests)]
        return None if found.digest in [(await digest)[0].as_py() for digest in digests] else "changed"
    # A generation never changes; its ETag does, with its metadata.
    same_generation = found.location.store == "gcs" and now["version_id"] == found.version_id
    if same_generation or (now["e_tag"] == found.e_tag and found.is_of_time(now["last_modified"])):
        return None
    return "changed"


def _check_file(found: Object) -> str | None:
    path = Path("/" + found.location.key)
    if not path.is_file():
        return "missing"
    return None if is_recorded(path, found) or is_unread_file(found) else "changed"
