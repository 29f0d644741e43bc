"""aiohttp: HEAD for each URL, with bounded concurrency, into a dictionary by URL."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import aiohttp
from url_list import CONCURRENCY, urls_of

__all__ = ["run"]


async def run(uri: str, *, versions: bool) -> int:
    """Return the number of URLs recorded."""
    del versions
    urls = iter(urls_of(uri))
    entries = {}

    async def work(session: aiohttp.ClientSession, urls: Iterator[str]) -> None:
        for url in urls:
            async with session.head(url) as response:
                response.raise_for_status()
                entries[url] = (response.headers["ETag"].strip('"'), int(response.headers["Content-Length"]))

    connector = aiohttp.TCPConnector(limit=CONCURRENCY)
    async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as group:
        for _ in range(CONCURRENCY):
            group.create_task(work(session, urls))
    return len(entries)
