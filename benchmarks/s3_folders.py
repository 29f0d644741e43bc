"""A page of S3's listing with a delimiter: what lies directly in a folder, and the folders below it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from bucket import Bucket
from s3_entries import Entries

__all__ = ["Listed", "by_folder"]

_LAST_KEY = "\U0010ffff"


@dataclass(frozen=True, slots=True)
class Listed:
    """A page.

    Attributes:
        entries: The rendered objects or versions.
        folders: Common prefixes.
        count: Entries and folders.
        last: If there is more, the key or the folder that the next page begins behind.
        position: Where the last entry stands, if the page ends with one and there is more.
    """

    entries: Sequence[bytes | memoryview]
    folders: Sequence[str] = ()
    count: int = 0
    last: str | None = None
    position: int | None = None


def by_folder(
    bucket: Bucket, entries: Entries, prefix: str, delimiter: str, *, first: int, end: int, most: int
) -> Listed:
    """Return at most ``most`` entries and folders from between two positions.

    A folder is passed over by a search for what stands behind it.
    """
    history = bucket.history
    by_version = entries.kind == "versions"
    found: list[bytes | memoryview] = []
    folders: list[str] = []
    at, count, run, last = first, 0, first, ""
    position: int | None = None
    while at < end and count < most:
        count += 1
        key = bucket.keys[history.key(at)[0] if by_version else at]
        folder, stop, _ = key[len(prefix) :].partition(delimiter)
        if not stop:
            last, position, at = key, at, at + 1
            continue
        folders.append(prefix + folder + stop)
        found.append(entries.cut(run, at))
        last, position = folders[-1], None
        behind = bisect_left(bucket.keys, last + _LAST_KEY)
        at = run = min(end, history.first(behind) if by_version else behind)
    found.append(entries.cut(run, at))
    return Listed(found, folders, count, last, position) if count and at < end else Listed(found, folders, count)
