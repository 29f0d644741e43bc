"""aiobotocore: its paginator into a dictionary by key; no order to keep, no digests, nothing checked."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from aiobotocore.session import get_session

__all__ = ["run"]


async def run(uri: str, *, versions: bool) -> int:
    """Return the number of objects recorded."""
    location = urlsplit(uri)
    operation, field = ("list_object_versions", "Versions") if versions else ("list_objects_v2", "Contents")
    entries = {}
    async with get_session().create_client("s3", endpoint_url=os.environ["AWS_S3_ENDPOINT_URL"]) as client:
        pages = client.get_paginator(operation).paginate(Bucket=location.netloc, Prefix=location.path[1:])
        async for page in pages:
            for found in page.get(field, ()):
                if found.get("IsLatest", True):
                    entries[found["Key"]] = (found["ETag"].strip('"'), found["Size"], found.get("VersionId"))
    return len(entries)
