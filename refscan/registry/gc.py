"""Garbage collection: what no version needs is removed from the store, safely beside runs that log.

Why nothing that is needed is lost:

- What versions need is marked first, then completed inside each transaction that removes, with the versions committed
  meanwhile. Such a transaction has the registry's write lock, so that none is committed while it removes, and no run
  takes a lease.
- A run takes its lease before it stores anything, and each file that it stores, or finds stored, gets the present time.
  Removed is only what is older than the oldest lease. A file is moved aside before its time is looked at: a run that
  finds it present has touched it by then, which keeps it, and a run that comes later finds it absent and stores it
  anew.
- The leases of runs whose process has ended are revoked in a transaction of their own before. A commit whose lease is
  gone is refused, so that a run that was wrongly taken for dead loses its version, never the files of one.
- A collection that is killed leaves what it was looking at in a folder; the next commit or collection, which has the
  write lock, puts it back before anything else.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import get_args

import sqlalchemy as sql
from anyio import to_thread
from sqlalchemy.ext.asyncio import AsyncConnection

from refscan.registry.marks import Marks
from refscan.registry.registry import Registry
from refscan.registry.store import Kind
from refscan.registry.tables import edge, version
from refscan.registry.uncancelled import to_its_end

__all__ = ["Garbage", "Tally", "collect_garbage"]

_BATCH = 512  # files in one transaction: runs that commit wait for so many
_MARGIN = 60 * 10**9  # nanoseconds that the clock of a store may step back


@dataclass(slots=True)
class Tally:
    """Files and their bytes."""

    files: int = 0
    bytes: int = 0

    def add(self, size: int) -> None:
        """Count one file."""
        self.files += 1
        self.bytes += size


@dataclass(slots=True)
class Garbage:
    """What no version needs.

    Attributes:
        deleted: It was removed; otherwise it would be.
        garbage: By kind of file.
        kept: What runs that are under way may still need; it stays for now.
        dead_runs: Runs that ended without a word; what they stored is garbage.
    """

    deleted: bool
    garbage: dict[Kind, Tally] = field(default_factory=lambda: {kind: Tally() for kind in get_args(Kind)})
    kept: Tally = field(default_factory=Tally)
    dead_runs: int = 0


async def collect_garbage(
    registry: Registry, *, delete: bool = False, without: Collection[tuple[int, int]] = ()
) -> Garbage:
    """Find the segments, manifests and stored files that no version needs, and remove them if so asked.

    May run beside runs that log, in this and in other processes, and may be killed at any moment.

    Args:
        registry: An open registry.
        delete: Remove them; by default they are only counted.
        without: Versions (artifact's key, number) that count as deleted where nothing is removed.

    Raises:
        StoreError: The manifest of a version cannot be read; nothing is removed then.
    """
    return await _Collection(registry, Garbage(delete), frozenset(() if delete else without)).run()


class _Collection:
    def __init__(self, registry: Registry, found: Garbage, without: frozenset[tuple[int, int]]) -> None:
        self._catalog = registry.catalog
        self._store = registry.store
        self._found = found
        self._without = without
        self._marks = Marks(registry.store)
        self._newest_edge = -1

    async def run(self) -> Garbage:
        oldest = await self._look_at_leases()
        while manifests := await self._unmarked():
            await to_thread.run_sync(self._marks.add, manifests)
        for kind in get_args(Kind):
            paths = self._store.names(kind)
            while batch := await to_thread.run_sync(self._next_garbage, kind, paths):
                if self._found.deleted:
                    await self._remove(kind, batch)
                else:
                    self._count(kind, batch, oldest)
        return self._found

    def _next_garbage(self, kind: Kind, paths: Iterator[Path]) -> list[Path]:
        return list(islice((path for path in paths if not self._marks.needs(kind, path)), _BATCH))

    @to_its_end
    async def _look_at_leases(self) -> int | None:
        """Revoke those of the dead, and return what is kept for the others."""
        leases = self._catalog.leases
        async with self._catalog.begin() as connection:
            dead = await leases.dead(connection)
            self._found.dead_runs = len(dead)
            if self._found.deleted:
                await to_thread.run_sync(self._store.put_back)
                await leases.revoke(connection, dead)
            return _cut(await leases.oldest(connection, but=dead))

    @to_its_end
    async def _unmarked(self) -> list[str]:
        async with self._catalog.begin() as connection:
            return await self._committed_since(connection)

    async def _committed_since(self, connection: AsyncConnection) -> list[str]:
        """Return the manifests of the versions logged since this was last asked; each commit adds an edge."""
        newest: int | None = (await connection.execute(sql.select(sql.func.max(edge.c.id)))).scalar_one()
        query = (
            sql.select(version.c.artifact_id, version.c.number, version.c.manifest)
            .join(edge, (edge.c.artifact_id == version.c.artifact_id) & (edge.c.number == version.c.number))
            .where(version.c.deleted_at.is_(None), edge.c.id > self._newest_edge)
            .distinct()
        )
        rows = (await connection.execute(query)).all()
        self._newest_edge = -1 if newest is None else newest
        return list({row.manifest for row in rows if (row.artifact_id, row.number) not in self._without})

    @to_its_end
    async def _remove(self, kind: Kind, batch: list[Path]) -> None:
        async with self._catalog.begin() as connection:
            await to_thread.run_sync(self._store.put_back)
            await to_thread.run_sync(self._marks.add, await self._committed_since(connection))
            cut = _cut(await self._catalog.leases.oldest(connection))
            await to_thread.run_sync(self._discard, kind, batch, cut)

    def _discard(self, kind: Kind, batch: list[Path], cut: int | None) -> None:
        for path in batch:
            if self._marks.needs(kind, path):
                continue
            try:
                size = path.stat().st_size
            except FileNotFoundError:
                continue
            tally = self._found.garbage[kind] if self._store.discard(path, cut) else self._found.kept
            tally.add(size)

    def _count(self, kind: Kind, batch: list[Path], cut: int | None) -> None:
        for path in batch:
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            young = cut is not None and status.st_mtime_ns >= cut
            (self._found.kept if young else self._found.garbage[kind]).add(status.st_size)


def _cut(oldest: int | None) -> int | None:
    return None if oldest is None else oldest - _MARGIN
