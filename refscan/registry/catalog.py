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

from refscan.errors import ArtifactError, RegistryError, StoreError
from refscan.registry.database import open_engine
from refscan.registry.records import Outcome, Proposal, Record
from refscan.registry.tables import alias, artifact, edge, metadata, project, run, version
from refscan.registry.uncancelled import to_its_end

__all__ = ["Catalog"]

_LARGEST = 2**63 - 1  # what a column holds
_FORMAT = 1


class Catalog:
    """The tables, behind SQLAlchemy's async engine.

    Every transaction takes the write lock as it begins, so that what it read holds until it commits: two processes
    that log one artifact get consecutive numbers. None is cut in half by cancelling.

    Args:
        path: The SQLite file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
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
        async with self._begin() as connection:
            found = (await connection.exec_driver_sql("PRAGMA user_version")).scalar_one()
            if found > _FORMAT:
                raise StoreError(f"the registry {self.path} was written by a later release; upgrade refscan")
            if found < _FORMAT:
                await connection.run_sync(metadata.create_all)
                await connection.exec_driver_sql(f"PRAGMA user_version={_FORMAT}")

    @to_its_end
    async def close(self) -> None:
        """Close the database."""
        if self._engine is not None:
            await self._engine.dispose()
            self._engine = None

    @asynccontextmanager
    async def _begin(self) -> AsyncIterator[AsyncConnection]:
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
        """Note that a run began; makes its project."""
        async with self._begin() as connection:
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

    @to_its_end
    async def end_run(self, run_id: str, state: str) -> None:
        """Note that a run ended: ``finished`` or ``failed``."""
        async with self._begin() as connection:
            await connection.execute(
                run.update().where(run.c.id == run_id).values(state=state, ended_at=datetime.now(UTC))
            )

    @to_its_end
    async def commit(self, proposals: Sequence[Proposal]) -> list[Outcome]:
        """Give each proposal its version, in order, in one transaction.

        A proposal with the digest of the artifact's newest version makes none. One with another type than the
        artifact's is refused, takes no number, and holds up none behind it.
        """
        async with self._begin() as connection:
            states = await _states(connection, proposals)
            outcomes: list[tuple[Proposal, _State | None, int, bool]] = []
            now = datetime.now(UTC)
            new_versions: list[dict[str, Any]] = []
            edges: list[dict[str, Any]] = []
            moved: dict[tuple[int, str], int] = {}
            for proposal in proposals:
                state = states[proposal.project, proposal.name]
                if state.type != proposal.type:
                    outcomes.append((proposal, None, 0, False))
                    continue
                created = state.digest != proposal.digest
                if created:
                    state.number, state.digest = state.number + 1, proposal.digest
                    new_versions.append(_version_row(state, proposal, now))
                moved |= {(state.artifact_id, name): state.number for name in (*proposal.aliases, "latest")}
                edges.append(_edge_row(proposal.run_id, state.artifact_id, state.number, "logged", now))
                outcomes.append((proposal, state, state.number, created))
            if new_versions:
                await connection.execute(version.insert(), new_versions)
            await _move_aliases(connection, moved)
            if edges:
                await connection.execute(edge.insert(), edges)
            numbers = [(state.artifact_id, number) for _, state, number, _ in outcomes if state is not None]
            records = await _records(connection, numbers)
        return [
            Outcome(records[state.artifact_id, number], created)
            if state is not None
            else Outcome(error=_type_error(proposal, states[proposal.project, proposal.name].type))
            for proposal, state, number, created in outcomes
        ]

    @to_its_end
    async def find(self, project_name: str, name: str, alias_name: str) -> Record:
        """Return the version that an alias, or ``v`` and a number, means.

        Raises:
            RegistryError: There is no such project, artifact, version or alias.
        """
        async with self._begin() as connection:
            return await _find(connection, project_name, name, alias_name)

    @to_its_end
    async def use(self, run_id: str, record: Record) -> None:
        """Note that a run has a version as its input."""
        async with self._begin() as connection:
            row = _edge_row(run_id, record.artifact_id, record.number, "used", datetime.now(UTC))
            await connection.execute(edge.insert(), [row])

    @to_its_end
    async def type_of(self, project_name: str, name: str) -> str | None:
        """Return an artifact's type, or ``None`` if there is no such artifact."""
        query = sql.select(artifact.c.type).join(project).where(project.c.name == project_name, artifact.c.name == name)
        async with self._begin() as connection:
            return (await connection.execute(query)).scalar_one_or_none()

    @to_its_end
    async def newest(self, project_name: str | None, type_name: str | None) -> list[Record]:
        """Return the newest version of each artifact, by project and name."""
        newest = (
            sql.select(version.c.artifact_id, sql.func.max(version.c.number).label("number"))
            .group_by(version.c.artifact_id)
            .subquery()
        )
        query = (
            sql.select(newest.c.artifact_id, newest.c.number)
            .join(artifact, artifact.c.id == newest.c.artifact_id)
            .join(project, project.c.id == artifact.c.project_id)
            .order_by(project.c.name, artifact.c.name)
        )
        if project_name is not None:
            query = query.where(project.c.name == project_name)
        if type_name is not None:
            query = query.where(artifact.c.type == type_name)
        async with self._begin() as connection:
            keys = [(row.artifact_id, row.number) for row in await connection.execute(query)]
            records = await _records(connection, keys)
        return [records[key] for key in keys]

    @to_its_end
    async def lineage(self, run_id: str) -> list[tuple[str, Record]]:
        """Return what a run used and logged, in the order in which it did: ``("used" | "logged", version)``."""
        query = (
            sql.select(edge.c.kind, edge.c.artifact_id, edge.c.number)
            .where(edge.c.run_id == run_id)
            .order_by(edge.c.id)
        )
        async with self._begin() as connection:
            rows = (await connection.execute(query)).all()
            records = await _records(connection, [(row.artifact_id, row.number) for row in rows])
        return list(dict.fromkeys((row.kind, records[row.artifact_id, row.number]) for row in rows))


