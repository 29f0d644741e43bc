"""Leases: what a run has stored, or found stored, is kept until its versions are committed."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import sqlalchemy as sql
from sqlalchemy.ext.asyncio import AsyncConnection

from refscan.registry.store import LocalStore
from refscan.registry.tables import lease

__all__ = ["Leases"]

_LONGEST = timedelta(days=7)  # where nobody can tell whether a run still lives


class Leases:
    """The leases of the runs of this process, and a look at those of others.

    A lease is a row with the moment, by the store's clock, at which the run had stored nothing yet. While the row
    stands, garbage collection removes nothing that was stored or touched since. A commit asks for the row in its own
    transaction, so a run whose lease was taken away cannot commit what may be gone: nothing depends on telling the
    living from the dead rightly. That is told by a locked file beside the row; the kernel unlocks it when the process
    ends, however it ends.

    Args:
        store: Where the runs store.
    """

    def __init__(self, store: LocalStore) -> None:
        self._store = store
        self._files: dict[str, int] = {}

    async def take(self, connection: AsyncConnection, run_id: str) -> None:
        """Take a lease for a run, before it stores anything."""
        path = self._store.lease_path(run_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._files[run_id] = descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        with suppress(OSError):  # a file system without locks: the age of the lease tells
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        since = os.fstat(descriptor).st_mtime_ns
        await connection.execute(lease.insert().values(run_id=run_id, since=since, taken_at=datetime.now(UTC)))

    async def give_back(self, connection: AsyncConnection, run_id: str) -> None:
        """End a lease."""
        await connection.execute(lease.delete().where(lease.c.run_id == run_id))
        self._forget(run_id)

    async def held(self, connection: AsyncConnection, run_ids: Iterable[str]) -> set[str]:
        """Return which of the runs still have their leases; puts back what a killed collection left half removed."""
        self._store.put_back()
        query = sql.select(lease.c.run_id).where(lease.c.run_id.in_(list(run_ids)))
        return set((await connection.execute(query)).scalars())

    async def oldest(self, connection: AsyncConnection, *, but: Sequence[str] = ()) -> int | None:
        """Return when the oldest lease was taken, by the store's clock in nanoseconds; ``None``: there is none."""
        query = sql.select(sql.func.min(lease.c.since)).where(lease.c.run_id.not_in(but))
        since: int | None = (await connection.execute(query)).scalar_one()
        return since

    async def dead(self, connection: AsyncConnection) -> list[str]:
        """Return the runs whose process has ended without giving the lease back."""
        rows = (await connection.execute(sql.select(lease.c.run_id, lease.c.taken_at))).all()
        return [row.run_id for row in rows if not self._lives(row.run_id, row.taken_at)]

    async def revoke(self, connection: AsyncConnection, run_ids: Iterable[str]) -> None:
        """Take leases away; to be committed before anything is removed."""
        for run_id in run_ids:
            await connection.execute(lease.delete().where(lease.c.run_id == run_id))
            self._store.lease_path(run_id).unlink(missing_ok=True)

    def _lives(self, run_id: str, taken_at: datetime) -> bool:
        try:
            descriptor = os.open(self._store.lease_path(run_id), os.O_RDWR)
        except FileNotFoundError:
            return False
        except OSError:
            return self._young(taken_at)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return self._young(taken_at)
        finally:
            os.close(descriptor)
        return False

    def _young(self, taken_at: datetime) -> bool:
        return datetime.now(UTC) - taken_at.replace(tzinfo=taken_at.tzinfo or UTC) < _LONGEST

    def _forget(self, run_id: str) -> None:
        descriptor = self._files.pop(run_id, None)
        if descriptor is not None:
            self._store.lease_path(run_id).unlink(missing_ok=True)
            os.close(descriptor)

    def close(self) -> None:
        """Let go of the files of leases that were not given back; their runs count as dead."""
        for descriptor in self._files.values():
            os.close(descriptor)
        self._files = {}
