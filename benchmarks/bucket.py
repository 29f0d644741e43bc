"""A made-up bucket: which keys it has, and what is known of each object."""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

__all__ = ["LAYOUTS", "WARM", "Bucket", "Row"]

LAYOUTS = ("flat", "hierarchical")
WARM = "warm/"
"""A folder of one object beside ``data/``, for a request that makes the server render what it will be asked for."""

_FIRST_DAY = datetime(2025, 1, 1, tzinfo=UTC)
_LAST_KEY = "\U0010ffff"


@dataclass(frozen=True, slots=True)
class Row:
    """What the store knows of one object; ``digest`` is the MD5 in hex."""

    digest: str
    size: int
    last_modified: datetime
    version_id: str


class Bucket:
    """``count`` objects under ``data/``, keys ascending, the same for the same arguments; one more under ``WARM``.

    Keys need no escaping in XML, JSON or URLs.
    """

    def __init__(self, count: int, layout: str, *, versions: bool) -> None:
        self.versions = versions
        self.keys = sorted([*(_key(index, count, layout) for index in range(count)), f"{WARM}one.bin"])

    def row(self, key: str) -> Row:
        """Return what a key's object is; made from the key, so that nothing needs to be kept."""
        digest = hashlib.md5(key.encode()).hexdigest()
        number = int(digest[:12], 16)
        moment = _FIRST_DAY + timedelta(seconds=number % 31_536_000)
        version_id = digest[::-1] if self.versions else "null"
        return Row(digest, 1 + number % 1_000_000, moment, version_id)

    def window(self, prefix: str, after: str) -> tuple[int, int]:
        """Return the indices of the first key behind ``after`` and of the first one past ``prefix``."""
        first, last = self.window_from(prefix, after)
        if first < last and after and self.keys[first] == after:
            first += 1
        return first, last

    def window_from(self, prefix: str, start: str, before: str = "") -> tuple[int, int]:
        """Return the indices of the first key from ``start`` on, and of the first past ``prefix`` or at ``before``."""
        first = bisect_left(self.keys, max(prefix, start))
        last = bisect_left(self.keys, prefix + _LAST_KEY) if prefix else len(self.keys)
        if before:
            last = min(last, bisect_left(self.keys, before))
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
