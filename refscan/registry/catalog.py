"""The registry's tables, and the transactions on them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sql
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from refscan.errors import ArtifactError, RefscanError, StoreError
from refscan.registry.database import open_engine
from refscan.registry.formats import bring_up_to_date
from refscan.registry.leases import Leases
from refscan.registry.records import Outcome, Proposal, Record
from refscan.registry.store import LocalStore
from refscan.registry.tables import alias, artifact, edge, project, run, version
from refscan.registry.uncancelled import to_its_end
from refscan.registry.version_rows import deleted_among, find_record, newest_keys, records_of

__all__ = ["Catalog"]


class Catalog:
    """The tables, behind SQLAlchemy's async engine.

    Every transaction takes the write lock as it begins, so that what it read holds until it commits: two processes
    that log one artifact get consecutive numbers. None is cut in half by cancelling.

    Args:
        path: The SQLite file.
        store: Where manifests and files are stored before they are committed.
    """

    def __init__(self, path: Path, store: LocalStore) -> None:
        self.path = path
        self.leases = Leases(store)
        self._engine: AsyncEngine | None = None

    @to_its_end
    async def open(self) -> None:
        """Open the database, and make the tables if there are none."""
        if self._engine is not None:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"the registry directory {self.path.parent} cannot be made ({error.strerror}); set REFSCAN_REGISTRY"
            ) from error
        self._engine = open_engine(self.path)
        async with self.begin() as connection:
            await bring_up_to_date(connection, self.path)

    @to_its_end
    async def close(self) -> None:
        """Close the database."""
        if self._engine is not None:
            await self._engine.dispose()
            self._engine = None
        self.leases.close()

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """Give a transaction that has the write lock; to be used in what runs ``to_its_end``."""
        if self._engine is None:
            raise RuntimeError("the catalog is not open")
        try:
            async with self._engine.begin() as connection:
                yield connection
        except sql.exc.OperationalError as error:
            raise StoreError(f"the registry {self.path}: {error.orig}") from error
        except sql.exc.DatabaseError as error:
            raise StoreError(f"the registry {self.path} cannot be used: {error.orig}") from error
        except UnicodeEncodeError as error:
            raise ArtifactError(f"{error.object!r} is not valid UTF-8, so no registry can hold it") from None

    @to_its_end
    async def start_run(self, run_id: str, project_name: str, job_type: str | None, group: str | None) -> None:
        """Note that a run began, and take its lease on what it will store; makes its project."""
        async with self.begin() as connection:
            project_id = await _project_id(connection, project_name)
            await connection.execute(
                run.insert().values(
                    id=run_id,
                    project_id=project_id,
                    job_type=job_type,
                    run_group=group,
                    state="running",
                    started_at=datetime.now(UTC),
                )
            )
            await self.leases.take(connection, run_id)

    @to_its_end
    async def end_run(self, run_id: str, state: str) -> None:
        """Note that a run ended, ``finished`` or ``failed``, and give its lease back."""
        async with self.begin() as connection:
            await self.leases.give_back(connection, run_id)
            await connection.execute(
                run.update().where(run.c.id == run_id).values(state=state, ended_at=datetime.now(UTC))
            )

    @to_its_end
    async def commit(self, proposals: Sequence[Proposal]) -> list[Outcome]:
        """Give each proposal its version, in order, in one transaction.

        A proposal with the digest of the artifact's newest version makes none. One with another type than the
        artifact's, of a run whose lease is lost, or with entries that refer to a deleted version, is refused, takes no
        number, and holds up none behind it.
        """
        async with self.begin() as connection:
            held = await self.leases.held(connection, {proposal.run_id for proposal in proposals})
            states = await _states(connection, [proposal for proposal in proposals if proposal.run_id in held])
            gone = await deleted_among(connection, {link for proposal in proposals for link in proposal.links})
            outcomes: list[tuple[_State, int, bool] | RefscanError] = []
            now = datetime.now(UTC)
            new_versions: list[dict[str, Any]] = []
            edges: list[dict[str, Any]] = []
            moved: dict[tuple[int, str], int] = {}
            for proposal in proposals:
                state = states.get((proposal.project, proposal.name)) if proposal.run_id in held else None
                if state is None or state.type != proposal.type or not gone.isdisjoint(proposal.links):
                    outcomes.append(_refusal(proposal, state, gone))
                    continue
                created = state.digest != proposal.digest
                if created:
                    state.number = state.last = state.last + 1
                    state.digest = proposal.digest
                    new_versions.append(_version_row(state, proposal, now))
                moved |= {(state.artifact_id, name): state.number for name in (*proposal.aliases, "latest")}
                edges.append(_edge_row(proposal.run_id, state.artifact_id, state.number, "logged", now))
                outcomes.append((state, state.number, created))
            if new_versions:
                await connection.execute(version.insert(), new_versions)
            await _move_aliases(connection, moved)
            if edges:
                await connection.execute(edge.insert(), edges)
            given = [outcome for outcome in outcomes if isinstance(outcome, tuple)]
            records = await records_of(connection, [(state.artifact_id, number) for state, number, _ in given])
        return [
            Outcome(records[outcome[0].artifact_id, outcome[1]], outcome[2])
            if isinstance(outcome, tuple)
            else Outcome(error=outcome)
            for outcome in outcomes
        ]

    @to_its_end
    async def find(self, project_name: str, name: str, alias_name: str) -> Record:
        """Return the version that an alias, or ``v`` and a number, means.

        Raises:
            RegistryError: There is no such project, artifact, version or alias.
        """
        async with self.begin() as connection:
            return await find_record(connection, project_name, name, alias_name)

    @to_its_end
    async def use(self, run_id: str, record: Record) -> None:
        """Note that a run has a version as its input."""
        async with self.begin() as connection:
            row = _edge_row(run_id, record.artifact_id, record.number, "used", datetime.now(UTC))
            await connection.execute(edge.insert(), [row])

    @to_its_end
    async def type_of(self, project_name: str, name: str) -> str | None:
        """Return an artifact's type, or ``None`` if there is no such artifact."""
        query = sql.select(artifact.c.type).join(project).where(project.c.name == project_name, artifact.c.name == name)
        async with self.begin() as connection:
            return (await connection.execute(query)).scalar_one_or_none()

    @to_its_end
    async def newest(self, project_name: str | None, type_name: str | None) -> list[Record]:
        """Return the newest version of each artifact, by project and name."""
        async with self.begin() as connection:
            keys = await newest_keys(connection, project_name, type_name)
            records = await records_of(connection, keys)
        return [records[key] for key in keys]

    @to_its_end
    async def lineage(self, run_id: str) -> list[tuple[str, Record]]:
        """Return what a run used and logged, in the order in which it did: ``("used" | "logged", version)``."""
        query = (
            sql.select(edge.c.kind, edge.c.artifact_id, edge.c.number)
            .where(edge.c.run_id == run_id)
            .order_by(edge.c.id)
        )
        async with self.begin() as connection:
            rows = (await connection.execute(query)).all()
            records = await records_of(connection, [(row.artifact_id, row.number) for row in rows])
        return list(dict.fromkeys((row.kind, records[row.artifact_id, row.number]) for row in rows))


