"""All versions of a bucket's objects: ``ListObjectVersions`` with what is not the latest, and copies from archives."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from botocore.exceptions import ClientError

from refscan.errors import StoreError
from refscan.sources.history import HISTORY_SCHEMA, HistoryPage
from refscan.sources.s3.client import BODY, is_whole
from refscan.sources.s3.direct import Direct
from refscan.sources.s3.errors import is_denied
from refscan.sources.s3.listing import Listing
from refscan.sources.s3.quick import read_at_once
from refscan.sources.s3.unescape import unquote
from refscan.sources.s3.xml import read_listing

__all__ = ["has_readable_copy", "list_history", "parse_history"]

_OPERATION = "ListObjectVersions"


async def list_history(
    direct: Direct, ask: Callable[..., Awaitable[Any]], prefix: str, after: str, page_size: int
) -> HistoryPage | None:
    """Return the page behind a key; ``None``: versions may not be listed.

    Only the key is given as marker, no version: old versions by the thousand are passed over that way.

    Args:
        direct: Sends the request without the SDK.
        ask: Asks the SDK for the same.
        prefix: What the keys begin with.
        after: The key to begin behind.
        page_size: Versions and delete markers in a page, at most.
    """
    parameters = {"encoding-type": "url", "versions": "", "prefix": prefix, "max-keys": str(page_size)}
    answer = await direct.list(parameters | ({"key-marker": after} if after else {}))
    if answer and is_whole(answer.body, _OPERATION):
        return parse_history(answer.body)
    if answer:
        direct.miss()
    try:
        found = await ask(Prefix=prefix, MaxKeys=page_size, **({"KeyMarker": after} if after else {}))
    except ClientError as error:
        if not is_denied(error):
            raise
        return None
    return parse_history(found[BODY]) if BODY in found else _as_parsed(found)


def has_readable_copy(restore: str | None) -> bool:
    """Read ``x-amz-restore`` (S3 API reference, ``HeadObject``): whether a copy was made and has not expired."""
    return restore is not None and 'ongoing-request="false"' in restore


def parse_history(body: bytes) -> HistoryPage:
    """Read the body of a ``ListObjectVersions`` answer.

    Raises:
        StoreError: It is not well-formed, holds a document type, or lacks what every listing has.
    """
    try:
        return _to_page(read_at_once(body) or read_listing(body))
    except (ValueError, pa.ArrowInvalid) as error:
        raise StoreError(f"the store sent a listing that cannot be read: {error}") from error


def _to_page(listing: Listing) -> HistoryPage:
    columns, marks = listing.columns, listing.marks
    encoded = marks.get("EncodingType") == "url"
    keys = columns.get("Key", pa.array([], pa.string()))
    length = len(keys)

    def column(field: str) -> pa.Array:
        values = columns.get(field)
        return pa.nulls(length, pa.string()) if values is None else values

    truncated = marks.get("IsTruncated", "").strip().lower()
    if truncated not in ("true", "false"):
        raise ValueError("it does not say clearly whether there is more")
    keys = unquote(keys) if encoded else keys
    next_key = marks.get("NextKeyMarker") or listing.last_key
    # Some stores encode keys, but not the marker.
    if encoded and next_key is not None and not (length and next_key == keys[-1].as_py()):
        next_key = unquote(pa.array([next_key], pa.string()))[0].as_py()
    if truncated == "true" and next_key is None:
        raise ValueError("it says that there is more, and not where")
    latest = pc.fill_null(pc.equal(pc.ascii_lower(column("IsLatest")), "true"), "IsLatest" not in columns)
    rows = [
        keys,
        column("VersionId"),
        latest,
        pa.repeat(pa.scalar(False), length),
        column("Size").cast(pa.int64()),
        pc.utf8_trim(column("ETag"), '"'),
        column("StorageClass"),
    ]
    return HistoryPage(
        pa.record_batch(rows, schema=HISTORY_SCHEMA), next_after=next_key if truncated == "true" else None
    )


def _as_parsed(answer: Mapping[str, Any]) -> HistoryPage:
    """Read what the SDK has parsed; it keeps versions and delete markers apart."""
    if "IsTruncated" not in answer:
        raise StoreError("the store sent a listing that cannot be read: it is no listing")
    found, markers = answer.get("Versions", ()), answer.get("DeleteMarkers", ())
    rows = [
        {
            "key": entry["Key"],
            "version_id": entry.get("VersionId") or None,
            "is_latest": entry.get("IsLatest", True),
            "is_deleted": False,
            "size": entry.get("Size"),
            "e_tag": entry.get("ETag", "").strip('"') or None,
            "storage_class": entry.get("StorageClass") or None,
        }
        for entry in found
    ]
    last = max((entry["Key"] for entry in (*found, *markers)), default=None)
    following = (answer.get("NextKeyMarker") or last) if answer["IsTruncated"] else None
    if answer["IsTruncated"] and following is None:
        raise StoreError("the store sent a listing that cannot be read: it says that there is more, and not where")
    return HistoryPage(pa.RecordBatch.from_pylist(rows, HISTORY_SCHEMA), next_after=following)
