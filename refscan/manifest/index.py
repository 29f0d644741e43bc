"""The small document that says which segments make a manifest."""

from __future__ import annotations

import hashlib
import json
from dataclasses import astuple, dataclass
from typing import Any

from refscan.errors import StoreError

__all__ = ["Index", "Segment"]

_FORMAT = 2
_SEGMENTS_AS_OBJECTS = 1


@dataclass(frozen=True, slots=True)
class Segment:
    """A content-addressed run of rows.

    Attributes:
        name: The hash of its rows.
        first: Its first path.
        last: Its last path.
        rows: How many there are.
        size: Bytes of its file.
        files: How many of them are files that are stored with the registry; ``None`` if it was not counted.
        links: How many of them refer to entries of other artifacts; ``None`` if it was not counted.
    """

    name: str
    first: str
    last: str
    rows: int
    size: int
    files: int | None = None
    links: int | None = None


@dataclass(frozen=True, slots=True)
class Index:
    """One manifest.

    Attributes:
        digest: Identity of the content, as W&B has it.
        pin_digest: Identity of the content with the pins.
        entry_count: Rows in all segments.
        size: Bytes of all objects whose size is known.
        segments: In path order.
    """

    digest: str
    pin_digest: str
    entry_count: int
    size: int
    segments: tuple[Segment, ...]

    def dump(self) -> tuple[str, bytes]:
        """Return name and bytes; the name is a hash of the bytes.

        A segment is about 180 bytes: 10^9 rows make some 60,000 segments, 11 MB, which load in a fraction of a second.
        """
        fields = {
            "format": _FORMAT,
            "digest": self.digest,
            "pin_digest": self.pin_digest,
            "entry_count": self.entry_count,
            "size": self.size,
            "segments": [astuple(segment) for segment in self.segments],
        }
        data = json.dumps(fields, separators=(",", ":")).encode()
        return hashlib.blake2b(data, digest_size=32).hexdigest(), data

    @classmethod
    def load(cls, data: bytes) -> Index:
        """Read what ``dump`` wrote, in this release or an earlier one.

        Raises:
            StoreError: A later release wrote it.
        """
        fields: dict[str, Any] = json.loads(data)
        written = fields.pop("format")
        if written > _FORMAT:
            raise StoreError("this manifest was written by a later release; upgrade refscan")
        segments = fields.pop("segments")
        if written == _SEGMENTS_AS_OBJECTS:
            return cls(**fields, segments=tuple(Segment(**segment) for segment in segments))
        return cls(**fields, segments=tuple(Segment(*segment) for segment in segments))
