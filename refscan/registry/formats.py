"""The formats of the registry's tables, and how older ones become the newest."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncConnection

from refscan.errors import StoreError
from refscan.registry.tables import metadata

__all__ = ["bring_up_to_date"]

_FORMAT = 2
_STEPS = {
    # Versions may be deleted, runs have leases.
    1: ("ALTER TABLE version ADD COLUMN deleted_at DATETIME",),
}


async def bring_up_to_date(connection: AsyncConnection, path: Path) -> None:
    """Make the tables of a new registry, or change those of an older release; all in the caller's transaction.

    Raises:
        StoreError: A later release wrote the registry.
    """
    found = int((await connection.exec_driver_sql("PRAGMA user_version")).scalar_one())
    if found > _FORMAT:
        raise StoreError(f"the registry {path} was written by a later release; upgrade refscan")
    if found == _FORMAT:
        return
    # A new registry gets all tables as they are now.
    for step in range(found or _FORMAT, _FORMAT):
        for statement in _STEPS[step]:
            await connection.exec_driver_sql(statement)
    await connection.run_sync(metadata.create_all)
    await connection.exec_driver_sql(f"PRAGMA user_version={_FORMAT}")
