"""gcsfs: ``find`` with details, which it hands over by name; it asks for whole items."""

from __future__ import annotations

import gcsfs

__all__ = ["run"]


async def run(uri: str, *, versions: bool) -> int:
    """Return the number of objects recorded."""
    del versions  # each object has its generation
    files = gcsfs.GCSFileSystem(token="anon")
    found = files.find(uri, detail=True, update_cache=False)
    entries = {name: (one["size"], one["etag"], one["generation"], one["md5Hash"]) for name, one in found.items()}
    return len(entries)
