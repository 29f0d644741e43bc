"""What is known of one range that is being listed, and how much of it seems to be left. No I/O."""

from __future__ import annotations

import math
from dataclasses import dataclass

from refscan.scan.pivot import Alphabet, beyond

__all__ = ["Outlook"]


@dataclass(slots=True)
class Outlook:
    """One range on its way.

    Attributes:
        start: The position behind the prefix of the listing.
        first: The first key found in it.
        last: The last key found in it.
        pages: Pages of it so far.
        rows: Keys on them.
        ceiling: Known to be greater than all keys of the range, where it has no bound of its own or a lower one.
        stealing: Somebody is trying to take its upper part.
        tried_at: Its pages when that was last tried: once a page is enough.
        missed_at: All keys that are left are like ``last`` up to and at this position.
    """

    start: int
    first: str | None = None
    last: str | None = None
    pages: int = 0
    rows: int = 0
    ceiling: str | None = None
    stealing: bool = False
    tried_at: int = 0
    missed_at: int = -1

    def add(self, first: str | None, last: str | None, rows: int) -> None:
        """Note a page."""
        self.first = first if self.first is None else self.first
        self.last = last if last is not None else self.last
        self.pages += 1
        self.rows += rows

    def bound(self, until: str | None) -> str | None:
        """Return the least text that is known to be at or above all keys of the range."""
        if until is None or self.ceiling is None:
            return until if self.ceiling is None else self.ceiling
        return min(until, self.ceiling)

    def pages_left(self, alphabet: Alphabet, until: str | None) -> float:
        """Estimate how many pages are left; infinite where nothing is known."""
        bound = self.bound(until)
        if self.first is None or self.last is None or bound is None or self.rows == 0:
            return math.inf
        if self.last >= bound:
            return 0.0
        done = alphabet.fraction(self.last, self.first, bound)
        return self.pages * (1 - done) / done if done > 0 else math.inf

    def pivot(self, alphabet: Alphabet, until: str | None) -> str | None:
        """Return where to try to cut the range next; ``None`` if nothing comes to mind."""
        if self.last is None:
            return None
        kind = self._next_kind() if until is None else None
        if kind is not None:
            return kind
        bound = self.bound(until)
        return None if bound is None else alphabet.between(self.last, bound)

    def _next_kind(self) -> str | None:
        """Return the least text beyond all keys that are like the last one up to some position.

        Keys share a beginning, and nothing tells beforehand where they stop to do so: that is found by halving.
        """
        position = self._halfway()
        return None if position is None or self.last is None else beyond(self.last, position)

    def _halfway(self) -> int | None:
        low, high = max(self.start, self.missed_at + 1), len(self.last or "")
        return (low + high) // 2 if low < high else None

    def missed(self, pivot: str) -> None:
        """Note that there is no key beyond ``pivot`` in the range."""
        if self.last is not None and pivot[:-1] == self.last[: len(pivot) - 1]:
            self.missed_at = max(self.missed_at, len(pivot) - 1)
        self.ceiling = pivot if self.ceiling is None else min(self.ceiling, pivot)
