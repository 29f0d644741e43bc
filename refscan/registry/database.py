"""SQLite, set up for several processes that write at once."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Any

import sqlalchemy as sql
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

__all__ = ["open_engine"]

_BUSY_TIMEOUT = 60_000  # milliseconds that a transaction waits for another process's


def open_engine(path: Path) -> AsyncEngine:
    """Return an engine whose transactions take the write lock as they begin, and are safe on disk when they end."""
    engine = create_async_engine(f"sqlite+aiosqlite:///{path}")
    sql.event.listen(engine.sync_engine, "connect", _prepare_connection)
    sql.event.listen(engine.sync_engine, "begin", _begin)
    return engine


def _prepare_connection(connection: Any, _: object) -> None:
    # The driver must not begin transactions of its own: `_begin` does.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={_BUSY_TIMEOUT}")
    _use_wal(cursor)
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _use_wal(cursor: Any) -> None:
    """Switch to the write-ahead log; SQLite does not wait by itself while another process does the same."""
    deadline = time.monotonic() + _BUSY_TIMEOUT / 1_000
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
