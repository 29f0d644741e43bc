"""What a check can find of an entry."""

from __future__ import annotations

import pyarrow as pa

__all__ = [
    "ARCHIVED",
    "CHANGED",
    "DELETE_MARKED",
    "MISSING",
    "PRESENT",
    "PROBLEMS",
    "SOFT_DELETED",
    "STATUSES",
    "SUPERSEDED",
    "UNCHECKED",
    "UNDECIDED",
    "names_of",
]

PRESENT = 0
"""It is there as it was recorded, and reading its key gives it."""
SUPERSEDED = 1
"""The key has a newer version; the recorded one is still to be had."""
DELETE_MARKED = 2
"""The key is hidden by a delete marker, or has no live version; the recorded version is still to be had."""
ARCHIVED = 3
"""Its bytes must be restored from an archive before they can be read."""
SOFT_DELETED = 4
"""It was deleted, and can be had once it is undeleted."""
CHANGED = 5
"""Other bytes have taken its place; the recorded ones cannot be had."""
MISSING = 6
"""The object, or the recorded version of it, is not there any more."""
UNCHECKED = 7
"""Nothing reads its scheme."""
UNDECIDED = -1
"""Not known yet: a request of its own has to tell."""

STATUSES = (
    "present",
    "superseded",
    "delete_marked",
    "archived",
    "soft_deleted",
    "changed",
    "missing",
    "unchecked",
)
"""Their names, as users see them."""
PROBLEMS = frozenset(["archived", "soft_deleted", "changed", "missing"])
"""What cannot be had as it was recorded."""

_NAMES = pa.array(STATUSES, pa.string())


def names_of(codes: pa.Array) -> pa.Array:
    """Return the names of codes, all of which are decided."""
    return _NAMES.take(codes)
