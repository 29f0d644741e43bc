"""aiobotocore: the paginator of ``ListObjectsV2``, then HEAD for each key, 64 at once, into a dictionary by key."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

__all__ = ["run"]

_CONCURRENCY = 64


async def run(uri: str, *, versions: bool) -> int:
    """Return the number of objects recorded."""
    del versions
    location = urlsplit(uri)
    entries: dict[str, tuple[str, int, str | None]] = {}

    async def work(client: Any, keys: Iterator[str]) -> None:
        for key in keys:
            found = await client.head_object(Bucket=location.netloc, Key=key)
            entries[key] = (found["ETag"].strip('"'), found["ContentLength"], found.get("VersionId"))

    config = AioConfig(max_pool_connections=_CONCURRENCY)
    endpoint = os.environ["AWS_S3_ENDPOINT_URL"]
    async with get_session().create_client("s3", endpoint_url=endpoint, config=config) as client:
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=location.netloc, Prefix=location.path[1:])
        shared = iter([found["Key"] async for page in pages for found in page.get("Contents", ())])
        async with asyncio.TaskGroup() as group:
            for _ in range(_CONCURRENCY):
                group.create_task(work(client, shared))
    return len(entries)
