"""obstore: ``list`` as Arrow; it has no version IDs."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from obstore.store import AzureStore

__all__ = ["run"]


async def run(uri: str, *, versions: bool) -> int:
    """Return the number of objects recorded."""
    del versions
    _, container, prefix = urlsplit(uri).path[1:].split("/", 2)
    parts = dict(part.split("=", 1) for part in os.environ["AZURE_STORAGE_CONNECTION_STRING"].split(";"))
    store = AzureStore(
        container,
        account_name=parts["AccountName"],
        account_key=parts["AccountKey"],
        endpoint=parts["BlobEndpoint"],
        client_options={"allow_http": True},
    )
    pages = store.list(prefix, chunk_size=5_000, return_arrow=True)
    entries = [page async for page in pages]
    return sum(page.num_rows for page in entries)
