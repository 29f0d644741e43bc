"""datachain: the listing alone, ``Client.scandir``, which ``read_storage`` takes its rows from, in memory."""

from __future__ import annotations

import tempfile
from pathlib import Path

from datachain.asyn import iter_over_async
from datachain.cache import Cache
from datachain.client import Client
from datachain_storage import client_config
from fsspec.asyn import get_loop

__all__ = ["run"]


async def run(uri: str, *, versions: bool) -> int:
    """Return the number of objects recorded."""
    with tempfile.TemporaryDirectory(prefix="refscan-bench-") as root:
        cache = Cache(str(Path(root) / "cache"), str(Path(root) / "tmp"))
        client = Client.get_client(uri, cache, **client_config(), version_aware=versions)
        _, prefix = Client.parse_url(uri)
        pages = list(iter_over_async(client.scandir(prefix.rstrip("/")), get_loop()))
        # Of a versioned bucket it gives every version.
        return sum(sum(row.is_latest for row in page) if versions else len(page) for page in pages)
