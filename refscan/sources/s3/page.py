"""From the body of a listing to columns."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from refscan.errors import StoreError
from refscan.sources.s3.client import BODY
from refscan.sources.s3.listing import Listing
from refscan.sources.s3.quick import read_at_once
from refscan.sources.s3.unescape import holds, unquote
from refscan.sources.s3.xml import read_listing
from refscan.sources.source import PAGE_SCHEMA, page_rows

__all__ = ["S3Page", "page_of", "parse_page"]


_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class S3Page:
    """What one listing says.

    Attributes:
        rows: The current objects, as ``PAGE_SCHEMA``.
        truncated: There is more.
        next_key: The last key the page speaks of, if there is more.
        token: The continuation token, if there is one.
    """

    rows: pa.RecordBatch
    truncated: bool
    next_key: str | None
    token: str | None


def page_of(answer: Mapping[str, Any]) -> S3Page:
    """Read a listing that the client answered: from its raw body, or as far as the SDK has parsed it."""
    if BODY in answer:
        return parse_page(answer[BODY])
    if "IsTruncated" not in answer:
        raise _unreadable("it is no listing")
    found = [*answer.get("Versions", ()), *answer.get("Contents", ())]
    entries = [entry for entry in found if entry.get("IsLatest", True)]
    rows = page_rows(
        key=[entry["Key"] for entry in entries],
        size=[entry.get("Size") for entry in entries],
        e_tag=[entry.get("ETag", "").strip('"') or None for entry in entries],
        version_id=[entry.get("VersionId") or None for entry in entries],
        last_modified=[entry.get("LastModified") for entry in entries],
        storage_class=[entry.get("StorageClass") or None for entry in entries],
    )
    last_key = max((entry["Key"] for entry in (*found, *answer.get("DeleteMarkers", ()))), default=None)
    try:
        return _followed(
            rows,
            truncated=bool(answer["IsTruncated"]),
            next_key=answer.get("NextKeyMarker") or last_key,
            token=answer.get("NextContinuationToken"),
        )
    except ValueError as error:
        raise _unreadable(error) from error


def parse_page(body: bytes) -> S3Page:
    """Read the body of a ``ListObjectsV2`` or ``ListObjectVersions`` answer.

    Versions that are not the latest, and delete markers, are left out.

    Raises:
        StoreError: It is not well-formed, holds a document type, or lacks what every listing has.
    """
    try:
        listing = read_at_once(body) or read_listing(body)
        return _to_page(listing)
    except (ValueError, pa.ArrowInvalid) as error:
        raise _unreadable(error) from error


def _unreadable(reason: object) -> StoreError:
    return StoreError(f"the store sent a listing that cannot be read: {reason}")


def _followed(rows: pa.RecordBatch, *, truncated: bool, next_key: str | None, token: str | None) -> S3Page:
    """Return a page that says how to go on behind it."""
    if truncated and next_key is None and token is None:
        raise ValueError("it says that there is more, and not where")
    return S3Page(rows, truncated, next_key if truncated else None, token)


def _to_page(listing: Listing) -> S3Page:
    columns, marks = listing.columns, listing.marks
    keys = columns["Key"] if "Key" in columns else pa.nulls(0, pa.string())
    length = len(keys)
    if marks.get("EncodingType") == "url":
        keys = unquote(keys)
    next_key = _next_key(listing, keys)
    truncated = _has_more(marks, anything=next_key is not None)

    def column(field: str) -> pa.Array:
        values = columns.get(field)
        return pa.nulls(length, pa.string()) if values is None else values

    rows = page_rows(
        key=keys,
        size=_sizes(column("Size")),
        e_tag=_unquoted(column("ETag")),
        version_id=column("VersionId"),
        last_modified=_times(column("LastModified")),
        storage_class=column("StorageClass"),
    )
    if "IsLatest" in columns:
        latest = _latest(column("IsLatest"))
        if pc.all(latest).as_py() is False:
            rows = rows.filter(latest)
    return _followed(rows, truncated=truncated, next_key=next_key, token=marks.get("NextContinuationToken"))


def _next_key(listing: Listing, keys: pa.Array) -> str | None:
    """Return the marker, or the last key of all, delete markers' too."""
    next_key = listing.marks.get("NextKeyMarker") or listing.last_key
    if next_key is None or listing.marks.get("EncodingType") != "url":
        return next_key
    # Some stores encode keys, but not the marker.
    if len(keys) and next_key == keys[-1].as_py():
        return next_key
    decoded: str = unquote(pa.array([next_key], pa.string()))[0].as_py()
    return decoded


def _sizes(texts: pa.Array) -> pa.Array:
    if texts.type == pa.int64():
        return texts
    # The cast takes more than digits: hexadecimal numbers, signs.
    if pc.all(pc.ascii_is_decimal(texts)).as_py() is False:
        raise ValueError("a size is no number")
    return texts.cast(pa.int64())


def _latest(texts: pa.Array) -> pa.Array:
    """Tell which entries are the latest versions; those that do not say so are."""
    latest = pc.equal(texts, "true")
    if pc.all(latest, skip_nulls=False).as_py():
        return latest
    truth = pc.fill_null(pc.ascii_lower(texts), "true")
    latest = pc.equal(truth, "true")
    if pc.all(pc.or_(latest, pc.equal(truth, "false"))).as_py() is False:
        raise ValueError("it does not say clearly which versions are the latest")
    return latest


def _has_more(marks: Mapping[str, str], *, anything: bool) -> bool:
    """Tell whether the listing goes on.

    A page that does not say so is taken to go on behind its last key, until there is an empty one.
    """
    if "IsTruncated" in marks:
        truth = marks["IsTruncated"].strip().lower()
        if truth not in ("true", "false"):
            raise ValueError("it does not say clearly whether there is more")
        return truth == "true"
    if not anything and marks.keys().isdisjoint(("Name", "Prefix", "MaxKeys", "KeyCount")):
        raise ValueError("it does not say whether there is more")
    return anything or bool(marks.get("NextContinuationToken"))


def _unquoted(e_tags: pa.Array) -> pa.Array:
    if not holds(e_tags, b'"'):
        return e_tags
    e_tags = pc.utf8_trim(e_tags, '"')
    return pc.if_else(pc.equal(e_tags, ""), pa.scalar(None, pa.string()), e_tags)


def _times(texts: pa.Array) -> pa.Array:
    kind = PAGE_SCHEMA.field("last_modified").type
    try:
        return texts.cast(kind)
    except pa.ArrowInvalid:  # nanoseconds, or no time zone: not as S3 has it, but stores do it
        return pa.array([None if text is None else _time(text) for text in texts.to_pylist()], kind)


def _time(text: str) -> datetime:
    # Python takes anything for the "T".
    if not _TIME.fullmatch(text):
        raise ValueError(f"{text!r} is no time")
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)
