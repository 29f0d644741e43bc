"""The entries of S3's listings as XML, a thousand at a time, by columns of bytes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import cache
from typing import Literal

import numpy as np
from bucket import FIRST_DAY, Bucket
from keys import Form, digits
from numpy.typing import NDArray
from rendered import Rendered

__all__ = ["Entries", "Kind"]

Kind = Literal["objects", "objects_v1", "versions"]
"""``ListObjectsV2`` leaves the owner out; the older ``ListObjects``, and ``ListObjectVersions``, have it."""

_KEPT = 2_500_000  # entries; more are rendered anew for each page
_ROWS = 8_192
_OWNER = "<Owner><ID>0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0</ID></Owner>"
_TAIL = (
    "&quot;</ETag><ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm><ChecksumType>FULL_OBJECT</ChecksumType><Size>",
    "</Size>{owner}<StorageClass>STANDARD</StorageClass></{tag}>",
)
_HEX = np.frombuffer(b"".join(b"%02x" % byte for byte in range(256)), np.uint8).reshape(256, 2)


class Entries:
    """All entries of a bucket's listing of one kind; elements stand in the order of AWS.

    Args:
        bucket: What there is.
        kind: Which listing.
        form: How keys are written.
    """

    def __init__(self, bucket: Bucket, kind: Kind, form: Form) -> None:
        self._bucket = bucket
        self.kind = kind
        self._form = form
        self._whole: Rendered | None = None
        count = len(bucket.keys)
        self.count = bucket.history.first(count) if kind == "versions" else count

    def cut(self, first: int, last: int) -> bytes | memoryview:
        """Return the entries from ``first`` to ``last``, without that one."""
        if first >= last:
            return b""
        if self.count > _KEPT:
            return _text(_table(self._columns(first, last), last - first))
        if self._whole is None:
            self._whole = self._render()
        return self._whole.cut(first, last)

    def _render(self) -> Rendered:
        texts, lengths = [], [np.zeros(1, np.int64)]
        for start in range(0, self.count, _ROWS):
            table = _table(self._columns(start, end := min(self.count, start + _ROWS)), end - start)
            texts.append(_text(table))
            lengths.append(np.count_nonzero(table, axis=1))
        return Rendered(b"".join(texts), np.cumsum(np.concatenate(lengths)).tolist(), 0)

    def _columns(self, first: int, last: int) -> list[str | NDArray[np.uint8]]:
        """Return what the entries are made of: texts that all have, and columns with zeros behind shorter texts."""
        positions = np.arange(first, last)
        ranks = None
        if self.kind == "versions":
            positions, ranks = self._bucket.history.keys(positions)
        facts = self._bucket.facts(positions, ranks)
        digest = _hex(facts.upper, facts.lower)
        key = self._bucket.keys.matrix(positions, self._form)
        pin: list[str | NDArray[np.uint8]] = []
        if ranks is not None:
            version = digest[:, ::-1] if self._bucket.versions else "null"
            pin = ["<VersionId>", version, "</VersionId><IsLatest>", _latest(ranks == 0), "</IsLatest>"]
        tag = "Contents" if ranks is None else "Version"
        owner = "" if self.kind == "objects" else _OWNER
        day, second = np.divmod(facts.second, 86_400)
        return [
            f"<{tag}><Key>",
            key,
            "</Key>",
            *pin,
            "<LastModified>",
            _days()[day],
            digits(second // 3_600, 2),
            ":",
            digits(second // 60 % 60, 2),
            ":",
            digits(second % 60, 2),
            ".000Z</LastModified><ETag>&quot;",
            digest,
            _TAIL[0],
            _number(facts.size, 7),
            _TAIL[1].format(owner=owner, tag=tag),
        ]


def _table(parts: Sequence[str | NDArray[np.uint8]], count: int) -> NDArray[np.uint8]:
    """Set texts and columns side by side, a row for each entry."""
    columns = [np.frombuffer(part.encode(), np.uint8) if isinstance(part, str) else part for part in parts]
    table = np.empty((count, sum(column.shape[-1] for column in columns)), np.uint8)
    start = 0
    for column in columns:
        table[:, start : start + column.shape[-1]] = column
        start += column.shape[-1]
    return table


def _text(table: NDArray[np.uint8]) -> bytes:
    """Return the rows behind one another, without the zeros."""
    return table.tobytes().translate(None, b"\0")


def _hex(*words: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """Return the hexadecimal digits of numbers, those of one row behind one another."""
    halves = np.stack(words, axis=1).astype(">u8")
    count = len(halves)
    return _HEX[halves.view(np.uint8).reshape(count, -1)].reshape(count, -1)


def _number(numbers: NDArray[np.uint64], width: int) -> NDArray[np.uint8]:
    """Return digits without leading zeros."""
    found = digits(numbers, width)
    found[np.logical_and.accumulate(found == ord("0"), axis=1)] = 0
    return found


def _latest(is_latest: NDArray[np.bool_]) -> NDArray[np.uint8]:
    words = np.frombuffer(b"falsetrue\0", np.uint8).reshape(2, 5)
    return words[is_latest.astype(np.int64)]


@cache
def _days() -> NDArray[np.uint8]:
    """Return ``2025-01-01T`` and so on, a row for each day of the year."""
    text = "".join(f"{FIRST_DAY + timedelta(days=day):%Y-%m-%d}T" for day in range(365))
    return np.frombuffer(text.encode(), np.uint8).reshape(365, 11)
