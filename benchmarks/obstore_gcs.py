"""obstore: ``list`` as Arrow, through Google's XML API; it has no generations."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from obstore.store import GCSStore

__all__ = ["run"]


async def run(uri: str, *, versions: bool) -> int:
    """Return the number of objects recorded."""
    del versions
    location = urlsplit(uri)
    store = GCSStore(
        location.netloc,
        base_url=os.environ["STORAGE_EMULATOR_HOST"],
        skip_signature=True,
        client_options={"allow_http": True},
    )
    pages = store.list(location.path[1:], chunk_size=1_000, return_arrow=True)
    entries = [page async for page in pages]
    return sum(page.num_rows for page in entries)
