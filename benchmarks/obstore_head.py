"""obstore: ``list``, then ``head_async`` for each key, 64 at once, into a dictionary by key."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from urllib.parse import urlsplit

from obstore.store import S3Store
from obstore_s3 import store_of

__all__ = ["run"]

_CONCURRENCY = 64


async def run(uri: str, *, versions: bool) -> int:
    """Return the number of objects recorded."""
    del versions
    location = urlsplit(uri)
    store = store_of(location.netloc)
    keys: list[str] = []
    async for page in store.list(location.path[1:], chunk_size=1_000, return_arrow=True):
        keys += page.column("path").to_pylist()
    entries: dict[str, tuple[str | None, int, str | None]] = {}

    async def work(store: S3Store, keys: Iterator[str]) -> None:
        for key in keys:
            found = await store.head_async(key)
            entries[key] = (found["e_tag"], found["size"], found["version"])

    shared = iter(keys)
    async with asyncio.TaskGroup() as group:
        for _ in range(_CONCURRENCY):
            group.create_task(work(store, shared))
    return len(entries)
