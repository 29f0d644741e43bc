"""gcloud-aio-storage: pages of ``list_objects`` with a mask of fields, into a dictionary by name."""

from __future__ import annotations

from urllib.parse import urlsplit

from gcloud.aio.storage import Storage
from gcs_fields import RECORDED

__all__ = ["run"]


async def run(uri: str, *, versions: bool) -> int:
    """Return the number of objects recorded."""
    del versions  # each object has its generation
    location = urlsplit(uri)
    asked = {"prefix": location.path[1:], "fields": RECORDED, "prettyPrint": "false"}
    entries = {}
    async with Storage() as client:
        while True:
            page = await client.list_objects(location.netloc, params=asked)
            for item in page.get("items", ()):
                entries[item["name"]] = (int(item["size"]), item["etag"], int(item["generation"]), item["md5Hash"])
            if not (token := page.get("nextPageToken")):
                return len(entries)
            asked["pageToken"] = token
