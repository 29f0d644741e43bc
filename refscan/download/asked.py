"""One entry checked by requests of its own: where a listing cannot tell, or does not pay."""

from __future__ import annotations

import os
import stat
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pyarrow as pa
from anyio import to_thread

from refscan.download.history_join import RULES, Codes, Rules
from refscan.download.identity import is_recorded, is_unread_file
from refscan.download.resolver import Object, Resolver
from refscan.download.status import (
    ARCHIVED,
    CHANGED,
    DELETE_MARKED,
    MISSING,
    PRESENT,
    SUPERSEDED,
    UNCHECKED,
)
from refscan.errors import (
    AccessDeniedError,
    DigestMismatchError,
    ObjectNotFoundError,
    RegistryError,
    UnsupportedSchemeError,
)
from refscan.first_error import one_error
from refscan.sources.history import History
from refscan.sources.local.errors import translated
from refscan.sources.local.files import open_at_once
from refscan.sources.source import Source

__all__ = ["Asking"]

_CONCURRENCY = 64

Row = Mapping[str, Any]


class Asking:
    """Asks for single entries, a bounded number at once.

    An object is asked for as it is now; only if that is not the recorded version, that one is asked for too.

    Args:
        resolver: Finds them.
    """

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._slots = anyio.Semaphore(_CONCURRENCY)

    async def check(self, rows: Sequence[Row]) -> Codes:
        """Return the status of each row of ``MANIFEST_SCHEMA``."""
        return await self.each(self._check, rows)

    async def each(self, ask: Callable[[Row], Awaitable[int]], rows: Sequence[Row]) -> Codes:
        """Return what is answered for each row."""
        codes = np.full(len(rows), MISSING, np.int8)
        left = iter(enumerate(rows))

        async def work() -> None:
            for index, row in left:
                async with self._slots:
                    codes[index] = await ask(row)

        with one_error():
            async with anyio.create_task_group() as group:
                for _ in range(min(_CONCURRENCY, len(rows))):
                    group.start_soon(work)
        return codes

    async def _check(self, row: Row) -> int:
        try:
            found = await self._resolver.resolve(row)
            if found.location.store == "file":
                return await to_thread.run_sync(_check_file, found)
            async with self._resolver.source(found) as source:
                return await _check_object(source, found)
        except UnsupportedSchemeError:
            return UNCHECKED
        except (ObjectNotFoundError, RegistryError):
            return MISSING
        except DigestMismatchError:
            return CHANGED


async def _check_object(source: Source, found: Object) -> int:
    if found.version_id is None or not isinstance(source, History):
        now = await _stat(source, found, found.version_id)
        return MISSING if now is None else await _judge(source, found, now, PRESENT)
    latest, there = None, PRESENT
    try:
        latest = await _stat(source, found, None)
        there = DELETE_MARKED if latest is None else SUPERSEDED
    except AccessDeniedError:
        pass  # who may read versions need not be one who may read what is current
    if latest is not None and latest.column("version_id")[0].as_py() == found.version_id:
        return await _judge(source, found, latest, PRESENT)
    pinned = await _stat(source, found, found.version_id)
    if pinned is None:
        return CHANGED if latest is not None and _rules(found).replaced else MISSING
    return await _judge(source, found, pinned, there)


async def _judge(source: Source, found: Object, rows: pa.RecordBatch, there: int) -> int:
    """Return the status of an object whose recorded version, or only one, is what ``rows`` tells."""
    rules, now = _rules(found), rows.to_pylist()[0]
    # A fact that was not recorded, as in some of W&B's manifests, tells nothing.
    if found.size is not None and now["size"] != found.size:
        return CHANGED
    if found.location.store == "fsspec" and found.e_tag is None:
        refs = source.refs(rows.column("key"))
        digests = [await how(rows, refs) for how in (source.digests, source.uri_digests)]
        return there if found.digest in [digest[0].as_py() for digest in digests] else CHANGED
    if rules.e_tags and found.e_tag is not None and now["e_tag"] != found.e_tag:
        return CHANGED
    if rules.e_tags and not found.is_of_time(now["last_modified"]):
        return CHANGED
    if now["storage_class"] not in rules.archived:
        return there
    restored = isinstance(source, History) and await source.is_restored(found.location.key, found.version_id)
    return there if restored else ARCHIVED


def _rules(found: Object) -> Rules:
    return RULES.get(found.location.store, Rules())


async def _stat(source: Source, found: Object, version_id: str | None) -> pa.RecordBatch | None:
    rows = (await source.stat([found.location.key], version_id=version_id)).rows
    return rows if rows.num_rows else None


def _check_file(found: Object) -> int:
    path = Path("/" + found.location.key)
    with translated(found.uri):
        if not stat.S_ISREG(path.stat().st_mode):
            return MISSING
        if is_recorded(path, found) or is_unread_file(found):
            return PRESENT
        os.close(open_at_once(str(path)))  # of what cannot be read, nobody knows that it changed
    return CHANGED
