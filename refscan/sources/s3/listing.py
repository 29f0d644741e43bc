"""What a listing says, as the texts that stand in it, and where it stands in the body of an answer."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from refscan.sources.cut import Eights, Flags, Positions, cut, mask_of, word_of
from refscan.sources.s3.unescape import unescape

__all__ = ["ENTRIES", "FIELDS", "MARKS", "QUOTE", "Frame", "Listing", "are_quoted", "column_of", "frame_of"]

FIELDS = ("Key", "VersionId", "IsLatest", "LastModified", "ETag", "Size", "StorageClass")
"""The elements of an entry that are read."""

ENTRIES = ("Contents", "Version", "DeleteMarker")
"""The elements that are entries; a delete marker is none that is kept."""

MARKS = (
    "IsTruncated",
    "EncodingType",
    "NextKeyMarker",
    "NextContinuationToken",
    "Name",
    "Prefix",
    "MaxKeys",
    "KeyCount",
)
"""The elements beside the entries that are read."""

_ENTRY = {b"ListBucketResult": b"Contents", b"ListVersionsResult": b"Version"}
QUOTE = b"&quot;"
_HEAD = re.compile(
    rb"(?:\xef\xbb\xbf)?(?:<\?xml version=\"1\.[01]\""
    rb"(?: encoding=\"(?i:utf-8)\")?(?: standalone=\"(?:yes|no)\")? ?\?>)?"
    rb"\s*<(ListBucketResult|ListVersionsResult)(?: xmlns=\"[\w:/.-]*\")?>"
)


@dataclass(frozen=True, slots=True)
class Listing:
    """The texts of a listing, their XML escapes undone.

    Attributes:
        columns: Each field's texts, one for each entry that is kept; null where there is none, or an empty one. Sizes
            may be numbers already.
        marks: The texts that stand beside the entries.
        last_key: The last key of all, those of delete markers too; ``None`` if there is none.
    """

    columns: dict[str, pa.Array]
    marks: dict[str, str]
    last_key: str | None


@dataclass(frozen=True, slots=True)
class Frame:
    """Where a listing stands in a body.

    Attributes:
        begin: Behind its first tag.
        end: Where its last tag begins.
        entry: The name of its entries.
    """

    begin: int
    end: int
    entry: bytes


def frame_of(body: bytes) -> Frame | None:
    """Find the listing in a body; ``None``: there is none, or none that is written as usual."""
    head = _HEAD.match(body)
    if head is None:
        return None
    closing = b"</" + head[1] + b">"
    end = body.rfind(closing)
    if end < head.end() or body[end + len(closing) :].strip(b" \t\r\n"):
        return None
    return Frame(head.end(), end, _ENTRY[head[1]])


def are_quoted(eights: Eights, starts: Positions, stops: Positions) -> bool:
    """Tell whether all texts have quotes around them as AWS writes those of ETags."""
    size, quote, mask = len(QUOTE), word_of(QUOTE), mask_of(len(QUOTE))
    return bool(
        np.all(stops - starts >= 2 * size)
        and np.all(eights[starts] & mask == quote)
        and np.all(eights[stops - size] & mask == quote)
    )


def column_of(body: bytes, starts: Positions, stops: Positions, valid: Flags | None = None) -> pa.Array:
    """Return texts with their escapes undone; empty ones are null."""
    filled: Flags = starts < stops
    if not filled.all():
        valid = filled if valid is None else valid & filled
    return unescape(cut(body, starts, stops, valid))
