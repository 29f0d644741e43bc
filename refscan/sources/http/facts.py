"""What an answer's headers tell of the resource: size, ETag, time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import pyarrow as pa

from refscan.sources.source import PAGE_SCHEMA

__all__ = ["facts_row", "size_of", "tag_of", "time_of", "whole_size_of"]

_NAMES = PAGE_SCHEMA.names
_TEXT, _SIZE, _TIME = (PAGE_SCHEMA.field(name).type for name in ("key", "size", "last_modified"))
# No server tells these; a row is made for each URL, so they are made once.
_NO_TEXT = pa.nulls(1, _TEXT)
# More digits than these are no size that a manifest can hold.
_MOST_DIGITS = 18
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


def facts_row(key: str, headers: Mapping[str, str]) -> pa.RecordBatch:
    """Return the row (``PAGE_SCHEMA``) of one key."""
    columns = {
        "key": pa.array([key], _TEXT),
        "size": pa.array([size_of(headers)], _SIZE),
        "e_tag": pa.array([tag_of(headers)], _TEXT),
        "last_modified": pa.array([time_of(headers)], _TIME),
    }
    return pa.RecordBatch.from_arrays([columns.get(name, _NO_TEXT) for name in _NAMES], schema=PAGE_SCHEMA)


def tag_of(headers: Mapping[str, str]) -> str | None:
    """Return the ETag as the header has it, quotes and ``W/`` included.

    Bytes that are not ASCII, which RFC 9110 (section 8.8.3) lets it have, are read as Latin-1, as by the W&B SDK.
    """
    tag = headers.get("ETag")
    if tag and not tag.isascii():
        tag = tag.encode("utf-8", "surrogateescape").decode("latin-1")
    return tag or None


def size_of(headers: Mapping[str, str]) -> int | None:
    """Return ``Content-Length`` in bytes, unless it counts other bytes than the resource's own."""
    if headers.get("Content-Encoding", "identity") != "identity":
        return None
    return _number(headers.get("Content-Length", ""))


def whole_size_of(headers: Mapping[str, str]) -> int | None:
    """Return the size in bytes of what a partial answer is a part of."""
    return _number(headers.get("Content-Range", "").rpartition("/")[2])


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() and len(text) <= _MOST_DIGITS else None


def time_of(headers: Mapping[str, str]) -> datetime | None:
    """Return ``Last-Modified``."""
    text = headers.get("Last-Modified")
    if not text:
        return None
    try:
        # As servers must write it, which is read ten times as fast: Wed, 21 Oct 2015 07:28:00 GMT.
        if len(text) == 29 and text.endswith(" GMT"):  # noqa: PLR2004  RFC 9110, section 5.6.7
            day, month, year, clock = text[5:25].split(" ")
            hour, minute, second = clock.split(":")
            number = _MONTHS.index(month) + 1
            return datetime(int(year), number, int(day), int(hour), int(minute), int(second), tzinfo=UTC)
    except (ValueError, OverflowError):
        pass
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return when if when.tzinfo else when.replace(tzinfo=UTC)
