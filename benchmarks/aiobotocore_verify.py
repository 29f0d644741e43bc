"""aiobotocore: HEAD with the version ID for each recorded object, 64 at once; listing them first is not measured."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from recorded import forget_requests

__all__ = ["prepare", "run"]

_CONCURRENCY = 64
_RECORDED: list[tuple[str, str, str]] = []


def _client() -> Any:
    config = AioConfig(max_pool_connections=_CONCURRENCY)
    return get_session().create_client("s3", endpoint_url=os.environ["AWS_S3_ENDPOINT_URL"], config=config)


async def prepare(uri: str) -> None:
    """List key, version ID and ETag of what is to be verified."""
    location = urlsplit(uri)
    async with _client() as client:
        pages = client.get_paginator("list_object_versions").paginate(Bucket=location.netloc, Prefix=location.path[1:])
        _RECORDED[:] = [(one["Key"], one["VersionId"], one["ETag"]) async for page in pages for one in page["Versions"]]
    forget_requests()


async def run(uri: str, *, versions: bool) -> int:
    """Return the number of objects whose version is there with its ETag."""
    del versions
    bucket = urlsplit(uri).netloc
    same: list[str] = []

    async def work(client: Any, recorded: Iterator[tuple[str, str, str]]) -> None:
        for key, version_id, e_tag in recorded:
            found = await client.head_object(Bucket=bucket, Key=key, VersionId=version_id)
            if found["ETag"] == e_tag:
                same.append(key)

    async with _client() as client, asyncio.TaskGroup() as group:
        shared = iter(_RECORDED)
        for _ in range(_CONCURRENCY):
            group.create_task(work(client, shared))
    return len(same)
