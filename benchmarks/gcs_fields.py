"""The ``fields`` parameter of Google's JSON APIs, as far as listings use it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

__all__ = ["RECORDED", "Mask"]

RECORDED = "items(name,size,etag,generation,md5Hash),nextPageToken"
"""What a contender asks for that lets the caller choose: what W&B records of an object, and the next page."""

_SELECTION = re.compile(r"([A-Za-z0-9*]+)(?:\(([^()]*)\)|/([A-Za-z0-9*]+))?")


@dataclass(frozen=True, slots=True)
class Mask:
    """What of a listing is wanted.

    Attributes:
        kind: The answer's ``kind``.
        token: ``nextPageToken``.
        items: Members of each item; empty stands for all, ``None`` for no items.
    """

    kind: bool
    token: bool
    items: Sequence[str] | None

    @classmethod
    def of(cls, fields: str | None) -> Self:
        """Read a mask of ``objects.list``."""
        chosen = dict(_selected(fields or "*"))
        whole = "*" in chosen
        items = () if whole else chosen.get("items")
        return cls(whole or "kind" in chosen, whole or "nextPageToken" in chosen, items)

    @staticmethod
    def of_item(fields: str | None) -> Sequence[str]:
        """Read a mask of ``objects.get``; return the members that are wanted, none for all."""
        names = [name for name, _ in _selected(fields or "*")]
        return () if "*" in names else names


def _selected(fields: str) -> Iterator[tuple[str, Sequence[str]]]:
    """Read what is wanted, and what inside of it."""
    for match in _SELECTION.finditer(fields.replace(" ", "")):
        name, several, single = match.groups(default="")
        inside = tuple(sorted(part for part in (several or single).split(",") if part))
        yield name, () if "*" in inside else inside
