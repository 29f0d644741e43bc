"""The small document that says which segments make a manifest."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

from refscan.errors import StoreError

__all__ = ["Index", "Segment"]

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Segment:
    """A content-addressed run of rows.

    Attributes:
        name: The hash of its rows.
        first: Its first path.
        last: Its last path.
        rows: How many there are.
        size: Bytes of its file.
    """

    name: str
    first: str
    last: str
    rows: int
    size: int


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
        """Return name and bytes; the name is a hash of the bytes."""
        data = json.dumps({"format": _FORMAT, **asdict(self)}, separators=(",", ":")).encode()
        return hashlib.blake2b(data, digest_size=32).hexdigest(), data

    @classmethod
    def load(cls, data: bytes) -> Index:
        """Read what ``dump`` wrote.

        Raises:
            StoreError: A later release wrote it.
        """
        fields = json.loads(data)
        if fields.pop("format") != _FORMAT:
            raise StoreError("this manifest was written by a later release; upgrade refscan")
        fields["segments"] = tuple(Segment(**segment) for segment in fields["segments"])
        return cls(**fields)
