"""How a reference was scanned: what tiles the key space, what was counted, what was left out and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

__all__ = ["RangeReceipt", "Receipt"]


@dataclass(frozen=True, slots=True)
class RangeReceipt:
    """One key range ``(after, until]``, the objects found in it, and the keys of the first and the last of them.

    ``until=None`` is the end of the key space.
    """

    after: str
    until: str | None
    objects: int
    first: str | None = None
    last: str | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """What one reference's scan did.

    Attributes:
        uri: The reference, without secrets.
        version_id: The pin that the reference asked for.
        name: Where the reference stands in the artifact.
        checksum: Digests tell the content; otherwise they tell the URI.
        prefix: What all keys begin with; ``None`` for a single object.
        objects: Entries recorded.
        bytes: Their sizes, as far as they are known.
        requests: Requests sent; for files, files opened and folders read.
        retries: Those among them that were sent again.
        splits: How often a range was cut while it was listed.
        resumed: The scan was killed in between, and went on.
        pinned: Entries that have a version ID.
        skipped: Objects left out, by reason.
        ranges: They tile the key space of the prefix.
        include: Only what these glob patterns match was taken, if there are any.
        exclude: What these glob patterns match was left out.
        started: When the scan began.
        ended: When it was complete.
    """

    uri: str
    version_id: str | None
    name: str | None
    checksum: bool
    prefix: str | None
    objects: int
    bytes: int
    requests: int
    pinned: int
    started: datetime
    ended: datetime
    skipped: Mapping[str, int] = field(default_factory=dict)
    ranges: tuple[RangeReceipt, ...] = ()
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    retries: int = 0
    splits: int = 0
    resumed: bool = False

    def named(self, name: str | None) -> Receipt:
        """Return it with the reference's name."""
        return replace(self, name=name)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON's types."""
        return asdict(self) | {"started": self.started.isoformat(), "ended": self.ended.isoformat()}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Receipt:
        """Read what ``to_json`` gave."""
        return cls(
            **{
                **fields,
                "started": datetime.fromisoformat(fields["started"]),
                "ended": datetime.fromisoformat(fields["ended"]),
                "ranges": tuple(RangeReceipt(**part) for part in fields["ranges"]),
                "include": tuple(fields.get("include", ())),
                "exclude": tuple(fields.get("exclude", ())),
            }
        )
