"""Whether what was recorded can still be had: by listings, or by single requests where these are cheaper."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import anyio
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from refscan.download.asked import Asking
from refscan.download.findings import FINDING_SCHEMA, Findings
from refscan.download.history_join import RULES
from refscan.download.pins import PinCheck, anywhere
from refscan.download.relisted import Relisting, list_again
from refscan.download.resolver import Resolver
from refscan.download.status import CHANGED, MISSING, PRESENT, PROBLEMS, STATUSES
from refscan.download.stretch import Cutter, Folder, Stretch
from refscan.first_error import one_error
from refscan.manifest.receipt import Receipt
from refscan.scan.spool import Spool
from refscan.sources.history import History
from refscan.sources.schemes import locate_ref

__all__ = ["Verification", "verify"]

_AT_ONCE = 24
_SHOWN = sorted([*PROBLEMS, "unchecked"])


@dataclass(frozen=True, slots=True)
class Verification:
    """What a check found.

    Attributes:
        checked: Entries looked at.
        counts: Entries by status. To be had as they were recorded: ``present``; ``superseded`` (the key has a newer
            version); ``delete_marked`` (the key was deleted, the version was not). Not to be had: ``archived`` (a
            restore comes first), ``soft_deleted`` (an undelete does), ``changed`` (overwritten), ``missing``. Not
            known: ``unchecked`` (nothing reads its scheme).
        checked_by: Entries by how they were checked: a listing of ``versions``, another ``listing``, or a ``request``.
    """

    checked: int
    counts: Mapping[str, int]
    checked_by: Mapping[str, int]
    _others: Spool = field(repr=False)

    @property
    def ok(self) -> bool:
        """Everything that can be checked can be had as it was recorded."""
        return PROBLEMS.isdisjoint(self.counts)

    @property
    def problem_count(self) -> int:
        """How many rows ``problems`` has."""
        return sum(number for status, number in self.counts.items() if status in _SHOWN)

    @property
    def problems(self) -> pa.Table:
        """``path``, ``ref``, ``version_id`` and ``status`` of what cannot be had as recorded, or not be checked."""
        return self.first_problems(None)

    def first_problems(self, count: int | None) -> pa.Table:
        """Return the first ``count`` problems by path; memory does not grow with the others."""
        found: list[pa.RecordBatch] = []
        left = count
        for rows in self.others():
            if left == 0:
                break
            shown = rows.filter(pc.is_in(rows.column("status"), value_set=pa.array(_SHOWN))).slice(0, left)
            found.append(shown)
            left = None if left is None else left - shown.num_rows
        return pa.Table.from_batches(found, FINDING_SCHEMA)

    def others(self) -> Iterator[pa.RecordBatch]:
        """Iterate over the rows of all entries that are not simply ``present``, in path order."""
        return iter(self._others)

    def statuses(self, rows: pa.RecordBatch) -> pa.Array:
        """Return the status of each of these rows of the version, which ascend by ``path``."""
        paths = rows.column("path")
        if len(paths) == 0:
            return pa.array([], pa.string())
        found = pa.Table.from_batches(self._others.between(paths[0].as_py(), paths[-1].as_py()), FINDING_SCHEMA)
        found = found.combine_chunks()
        at = pc.index_in(paths, value_set=found.column("path"))
        return pc.fill_null(found.column("status").take(at).combine_chunks(), STATUSES[PRESENT])


async def verify(batches: Iterable[pa.RecordBatch], receipts: Sequence[Receipt], resolver: Resolver) -> Verification:
    """Check all entries; memory does not grow with them.

    Buckets that keep versions are listed with all of these, 1,000 or more to a request, several key ranges at once.

    Args:
        batches: Rows of ``MANIFEST_SCHEMA`` in path order.
        receipts: How the references were scanned.
        resolver: Finds single objects; closed at the end.

    Raises:
        AccessDeniedError: Something may not be read.
        StoreError: A store cannot be reached or answers wrongly.
    """
    findings = Findings()
    async with resolver:
        asking = Asking(resolver)
        folders, relistings, passed = await _sort_out(receipts, resolver)
        cutter = Cutter(folders, RULES, resolver.options, passed=passed)
        check = PinCheck(resolver, asking, findings)
        send, receive = anyio.create_memory_object_stream[Stretch]()

        async def work() -> None:
            async for stretch in mine:
                await check.check(stretch)

        with one_error():
            async with receive as mine, anyio.create_task_group() as group, send:
                for _ in range(_AT_ONCE):
                    group.start_soon(work)
                for rows in batches:
                    stretches, rest = cutter.take(rows)
                    for stretch in stretches:
                        await send.send(stretch)
                    await _check_rest(rest, relistings, asking, findings)
                for stretch in cutter.rest():
                    await send.send(stretch)
    checked = sum(findings.counts.values())
    return Verification(checked, findings.named_counts(), dict(sorted(findings.ways.items())), findings.sealed())


async def _sort_out(
    receipts: Sequence[Receipt], resolver: Resolver
) -> tuple[dict[str, list[Folder]], list[Relisting], set[str]]:
    """Return the folders of containers whose versions can be listed, the others listed again, and their containers."""
    folders: dict[str, list[Folder]] = {}
    relistings: list[Relisting] = []
    passed: set[str] = set()
    for receipt in receipts:
        if receipt.prefix is None:
            continue
        location = locate_ref(receipt.uri, resolver.options)
        if location.store in RULES and location.base not in passed:
            async with resolver.source(anywhere(location)) as source:
                if isinstance(source, History) and source.capabilities.ordered:
                    objects = receipt.objects + sum(receipt.skipped.values())
                    folders.setdefault(location.base, []).append(
                        Folder(receipt.prefix, objects / max(1, receipt.objects))
                    )
                    continue
            passed.add(location.base)
        relistings.append(await list_again(receipt, resolver.options))
    return folders, relistings, passed


async def _check_rest(rows: pa.RecordBatch, relistings: list[Relisting], asking: Asking, findings: Findings) -> None:
    """Check entries by listings made again, and what these do not decide one by one."""
    if rows.num_rows == 0:
        return
    matched = pa.repeat(pa.scalar(False), rows.num_rows)
    for relisting in relistings:
        matched = pc.or_(matched, relisting.match(rows))
    same = rows.filter(matched)
    if same.num_rows:
        findings.add(same, np.full(same.num_rows, PRESENT, np.int8), "listing")
    rows = rows.filter(pc.invert(matched))
    if rows.num_rows == 0:
        return
    covered = is_there = pa.repeat(pa.scalar(False), rows.num_rows)
    for relisting in relistings:
        # One folder may be referenced twice, with other patterns: any of them may have it still.
        mine = pc.and_(relisting.covers(rows), pc.is_null(rows.column("version_id")))
        covered = pc.or_(covered, mine)
        is_there = pc.or_(is_there, pc.and_(mine, relisting.has_path(rows)))
    gone = rows.filter(covered)
    if gone.num_rows:
        codes = np.where(is_there.filter(covered).to_numpy(zero_copy_only=False), CHANGED, MISSING)
        findings.add(gone, codes.astype(np.int8), "listing")
        rows = rows.filter(pc.invert(covered))
    if rows.num_rows:
        findings.add(rows, await asking.check(rows.to_pylist()), "request")
