"""Entries of a listing, rendered once: every page the server sends is a slice of one blob."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

__all__ = ["Rendered"]


@dataclass(frozen=True, slots=True)
class Rendered:
    """All entries of a bucket in a store's own format, and where each one begins."""

    blob: bytes
    starts: Sequence[int]
    separator: int

    @classmethod
    def of(cls, entries: Iterable[str], separator: str = "") -> Self:
        """Join the entries."""
        parts = [(entry + separator).encode() for entry in entries]
        return cls(b"".join(parts), list(itertools.accumulate(map(len, parts), initial=0)), len(separator))

    def cut(self, first: int, last: int) -> memoryview:
        """Return the entries from ``first`` to ``last``, without that one and without a separator at the end."""
        end = self.starts[last] - self.separator if last > first else self.starts[first]
        return memoryview(self.blob)[self.starts[first] : end]
