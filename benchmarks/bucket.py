"""A made-up bucket, rendered once: every listing the server sends is a slice of one of its blobs."""

from __future__ import annotations

import hashlib
import itertools
from bisect import bisect_left
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["LAYOUTS", "Bucket", "Rendered", "Row"]

LAYOUTS = ("flat", "hierarchical")
_FIRST_DAY = datetime(2025, 1, 1, tzinfo=UTC)
_LAST_KEY = "\U0010ffff"
_OWNER = "<Owner><ID>0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0</ID></Owner>"


@dataclass(frozen=True, slots=True)
class Row:
    """What the store knows of one object."""

    e_tag: str
    size: int
    last_modified: datetime
    version_id: str


@dataclass(frozen=True, slots=True)
class Rendered:
    """All entries of a bucket as XML, and where each one begins."""

    blob: bytes
    starts: list[int]

    @classmethod
    def of(cls, entries: Iterable[str]) -> Rendered:
        """Join the entries."""
        parts = [entry.encode() for entry in entries]
        return cls(b"".join(parts), list(itertools.accumulate(map(len, parts), initial=0)))

    def cut(self, first: int, last: int) -> memoryview:
        """Return the entries from ``first`` to ``last``, without that one."""
        return memoryview(self.blob)[self.starts[first] : self.starts[last]]


class Bucket:
    """``count`` objects under ``data/``, keys ascending, the same for the same arguments.

    Elements stand in the order of AWS. Keys need no escaping, so one rendering serves with and without
    ``encoding-type=url``.
    """

    def __init__(self, count: int, layout: str, *, versions: bool) -> None:
        self.versions = versions
        self.keys = sorted(_key(index, count, layout) for index in range(count))
        rows = [(key, self.row(key)) for key in self.keys]
        # ListObjectsV2 leaves the owner out, the older ListObjects and ListObjectVersions have it.
        self.objects = Rendered.of(f"<Contents>{_facts(k, r)}{_class()}</Contents>" for k, r in rows)
        self.objects_v1 = Rendered.of(f"<Contents>{_facts(k, r)}{_OWNER}{_class()}</Contents>" for k, r in rows)
        self.object_versions = Rendered.of(
            f"<Version>{_facts(k, r, pin=True)}{_OWNER}{_class()}</Version>" for k, r in rows
        )

    def row(self, key: str) -> Row:
        """Return what a key's object is; made from the key, so that nothing needs to be kept."""
        digest = hashlib.md5(key.encode()).hexdigest()
        number = int(digest[:12], 16)
        moment = _FIRST_DAY + timedelta(seconds=number % 31_536_000)
        version_id = digest[::-1] if self.versions else "null"
        return Row(digest, 1 + number % 1_000_000, moment, version_id)

    def window(self, prefix: str, after: str) -> tuple[int, int]:
        """Return the indices of the first key behind ``after`` and of the first one past ``prefix``."""
        first = bisect_left(self.keys, max(prefix, after))
        if first < len(self.keys) and after and self.keys[first] == after:
            first += 1
        last = bisect_left(self.keys, prefix + _LAST_KEY) if prefix else len(self.keys)
        return min(first, last), last

    def has(self, key: str) -> bool:
        """Tell whether there is such an object."""
        index = bisect_left(self.keys, key)
        return index < len(self.keys) and self.keys[index] == key


def _key(index: int, count: int, layout: str) -> str:
    """Name an object: all in one folder, or 1,000 a folder, in folders of folders."""
    if layout == "flat":
        return f"data/{index:012}.bin"
    folder = index // 1_000
    site, day = divmod(folder, max(1, count // 10_000))
    return f"data/site-{site:03}/day-{day:05}/{hashlib.md5(b'%d' % index).hexdigest()[:16]}.parquet"


def _facts(key: str, row: Row, *, pin: bool = False) -> str:
    pinned = f"<VersionId>{row.version_id}</VersionId><IsLatest>true</IsLatest>" if pin else ""
    return (
        f"<Key>{key}</Key>{pinned}<LastModified>{row.last_modified:%Y-%m-%dT%H:%M:%S}.000Z</LastModified>"
        f"<ETag>&quot;{row.e_tag}&quot;</ETag><ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm>"
        f"<ChecksumType>FULL_OBJECT</ChecksumType><Size>{row.size}</Size>"
    )


def _class() -> str:
    return "<StorageClass>STANDARD</StorageClass>"
