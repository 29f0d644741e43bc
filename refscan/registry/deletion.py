"""Versions and aliases, deleted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import sqlalchemy as sql
from anyio import to_thread
from sqlalchemy.ext.asyncio import AsyncConnection

from refscan.errors import ArtifactError, RegistryError
from refscan.registry.links import linked_versions
from refscan.registry.records import Record
from refscan.registry.registry import Registry
from refscan.registry.tables import alias, artifact, project, version
from refscan.registry.uncancelled import to_its_end
from refscan.registry.version_rows import find_artifact, find_record

__all__ = ["LATEST", "delete_alias", "delete_version", "delete_versions", "links_to"]

LATEST = "latest"


async def delete_version(
    registry: Registry,
    project_name: str,
    name: str,
    alias_name: str,
    *,
    delete_aliases: bool = False,
    force: bool = False,
) -> Record:
    """Delete a version, and return what it was.

    Its number is never given again, ``latest`` moves to the newest version that is left, and lineage still tells of
    it. What it alone needed stays in the store until garbage is collected.

    Args:
        registry: An open registry.
        project_name: The project.
        name: The artifact.
        alias_name: An alias, or ``v`` and a number.
        delete_aliases: Delete it with its aliases; ``latest`` needs no leave.
        force: Delete it although entries of other versions refer to its entries; these cannot be had then.

    Raises:
        RegistryError: There is no such version.
        ArtifactError: It has aliases, or is referred to.
    """
    record = await _find(registry, project_name, name, alias_name)
    own = [given for given in record.aliases if given != LATEST]
    title = f"{record.project}/{record.name}:v{record.number}"
    if own and not delete_aliases:
        raise ArtifactError(
            f"{title} has the alias {', '.join(own)}; delete that first, or pass delete_aliases=True (--delete-aliases)"
        )
    if not force and (users := await links_to(registry, [record])):
        user = next(iter(users.values()))
        raise ArtifactError(f"entries of {user} refer to {title}; delete that first, or pass force=True (--force)")
    if not await delete_versions(registry, [(record.artifact_id, record.number)], delete_aliases=delete_aliases):
        raise ArtifactError(f"{title} was given an alias or deleted meanwhile; look at it, and delete it again")
    return record


async def links_to(registry: Registry, records: Sequence[Record]) -> dict[tuple[int, int], str]:
    """Return which of the versions are referred to by entries of versions besides them, and by one of which."""
    among = {(record.artifact_id, record.number) for record in records}
    titles = {
        f"refscan://{record.project}/{record.name}:v{record.number}": (record.artifact_id, record.number)
        for record in records
    }
    others = {manifest: title for key, manifest, title in await _manifests(registry) if key not in among}
    found: dict[tuple[int, int], str] = {}

    def look() -> None:
        for manifest, uri in linked_versions(registry.store, others):
            if uri in titles:
                found.setdefault(titles[uri], others[manifest])

    await to_thread.run_sync(look)
    return found


@to_its_end
async def delete_versions(
    registry: Registry, keys: Iterable[tuple[int, int]], *, delete_aliases: bool = False
) -> list[tuple[int, int]]:
    """Delete versions by artifact's key and number in one transaction, and return which were deleted.

    One that got an alias meanwhile is left, unless its aliases may go.
    """
    deleted = []
    async with registry.catalog.begin() as connection:
        for artifact_id, number in keys:
            here = (alias.c.artifact_id == artifact_id) & (alias.c.number == number)
            named = sql.select(alias.c.alias).where(here, alias.c.alias != LATEST).limit(1)
            if not delete_aliases and (await connection.execute(named)).first() is not None:
                continue
            done = await connection.execute(
                version.update()
                .where(version.c.artifact_id == artifact_id, version.c.number == number, version.c.deleted_at.is_(None))
                .values(deleted_at=datetime.now(UTC), description=None, metadata="{}", receipts="[]")
            )
            if done.rowcount:
                await connection.execute(alias.delete().where(here))
                deleted.append((artifact_id, number))
        for artifact_id in {artifact_id for artifact_id, _ in deleted}:
            await _move_latest(connection, artifact_id)
    return deleted


@to_its_end
async def delete_alias(registry: Registry, project_name: str, name: str, alias_name: str) -> None:
    """Delete an alias; its version stays.

    Raises:
        RegistryError: There is no such artifact or alias.
        ArtifactError: It is ``latest``, which moves by itself.
    """
    if alias_name == LATEST:
        raise ArtifactError(f"{project_name}/{name}: latest is always the newest version; delete that version instead")
    async with registry.catalog.begin() as connection:
        artifact_id = await find_artifact(connection, project_name, name)
        done = await connection.execute(
            alias.delete().where(alias.c.artifact_id == artifact_id, alias.c.alias == alias_name)
        )
        if not done.rowcount:
            raise RegistryError(
                f"{project_name}/{name} has no alias {alias_name!r}; `refscan artifact ls` shows those of its newest"
            )


async def _move_latest(connection: AsyncConnection, artifact_id: int) -> None:
    """Make ``latest`` the newest version that is left."""
    query = sql.select(sql.func.max(version.c.number)).where(
        version.c.artifact_id == artifact_id, version.c.deleted_at.is_(None)
    )
    newest: int | None = (await connection.execute(query)).scalar_one()
    standing = (alias.c.artifact_id == artifact_id) & (alias.c.alias == LATEST)
    await connection.execute(alias.delete().where(standing))
    if newest is not None:
        await connection.execute(alias.insert().values(artifact_id=artifact_id, alias=LATEST, number=newest))


@to_its_end
async def _find(registry: Registry, project_name: str, name: str, alias_name: str) -> Record:
    async with registry.catalog.begin() as connection:
        return await find_record(connection, project_name, name, alias_name)


@to_its_end
async def _manifests(registry: Registry) -> list[tuple[tuple[int, int], str, str]]:
    """Return key, manifest and name of all versions."""
    query = (
        sql.select(
            version.c.artifact_id,
            version.c.number,
            version.c.manifest,
            artifact.c.name,
            project.c.name.label("project"),
        )
        .join(artifact, artifact.c.id == version.c.artifact_id)
        .join(project, project.c.id == artifact.c.project_id)
        .where(version.c.deleted_at.is_(None))
    )
    async with registry.catalog.begin() as connection:
        rows = (await connection.execute(query)).all()
    return [((row.artifact_id, row.number), row.manifest, f"{row.project}/{row.name}:v{row.number}") for row in rows]
