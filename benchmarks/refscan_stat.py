"""refscan: ``HTTPSource.stat`` for each URL, with bounded concurrency; rows with ETag, size and time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from urllib.parse import urldefrag

from url_list import CONCURRENCY, urls_of

from refscan.sources.http import HTTPSource
from refscan.sources.options import HTTPOptions

__all__ = ["run"]


async def run(uri: str, *, versions: bool) -> int:
    """Return the number of URLs recorded."""
    del versions
    base = urldefrag(uri).url
    keys = iter([url.removeprefix(base) for url in urls_of(uri)])
    entries = []

    async def work(source: HTTPSource, keys: Iterator[str]) -> None:
        for key in keys:
            page = await source.stat([key])
            entries.append(page.rows)

    async with HTTPSource(base, HTTPOptions(connections=CONCURRENCY)) as source, asyncio.TaskGroup() as group:
        for _ in range(CONCURRENCY):
            group.create_task(work(source, keys))
    return sum(rows.num_rows for rows in entries)
