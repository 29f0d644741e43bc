"""Where a manifest's segments cut the keys of one of its references into parts of like size. No I/O."""

from __future__ import annotations

from collections.abc import Iterable

from refscan.manifest.index import Index

__all__ = ["FEWEST", "cuts"]

# A part ends in the midst of a page, so small ones do not pay.
_ROWS = 15_000
FEWEST = 2 * _ROWS
"""Rows of a manifest below which nothing is cut."""


def cuts(index: Index, *, prefix: str, name: str | None, most: int, others: Iterable[str] = ()) -> list[str]:
    """Return ascending keys between parts of about as many rows each.

    Args:
        index: Of a manifest that holds the reference.
        prefix: What all keys of the reference begin with.
        name: Where it stands in the artifact.
        most: Parts, at most.
        others: Where other references stand; what lies in their folders is not this one's.
    """
    folder = "" if name is None else name + "/"
    theirs = tuple(f"{other}/" for other in others if other != name and other.startswith(folder))
    inside = [
        segment
        for segment in index.segments
        if segment.first.startswith(folder) and not segment.first.startswith(theirs)
    ]
    rows = sum(segment.rows for segment in inside)
    parts = min(most, rows // _ROWS)
    found: list[str] = []
    before = 0
    for segment in inside:
        if before * parts >= rows * (len(found) + 1) and len(segment.first) > len(folder):
            found.append(prefix + segment.first[len(folder) :])
        before += segment.rows
    return found
