"""Versions, read from the catalog's tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sql
from sqlalchemy.ext.asyncio import AsyncConnection

from refscan.errors import RegistryError
from refscan.registry.records import Record
from refscan.registry.tables import alias, artifact, project, version

__all__ = ["deleted_among", "find_artifact", "find_record", "newest_keys", "records_of"]

_LARGEST = 2**63 - 1  # what a column holds
_AT_ONCE = 1_000  # numbers in one query: databases take only so many


async def find_artifact(connection: AsyncConnection, project_name: str, name: str) -> int:
    """Return an artifact's key.

    Raises:
        RegistryError: There is none.
    """
    query = sql.select(artifact.c.id).join(project).where(project.c.name == project_name, artifact.c.name == name)
    found: int | None = (await connection.execute(query)).scalar_one_or_none()
    if found is None:
        raise RegistryError(f"there is no artifact {project_name}/{name}; `refscan artifact ls` shows those there are")
    return found


async def newest_keys(
    connection: AsyncConnection, project_name: str | None, type_name: str | None
) -> list[tuple[int, int]]:
    """Return key and number of each artifact's newest version, by project and name."""
    newest = (
        sql.select(version.c.artifact_id, sql.func.max(version.c.number).label("number"))
        .where(version.c.deleted_at.is_(None))
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
    return [(row.artifact_id, row.number) for row in await connection.execute(query)]


async def deleted_among(connection: AsyncConnection, uris: Iterable[str]) -> set[str]:
    """Return which of these versions, ``refscan://PROJECT/NAME:vN``, were deleted."""
    found = set()
    for uri in uris:
        project_name, _, rest = uri.removeprefix("refscan://").partition("/")
        name, _, number = rest.rpartition(":v")
        query = (
            sql.select(version.c.deleted_at)
            .join(artifact, artifact.c.id == version.c.artifact_id)
            .join(project, project.c.id == artifact.c.project_id)
            .where(project.c.name == project_name, artifact.c.name == name, version.c.number == int(number))
        )
        if (await connection.execute(query)).scalar_one_or_none() is not None:
            found.add(uri)
    return found


async def find_record(connection: AsyncConnection, project_name: str, name: str, alias_name: str) -> Record:
    """Return the version that an alias, or ``v`` and a number, means.

    Raises:
        RegistryError: There is no such artifact, version or alias, or the version was deleted.
    """
    artifact_id = await find_artifact(connection, project_name, name)
    number: int | None
    if alias_name[:1] == "v" and alias_name[1:].isdecimal():
        number = min(int(alias_name[1:]), _LARGEST)
    else:
        aliased = sql.select(alias.c.number).where(alias.c.artifact_id == artifact_id, alias.c.alias == alias_name)
        number = (await connection.execute(aliased)).scalar_one_or_none()
    records = {} if number is None else await records_of(connection, [(artifact_id, number)])
    if not records:
        known = sql.select(alias.c.alias).where(alias.c.artifact_id == artifact_id).order_by(alias.c.alias)
        names = ", ".join((await connection.execute(known)).scalars())
        raise RegistryError(
            f"{project_name}/{name} has no version or alias {alias_name!r}; its aliases are: {names or 'none'}"
        )
    record = next(iter(records.values()))
    if record.deleted_at is not None:
        raise RegistryError(f"{project_name}/{name}:v{record.number} was deleted on {record.deleted_at:%Y-%m-%d}")
    return record


async def records_of(connection: AsyncConnection, keys: Sequence[tuple[int, int]]) -> dict[tuple[int, int], Record]:
    """Return versions by their keys and numbers, deleted ones too."""
    records: dict[tuple[int, int], Record] = {}
    by_artifact: dict[int, list[int]] = {}
    for artifact_id, number in dict.fromkeys(keys):
        by_artifact.setdefault(artifact_id, []).append(number)
    parts = [
        (artifact_id, all_numbers[start : start + _AT_ONCE])
        for artifact_id, all_numbers in by_artifact.items()
        for start in range(0, len(all_numbers), _AT_ONCE)
    ]
    for artifact_id, numbers in parts:
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
        created_at=_with_zone(row.created_at),
        aliases=aliases,
        deleted_at=None if row.deleted_at is None else _with_zone(row.deleted_at),
    )


def _with_zone(moment: datetime) -> datetime:
    return moment.replace(tzinfo=moment.tzinfo or UTC)
