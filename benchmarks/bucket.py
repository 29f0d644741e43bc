"""A made-up bucket: which keys it has, and what is known of each object."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from history import History
from keys import keys_of
from mixing import mixed
from numpy.typing import NDArray

__all__ = ["FIRST_DAY", "YEAR_SECONDS", "Bucket", "Facts", "Row"]

FIRST_DAY = datetime(2025, 1, 1, tzinfo=UTC)
YEAR_SECONDS = 31_536_000
_LAST_KEY = "\U0010ffff"
_LARGEST = 1_000_000


@dataclass(frozen=True, slots=True)
class Row:
    """What the store knows of one object; ``digest`` is the MD5 in hex."""

    digest: str
    size: int
    last_modified: datetime
    version_id: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What the store knows of many versions: the two halves of the digest, the size, the second of the year."""

    upper: NDArray[np.uint64]
    lower: NDArray[np.uint64]
    size: NDArray[np.uint64]
    second: NDArray[np.uint64]


class Bucket:
    """``count`` objects under ``data/``, keys ascending, the same for the same arguments, and ``keys.WARM``.

    Only the keys of ``escaped`` need escaping in XML, JSON or URLs.
    """

    def __init__(self, count: int, layout: str, *, versions: bool) -> None:
        self.versions = versions
        self.keys = keys_of(layout, count)
        self.history = History(overwritten=versions and layout == "versions")

    def row(self, index: int) -> Row:
        """Return what the object at a position is; made from that, so that nothing needs to be kept."""
        upper, lower = mixed(index), mixed(index, 1)
        digest = f"{upper:016x}{lower:016x}"
        moment = FIRST_DAY + timedelta(seconds=lower % YEAR_SECONDS)
        version_id = digest[::-1] if self.versions else "null"
        return Row(digest, 1 + (upper >> 20) % _LARGEST, moment, version_id)

    def facts(self, positions: NDArray[np.int64], ranks: NDArray[np.int64] | None = None) -> Facts:
        """Return the same of many, and of their old versions: ``ranks`` says how many newer ones there are."""
        seeds = positions.astype(np.uint64)
        if ranks is not None:
            seeds += ranks.astype(np.uint64) << np.uint64(40)
        upper, lower = mixed(seeds), mixed(seeds, 1)
        return Facts(upper, lower, 1 + (upper >> np.uint64(20)) % _LARGEST, lower % YEAR_SECONDS)

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

    def find(self, key: str) -> int | None:
        """Return an object's position, if there is such an object."""
        index = bisect_left(self.keys, key)
        return index if index < len(self.keys) and self.keys[index] == key else None
