"""What goes into the catalog, and what comes out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from refscan.errors import RefscanError

__all__ = ["Outcome", "Proposal", "Record"]


@dataclass(frozen=True, slots=True)
class Proposal:
    """A manifest that is stored and asks for a version.

    Attributes:
        links: Versions that its entries refer to, ``refscan://PROJECT/NAME:vN``.
    """

    project: str
    name: str
    type: str
    description: str | None
    metadata: str
    receipts: str
    digest: str
    pin_digest: str
    manifest: str
    entry_count: int
    size: int
    aliases: tuple[str, ...]
    run_id: str
    links: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Record:
    """One version as the catalog has it."""

    artifact_id: int
    project: str
    name: str
    type: str
    number: int
    digest: str
    pin_digest: str
    manifest: str
    entry_count: int
    size: int
    description: str | None
    metadata: str
    receipts: str
    created_at: datetime
    aliases: tuple[str, ...]
    deleted_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """A record and whether it is new, or why there is none."""

    record: Record | None = None
    created: bool = False
    error: RefscanError | None = None
