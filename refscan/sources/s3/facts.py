"""What the answer to a HEAD says of an object, and many such answers as one batch of rows."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

import pyarrow as pa

from refscan.sources.source import PAGE_SCHEMA, page_rows

__all__ = ["FOLDER_TYPE", "Facts", "facts_of_answer", "facts_of_headers", "rows_of", "unquoted"]

FOLDER_TYPE = "application/x-directory"
"""The content type of what stands for a folder."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_NAMES = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTHS = {name: number for number, name in enumerate(_NAMES, 1)}
_DATE_LENGTH = len("Sun, 06 Nov 1994 08:49:37 GMT")


class Facts(NamedTuple):
    """One object; ``last_modified`` in microseconds since 1970."""

    key: str
    size: int
    e_tag: str | None
    version_id: str | None
    last_modified: int | None
    storage_class: str
    content_type: str

    @property
    def is_folder(self) -> bool:
        """It is marked as a folder by its content type."""
        return self.content_type.startswith(FOLDER_TYPE)


def facts_of_answer(key: str, answer: Mapping[str, Any]) -> Facts:
    """Read what the SDK answered."""
    modified = answer.get("LastModified")
    return Facts(
        key,
        answer["ContentLength"],
        unquoted(answer.get("ETag")),
        answer.get("VersionId"),
        None if modified is None else (modified - _EPOCH) // _MICROSECOND,
        answer.get("StorageClass", "STANDARD"),
        answer.get("ContentType", ""),
    )


def facts_of_headers(key: str, headers: Mapping[str, str]) -> Facts | None:
    """Read the headers of a success, their names in lower case; ``None``: they are not quite as S3 has them.

    Source: the S3 API reference, ``HeadObject``, "Response Syntax".
    """
    size = headers.get("content-length", "")
    e_tag = headers.get("etag")
    modified = headers.get("last-modified")
    moment = None if modified is None else _microseconds(modified)
    if not (size.isascii() and size.isdecimal()) or not e_tag or (modified is not None and moment is None):
        return None
    return Facts(
        key,
        int(size),
        unquoted(e_tag),
        headers.get("x-amz-version-id"),
        moment,
        headers.get("x-amz-storage-class", "STANDARD"),
        headers.get("content-type", ""),
    )


def rows_of(facts: list[Facts]) -> pa.RecordBatch:
    """Return them as rows of ``PAGE_SCHEMA``."""
    if not facts:
        return page_rows(key=[])
    keys, sizes, e_tags, version_ids, moments, classes, _ = zip(*facts, strict=True)
    return page_rows(
        key=keys,
        size=sizes,
        e_tag=e_tags,
        version_id=version_ids,
        last_modified=pa.array(moments, pa.int64()).cast(PAGE_SCHEMA.field("last_modified").type),
        storage_class=classes,
    )


def unquoted(e_tag: str | None) -> str | None:
    """Return an ETag without the quotes around it."""
    return e_tag.strip('"') if e_tag else None


def _microseconds(text: str) -> int | None:
    """Read a date as HTTP has it (RFC 9110, section 5.6.7, IMF-fixdate)."""
    if len(text) != _DATE_LENGTH or not text.endswith(" GMT"):
        return None
    try:
        seconds = int(text[17:19]) * 3_600 + int(text[20:22]) * 60 + int(text[23:25])
        return (_days(text[5:16]) * 86_400 + seconds) * 1_000_000
    except (KeyError, ValueError):
        return None


@functools.lru_cache(maxsize=1_024)
def _days(text: str) -> int:
    return date(int(text[7:]), _MONTHS[text[3:6]], int(text[:2])).toordinal() - _EPOCH.toordinal()
