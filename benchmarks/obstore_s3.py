"""obstore: ``list`` as Arrow; it has no version IDs."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from obstore.store import S3Store

__all__ = ["run", "store_of"]


def store_of(bucket: str) -> S3Store:
    """Return the bucket, with credentials from the environment."""
    return S3Store(
        bucket,
        endpoint=os.environ["AWS_S3_ENDPOINT_URL"],
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
    )


async def run(uri: str, *, versions: bool) -> int:
    """Return the number of objects recorded."""
    del versions
    location = urlsplit(uri)
    pages = store_of(location.netloc).list(location.path[1:], chunk_size=1_000, return_arrow=True)
    entries = [page async for page in pages]
    return sum(page.num_rows for page in entries)
