"""azure-storage-blob's asynchronous client: ``list_blobs``, into a dictionary by name."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from azure.storage.blob.aio import ContainerClient

__all__ = ["run"]


async def run(uri: str, *, versions: bool) -> int:
    """Return the number of objects recorded."""
    _, container, prefix = urlsplit(uri).path[1:].split("/", 2)
    include = ["versions"] if versions else None
    connection = os.environ["AZURE_STORAGE_CONNECTION_STRING"]
    entries = {}
    async with ContainerClient.from_connection_string(connection, container) as client:
        async for blob in client.list_blobs(name_starts_with=prefix, include=include):
            if blob.is_current_version is not False:
                entries[blob.name] = (blob.size, blob.etag, blob.version_id)
    return len(entries)