@dataclass(slots=True)
class _State:
    """An artifact while versions are added to it."""

    artifact_id: int
    type: str
    number: int
    digest: str | None


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
            states[key] = _State(artifact_id, proposal.type, -1, None)
            continue
        newest = (
            sql.select(version.c.number, version.c.digest)
            .where(version.c.artifact_id == found.id)
            .order_by(version.c.number.desc())
            .limit(1)
        )
        last = (await connection.execute(newest)).one_or_none()
        states[key] = _State(found.id, found.type, last.number if last else -1, last.digest if last else None)
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


def _type_error(proposal: Proposal, existing: str) -> ArtifactError:
    return ArtifactError(
        f"the artifact {proposal.project}/{proposal.name} has the type {existing!r}, and a name keeps its type; "
        f"log {proposal.type!r} under another name"
    )


async def _find(connection: AsyncConnection, project_name: str, name: str, alias_name: str) -> Record:
    query = sql.select(artifact.c.id).join(project).where(project.c.name == project_name, artifact.c.name == name)
    artifact_id = (await connection.execute(query)).scalar_one_or_none()
    if artifact_id is None:
        raise RegistryError(f"there is no artifact {project_name}/{name}; `refscan artifact ls` shows those there are")
    number: int | None
    if alias_name[:1] == "v" and alias_name[1:].isdecimal():
        number = min(int(alias_name[1:]), _LARGEST)
    else:
        aliased = sql.select(alias.c.number).where(alias.c.artifact_id == artifact_id, alias.c.alias == alias_name)
        number = (await connection.execute(aliased)).scalar_one_or_none()
    records = {} if number is None else await _records(connection, [(artifact_id, number)])
    if not records:
        known = sql.select(alias.c.alias).where(alias.c.artifact_id == artifact_id).order_by(alias.c.alias)
        names = ", ".join((await connection.execute(known)).scalars())
        raise RegistryError(
            f"{project_name}/{name} has no version or alias {alias_name!r}; its aliases are: {names or 'none'}"
        )
    return next(iter(records.values()))


async def _records(connection: AsyncConnection, keys: Sequence[tuple[int, int]]) -> dict[tuple[int, int], Record]:
    records: dict[tuple[int, int], Record] = {}
    by_artifact: dict[int, set[int]] = {}
    for artifact_id, number in keys:
        by_artifact.setdefault(artifact_id, set()).add(number)
    for artifact_id, numbers in by_artifact.items():
        query = (
            sql.select(version, artifact.c.name, artifact.c.type, project.c.name.label("project"))
            .join(artifact, artifact.c.id == version.c.artifact_id)
            .join(project, project.c.id == artifact.c.project_id)
            .where(version.c.artifact_id == artifact_id, version.c.number.in_(numbers))
        )
        names: dict[int, list[str]] = {}
        aliases = sql.select(alias.c.number, alias.c.alias).where(
            alias.c.artifact_id == artifact_id, alias.c.number.in_(numbers)
        )
        for row in await connection.execute(aliases):
            names.setdefault(row.number, []).append(row.alias)
        for row in await connection.execute(query):
            records[artifact_id, row.number] = _record(row, tuple(sorted(names.get(row.number, ()))))
    return records


def _record(row: Any, aliases: tuple[str, ...]) -> Record:
    return Record(
        artifact_id=row.artifact_id,
        project=row.project,
        name=row.name,
        type=row.type,
        number=row.number,
        digest=row.digest,
        pin_digest=row.pin_digest,
        manifest=row.manifest,
        entry_count=row.entry_count,
        size=row.size,
        description=row.description,
        metadata=row.metadata,
        receipts=row.receipts,
        created_at=row.created_at.replace(tzinfo=row.created_at.tzinfo or UTC),
        aliases=aliases,
    )
