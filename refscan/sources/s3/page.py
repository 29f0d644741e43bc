"""From the body of a listing to columns.

All entries of a page mostly have the same elements in the same order. One regular expression is therefore made
from the first entry, and it must match every entry; a page that is not so regular goes to the XML parser.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote_plus

import pyarrow as pa
import pyarrow.compute as pc

from refscan.errors import StoreError
from refscan.sources.s3.client import BODY
from refscan.sources.s3.xml import Listing, is_in_other_encoding, read_listing
from refscan.sources.source import PAGE_SCHEMA, page_rows

__all__ = ["S3Page", "page_of", "parse_page"]

_FIELDS = ("Key", "VersionId", "IsLatest", "LastModified", "ETag", "Size", "StorageClass")
_LEAF = re.compile(rb"<([A-Za-z0-9]+)>[^<]*</\1>")
_TAGS = re.compile(rb"(?:\s*</?[A-Za-z0-9]+ ?/?>)*\s*")
_ESCAPE = re.compile(r"&([^;&]*);?")
_ENTITIES = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}
_MARKS = re.compile(rb"<(IsTruncated|EncodingType|NextKeyMarker|NextContinuationToken)>([^<]*)</")


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
        listing = _read_regular(body) or read_listing(body)
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


def _read_regular(body: bytes) -> Listing | None:
    """Return the listing if all its entries look like the first one, else ``None``."""
    versions = b"<ListVersionsResult" in body[:512]
    name, root = (b"Version", b"</ListVersionsResult>") if versions else (b"Contents", b"</ListBucketResult>")
    begin, end = b"<" + name + b">", b"</" + name + b">"
    first = body.find(begin)
    # What was cut off, and what hides text from an expression: comments, sections, document types, instructions.
    if first < 0 or not body[-64:].rstrip().endswith(root) or b"<!" in body or body.find(b"<?", 5) >= 0:
        return None
    if is_in_other_encoding(body):
        return None
    last = body.rfind(end) + len(end)
    names, pattern = _learn(body[first : body.find(end, first) + len(end)])
    if pattern is None:
        return None
    found = pattern.findall(body, first, last)
    # Each entry has a key; between entries that the expression knows there may be delete markers, but nothing else.
    keys = body.count(b"</Key", first, last) - body.count(b"</DeleteMarker", first, last)
    if len(found) != body.count(begin) or len(found) != keys:
        return None
    marks: dict[bytes, bytes] = {}
    for part in (body[:first], body[last:]):
        marks.update(_MARKS.findall(part))
    columns: dict[str, Sequence[bytes]] = dict(zip(names, zip(*found, strict=True), strict=True))
    if "Key" not in columns:
        return None
    # No key marker, and perhaps delete markers behind the last version: the parser finds the last key.
    if marks.get(b"IsTruncated") != b"false" and versions and b"NextKeyMarker" not in marks:
        return None
    return Listing(
        {field: _texts(values) for field, values in columns.items()},
        {mark.decode(): _texts([value])[0] for mark, value in marks.items()},
    )


def _texts(values: Sequence[bytes]) -> list[str]:
    """Return the values with their XML escapes undone.

    Control characters are let through, as they are and as references: XML 1.0 has no place for them, yet a store
    that does not encode its keys sends them.
    """
    whole = b"".join(values)
    if b"&" not in whole:
        return [value.decode() for value in values]
    if b"&" not in whole.replace(b"&quot;", b""):  # ETags, nearly always
        return [value.replace(b"&quot;", b'"').decode() for value in values]
    return [_ESCAPE.sub(_unescaped, value.decode()) for value in values]


def _unescaped(match: re.Match[str]) -> str:
    name = match[1]
    if name in _ENTITIES:
        return _ENTITIES[name]
    if name.startswith("#x"):
        return chr(int(f"0{name[1:]}", base=0))
    if name.startswith("#"):
        return chr(int(name[1:]))
    raise ValueError(f"it has the unknown entity {name!r}")


@functools.lru_cache(maxsize=64)
def _compile(pattern: bytes) -> re.Pattern[bytes]:
    return re.compile(pattern)


def _learn(entry: bytes) -> tuple[list[str], re.Pattern[bytes] | None]:
    """Make the expression that matches entries built like this one, with a group for each field."""
    names: list[str] = []
    pattern: list[bytes] = []
    depth = position = 0
    for leaf in _LEAF.finditer(entry):
        tags = _TAGS.fullmatch(entry, position, leaf.start())
        if tags is None:
            return [], None
        pattern.append(_spaced(tags[0]))
        depth += tags[0].count(b"<") - 2 * tags[0].count(b"</") - tags[0].count(b"/>")
        tag, position = leaf[1], leaf.end()
        is_field = depth == 1 and tag.decode() in _FIELDS
        if is_field:
            names.append(tag.decode())
        pattern.append(b"<%b>%b</%b>" % (tag, b"([^<]*)" if is_field else b"[^<]*", tag))
    tail = _TAGS.fullmatch(entry, position)
    # `findall` gives tuples only for two groups and more.
    if tail is None or len(set(names)) != len(names) or len(names) < 2:  # noqa: PLR2004
        return [], None
    pattern.append(_spaced(tail[0]))
    return names, _compile(b"".join(pattern))


def _spaced(tags: bytes) -> bytes:
    """Return an expression for these tags with any white space around them."""
    return rb"\s*".join([b"", *map(re.escape, re.findall(rb"<[^>]+>", tags)), b""])


def _to_page(listing: Listing) -> S3Page:
    columns, marks = listing.columns, listing.marks
    encoded = marks.get("EncodingType") == "url"
    keys = columns.get("Key", [])
    if encoded and any("%" in key or "+" in key for key in keys):
        keys = [_decode(key) for key in keys]
    length = len(keys)
    next_key = marks.get("NextKeyMarker") or listing.last_key
    if next_key is None:
        next_key = keys[-1] if keys else None
    elif encoded and not (keys and next_key == keys[-1]):  # some stores encode keys, but not the marker
        next_key = _decode(next_key)
    truncated = _has_more(marks, anything=next_key is not None)

    def column(field: str) -> pa.Array:
        values = columns.get(field)
        return pa.nulls(length, pa.string()) if values is None else pa.array(values, pa.string())

    e_tags = pc.utf8_trim(column("ETag"), '"')
    rows = page_rows(
        key=keys,
        size=_filled(column("Size")).cast(pa.int64()),
        e_tag=_filled(e_tags),
        version_id=_filled(column("VersionId")),
        last_modified=_times(_filled(column("LastModified"))),
        storage_class=_filled(column("StorageClass")),
    )
    if "IsLatest" in columns:
        latest = pc.not_equal(column("IsLatest"), "false")
        if not pc.all(latest).as_py():
            rows = rows.filter(latest)
    return _followed(rows, truncated=truncated, next_key=next_key, token=marks.get("NextContinuationToken"))


def _has_more(marks: Mapping[str, str], *, anything: bool) -> bool:
    """Tell whether the listing goes on.

    A page that does not say so is taken to go on behind its last key, until there is an empty one.
    """
    if "IsTruncated" in marks:
        return marks["IsTruncated"].strip().lower() == "true"
    if not anything and marks.keys().isdisjoint(("Name", "Prefix", "MaxKeys", "KeyCount")):
        raise ValueError("it does not say whether there is more")
    return anything or bool(marks.get("NextContinuationToken"))


def _filled(column: pa.Array) -> pa.Array:
    """Make empty texts null."""
    empty = pc.equal(column, "")
    return pc.if_else(empty, pa.scalar(None, pa.string()), column) if pc.any(empty).as_py() else column


def _times(texts: pa.Array) -> pa.Array:
    kind = PAGE_SCHEMA.field("last_modified").type
    try:
        return texts.cast(kind)
    except pa.ArrowInvalid:  # nanoseconds, or no time zone: not as S3 has it, but stores do it
        times = [datetime.fromisoformat(text) if text else None for text in texts.to_pylist()]
        return pa.array([time and (time if time.tzinfo else time.replace(tzinfo=UTC)) for time in times], kind)


def _decode(key: str) -> str:
    return unquote_plus(key, errors="strict")