@dataclass(slots=True)
class _State:
    """An artifact while versions are added to it: its newest version, and the last number that was ever given."""

    artifact_id: int
    type: str
    number: int
    digest: str | None
    last: int


async def _project_id(connection: AsyncConnection, name: str) -> int:
    query = sql.select(project.c.id).where(project.c.name == name)
    found: int | None = (await connection.execute(query)).scalar_one_or_none()
    if found is not None:
        return found
    return await _insert(connection, project.insert().values(name=name))


async def _insert(connection: AsyncConnection, row: sql.Insert) -> int:
    key = (await connection.execute(row)).inserted_primary_key
    if key is None:
        raise RuntimeError("the database gave no key for a new row")
    return int(key[0])


async def _states(connection: AsyncConnection, proposals: Sequence[Proposal]) -> dict[tuple[str, str], _State]:
    """Return each proposal's artifact with its newest version; makes those that are new."""
    states: dict[tuple[str, str], _State] = {}
    for proposal in proposals:
        key = proposal.project, proposal.name
        if key in states:
            continue
        project_id = await _project_id(connection, proposal.project)
        query = sql.select(artifact.c.id, artifact.c.type).where(
            artifact.c.project_id == project_id, artifact.c.name == proposal.name
        )
        found = (await connection.execute(query)).one_or_none()
        if found is None:
            row = artifact.insert().values(project_id=project_id, name=proposal.name, type=proposal.type)
            artifact_id = await _insert(connection, row)
            states[key] = _State(artifact_id, proposal.type, -1, None, -1)
            continue
        numbered = sql.select(sql.func.max(version.c.number)).where(version.c.artifact_id == found.id)
        last: int | None = (await connection.execute(numbered)).scalar_one()
        newest = (
            sql.select(version.c.digest, version.c.number)
            .where(version.c.artifact_id == found.id, version.c.deleted_at.is_(None))
            .order_by(version.c.number.desc())
            .limit(1)
        )
        standing = (await connection.execute(newest)).one_or_none()
        states[key] = _State(
            found.id,
            found.type,
            standing.number if standing else -1,
            standing.digest if standing else None,
            -1 if last is None else last,
        )
    return states


def _version_row(state: _State, proposal: Proposal, now: datetime) -> dict[str, Any]:
    return {
        "artifact_id": state.artifact_id,
        "number": state.number,
        "digest": proposal.digest,
        "pin_digest": proposal.pin_digest,
        "manifest": proposal.manifest,
        "entry_count": proposal.entry_count,
        "size": proposal.size,
        "description": proposal.description,
        "metadata": proposal.metadata,
        "receipts": proposal.receipts,
        "created_at": now,
    }


def _edge_row(run_id: str, artifact_id: int, number: int, kind: str, now: datetime) -> dict[str, Any]:
    return {"run_id": run_id, "artifact_id": artifact_id, "number": number, "kind": kind, "at": now}


async def _move_aliases(connection: AsyncConnection, moved: dict[tuple[int, str], int]) -> None:
    if not moved:
        return
    await connection.execute(
        alias.delete().where(
            alias.c.artifact_id == sql.bindparam("artifact"), alias.c.alias == sql.bindparam("moved_alias")
        ),
        [{"artifact": artifact_id, "moved_alias": name} for artifact_id, name in moved],
    )
    await connection.execute(
        alias.insert(),
        [{"artifact_id": key[0], "alias": key[1], "number": number} for key, number in moved.items()],
    )


def _refusal(proposal: Proposal, state: _State | None, gone: set[str]) -> RefscanError:
    if state is None:
        return StoreError(
            f"{proposal.project}/{proposal.name} was not logged: garbage collection took its run for dead and may have "
            "removed what it had stored; fill and log it again in a new run"
        )
    if lost := sorted(gone.intersection(proposal.links)):
        return ArtifactError(
            f"{proposal.project}/{proposal.name} was not logged: its entries refer to {lost[0]}, which was deleted "
            "meanwhile; fill it again from a version that is left"
        )
    return ArtifactError(
        f"the artifact {proposal.project}/{proposal.name} has the type {state.type!r}, and a name keeps its type; "
        f"log {proposal.type!r} under another name"
    )
