"""Which versions a rule lets go: the newest stay, and what has an alias."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import sqlalchemy as sql

from refscan.registry.deletion import LATEST, links_to
from refscan.registry.records import Record
from refscan.registry.registry import Registry
from refscan.registry.tables import artifact, project, version
from refscan.registry.uncancelled import to_its_end
from refscan.registry.version_rows import find_artifact, records_of

__all__ = ["expired", "expired_versions"]


def expired(versions: Iterable[Record], *, keep_last: int | None, older_than: datetime | None) -> list[Record]:
    """Return the versions of one artifact that may go, oldest first.

    One stays if it has an alias, is the newest, is one of the newest ``keep_last``, or was made at ``older_than`` or
    later. Without a rule all stay.
    """
    if keep_last is None and older_than is None:
        return []
    newest_first = sorted(versions, key=lambda record: record.number, reverse=True)
    beyond = newest_first[max(1, keep_last or 0) :]
    return [
        record
        for record in reversed(beyond)
        if set(record.aliases) <= {LATEST} and (older_than is None or record.created_at < older_than)
    ]


async def expired_versions(
    registry: Registry,
    *,
    keep_last: int | None = None,
    ttl: timedelta | None = None,
    project_name: str | None = None,
    name: str | None = None,
) -> list[Record]:
    """Return the versions that may go, by artifact and number; those that entries of others refer to stay.

    Args:
        registry: An open registry.
        keep_last: How many of an artifact's newest versions stay.
        ttl: The age up to which versions stay.
        project_name: Only this project's artifacts.
        name: Only this artifact of it.

    Raises:
        RegistryError: There is no such artifact.
    """
    older_than = None if ttl is None else _ago(ttl)
    artifacts = await _versions(registry, project_name, name)
    found = [record for records in artifacts for record in expired(records, keep_last=keep_last, older_than=older_than)]
    while found and (needed := await links_to(registry, found)):
        found = [record for record in found if (record.artifact_id, record.number) not in needed]
    return found


def _ago(age: timedelta) -> datetime:
    now, first = datetime.now(UTC), datetime.min.replace(tzinfo=UTC)
    return now - min(age, now - first)


@to_its_end
async def _versions(registry: Registry, project_name: str | None, name: str | None) -> list[list[Record]]:
    """Return the versions of each artifact."""
    query = (
        sql.select(version.c.artifact_id, version.c.number)
        .join(artifact, artifact.c.id == version.c.artifact_id)
        .join(project, project.c.id == artifact.c.project_id)
        .where(version.c.deleted_at.is_(None))
        .order_by(project.c.name, artifact.c.name, version.c.number)
    )
    async with registry.catalog.begin() as connection:
        if project_name is not None and name is not None:
            query = query.where(artifact.c.id == await find_artifact(connection, project_name, name))
        elif project_name is not None:
            query = query.where(project.c.name == project_name)
        keys = [(row.artifact_id, row.number) for row in await connection.execute(query)]
        records = await records_of(connection, keys)
    grouped: dict[int, list[Record]] = {}
    for key in keys:
        grouped.setdefault(key[0], []).append(records[key])
    return list(grouped.values())
