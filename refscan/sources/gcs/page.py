"""From the body of a listing, or of one object's metadata, to columns."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from refscan.errors import StoreError
from refscan.sources.history import HISTORY_SCHEMA, HistoryPage
from refscan.sources.source import PAGE_SCHEMA

__all__ = [
    "HISTORY_FIELDS",
    "LISTING_FIELDS",
    "OBJECT_FIELDS",
    "GCSPage",
    "parse_history",
    "parse_object",
    "parse_page",
]

_FIELDS = ("name", "size", "generation", "etag", "md5Hash", "crc32c", "updated", "storageClass")
OBJECT_FIELDS = ",".join(_FIELDS)
"""The ``fields=`` mask of one object (https://cloud.google.com/storage/docs/json_api#partial-response)."""
LISTING_FIELDS = f"kind,nextPageToken,items({OBJECT_FIELDS})"
"""The ``fields=`` mask of a listing."""
HISTORY_FIELDS = f"kind,nextPageToken,items({OBJECT_FIELDS},timeDeleted)"
"""The ``fields=`` mask of a listing of all generations; a live one has no ``timeDeleted``."""

_KIND = "storage#objects"
_UNREADABLE = (ValueError, TypeError, AttributeError, LookupError, pa.ArrowException)
_READ = (*_FIELDS, "timeDeleted")
_ITEM = pa.struct([(name, pa.string()) for name in _READ])
_LISTING = pa.schema([("kind", pa.string()), ("nextPageToken", pa.string()), ("items", pa.list_(_ITEM))])


@dataclass(frozen=True, slots=True)
class GCSPage:
    """What one listing says.

    Attributes:
        rows: The objects, as ``PAGE_SCHEMA``.
        token: Continues the listing, if there is more.
    """

    rows: pa.RecordBatch
    token: str | None


def parse_page(body: bytes) -> GCSPage:
    """Read the body of an ``objects.list`` answer.

    Raises:
        StoreError: It is no listing.
    """
    try:
        token, items = _read(body)
        return GCSPage(_rows(items), token or None)
    except _UNREADABLE as error:
        raise StoreError(f"the store sent a listing that cannot be read: {_reason(error)}") from error


def parse_history(body: bytes) -> HistoryPage:
    """Read the body of an ``objects.list`` answer with ``versions=true``.

    Raises:
        StoreError: It is no listing.
    """
    try:
        token, items = _read(body)
        live = items.field("timeDeleted").is_null()
        rows = _rows(items)
    except _UNREADABLE as error:
        raise StoreError(f"the store sent a listing that cannot be read: {_reason(error)}") from error
    columns = {name: rows.column(name) for name in ("key", "version_id", "size", "e_tag", "storage_class")}
    columns |= {"is_latest": live, "is_deleted": pa.repeat(pa.scalar(False), len(live))}
    return HistoryPage(
        pa.record_batch([columns[field.name] for field in HISTORY_SCHEMA], schema=HISTORY_SCHEMA), token=token or None
    )


def parse_object(body: bytes) -> pa.RecordBatch:
    """Read the body of an ``objects.get`` answer as one row.

    Raises:
        StoreError: It is no object.
    """
    try:
        return _rows(_items([json.loads(body)]))
    except _UNREADABLE as error:
        raise StoreError(f"the store sent metadata that cannot be read: {_reason(error)}") from error


def _read(body: bytes) -> tuple[str | None, pa.StructArray]:
    body.decode()  # the parser lets through what is not UTF-8
    options = pj.ParseOptions(explicit_schema=_LISTING, newlines_in_values=True, unexpected_field_behavior="ignore")
    try:
        table = pj.read_json(
            pa.BufferReader(body),
            read_options=pj.ReadOptions(use_threads=False, block_size=len(body) + 1),
            parse_options=options,
        )
        if table.num_rows != 1:
            raise ValueError("it is not one JSON object")
    except pa.ArrowInvalid:
        # Numbers where Google has texts, say. Python's parser takes what is JSON, or tells what is wrong.
        answer = json.loads(body)
        kind, token, items = answer["kind"], answer.get("nextPageToken"), _items(answer.get("items") or [])
    else:
        kind, token = (table.column(name)[0].as_py() for name in ("kind", "nextPageToken"))
        items = table.column("items").combine_chunks().flatten()
    if kind != _KIND:
        raise ValueError(f"it is no {_KIND}")
    return token, items


def _items(items: list[dict[str, Any]]) -> pa.StructArray:
    texts = [{name: str(item[name]) for name in _READ if item.get(name) is not None} for item in items]
    return pa.array(texts, _ITEM)


def _rows(items: pa.StructArray) -> pa.RecordBatch:
    column = {name: items.field(name) for name in _FIELDS}
    if column["name"].null_count:
        raise ValueError("an object has no name")
    md5 = pc.binary_join_element_wise("md5", column["md5Hash"], ":")
    crc32c = pc.binary_join_element_wise("crc32c", column["crc32c"], ":")
    columns = {
        "key": column["name"],
        "size": pc.cast(column["size"], pa.int64()),
        "e_tag": column["etag"],
        "version_id": column["generation"],
        # An object that was composed of others has no MD5.
        "checksum": pc.coalesce(md5, crc32c),
        # The service tells milliseconds, others up to nanoseconds.
        "last_modified": pc.cast(
            pc.cast(column["updated"], pa.timestamp("ns", "UTC")), pa.timestamp("us", "UTC"), safe=False
        ),
        "storage_class": column["storageClass"],
    }
    return pa.record_batch([columns[field.name] for field in PAGE_SCHEMA], schema=PAGE_SCHEMA)


def _reason(error: Exception) -> str:
    return f"no {error}" if isinstance(error, LookupError) else " ".join(str(error).split())
