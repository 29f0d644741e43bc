"""google-cloud-storage: ``list_blobs`` as it is mostly called, with whole items, into a dictionary by name."""

from __future__ import annotations

from urllib.parse import urlsplit

from google.cloud import storage

__all__ = ["run"]


async def run(uri: str, *, versions: bool) -> int:
    """Return the number of objects recorded."""
    del versions  # each object has its generation
    location = urlsplit(uri)
    blobs = storage.Client().list_blobs(location.netloc, prefix=location.path[1:])
    entries = {blob.name: (blob.size, blob.etag, blob.generation, blob.md5_hash) for blob in blobs}
    return len(entries)
