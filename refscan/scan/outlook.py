"""What is known of one range that is being listed, how much of it seems to be left, and where to cut it. No I/O."""

from __future__ import annotations

import math
from dataclasses import dataclass
from os.path import commonprefix as common_prefix

from refscan.scan.pivot import Alphabet, beyond

__all__ = ["Outlook"]


@dataclass(slots=True)
class Outlook:
    """One range on its way.

    Keys share a beginning, and nothing tells beforehand where they stop to do so. Behind all keys that are like the
    last one up to some position there either are more keys or none. That position is searched for: in growing steps
    from where the first page's keys differ, so that each hit gives a range to list, and by halving once one missed.

    Attributes:
        low: All keys that are left are like ``last`` before this position.
        high: Some are not, at this position.
        varies_at: Where the keys of the first page differ.
        step: How far the search goes back next; 0 once it halves.
        searching: It is searched for between ``low`` and ``high``.
        ceiling: Known to be greater than all keys of the range, where that is lower than its bound.
        first: The first key found in it.
        last: The last key found in it.
        pages: Pages of it so far.
        tried: The position that the last pivot was made for, if it was made in that search.
        tried_at: Pages when a part of it was last tried to be taken: once a page is enough.
        stealing: Somebody is trying it now.
        stuck: Nobody knew where to cut it last time.
    """

    low: int
    high: int | None = None
    varies_at: int = 0
    step: int = 2
    searching: bool = True
    ceiling: str | None = None
    first: str | None = None
    last: str | None = None
    pages: int = 0
    tried: int | None = None
    tried_at: int = 0
    stealing: bool = False
    stuck: bool = False

    def add(self, first: str | None, last: str | None) -> None:
        """Note a page."""
        if self.first is None and first is not None and last is not None:
            self.first = first
            self.varies_at = len(common_prefix([first, last]))  # noqa: RUF071  characters are meant
        self.last = last if last is not None else self.last
        self.pages += 1

    def pages_left(self, alphabet: Alphabet, until: str | None) -> float:
        """Estimate how many pages are left; infinite where nothing is known."""
        bound = self._bound(alphabet, until)
        if self.first is None or self.last is None or bound is None:
            return math.inf
        if self.last >= bound:
            return math.inf if until is None and self.ceiling is None else 0.0
        done = alphabet.fraction(self.last, self.first, bound)
        return self.pages * (1 - done) / done if done > 0 else math.inf

    def pivot(self, alphabet: Alphabet, until: str | None) -> str | None:
        """Return where to try to cut the range next; ``None`` if nothing comes to mind."""
        if self.last is None:
            return None
        self.tried = self._next_position(self.last)
        if self.tried is not None:
            return beyond(self.last, self.tried)
        self.searching = False
        bound = self._bound(alphabet, until)
        return None if bound is None else alphabet.between(self.last, bound)

    def missed(self, pivot: str) -> None:
        """Note that there is no key beyond ``pivot`` in the range: what is left shares more than was thought."""
        self.ceiling = pivot if self.ceiling is None else min(self.ceiling, pivot)
        self.step = 0
        if self.tried is not None:
            self.low = self.tried + 1
        elif self.last is not None:
            self.low, self.high = max(self.low, len(common_prefix([self.last, pivot]))), None  # noqa: RUF071  characters
            self.searching = True

    def found(self) -> None:
        """Note that there are keys beyond the last pivot."""
        if self.tried is not None:
            self.high, self.step = self.tried, 2 * self.step

    def upper(self) -> Outlook:
        """Return the outlook of the part beyond the last pivot, which is cut off here."""
        self.found()
        searching = self.tried is not None and self.searching
        upper = Outlook(self.low, high=self.high, step=self.step, searching=searching, ceiling=self.ceiling)
        self.ceiling, self.searching = None, False
        return upper

    def _next_position(self, last: str) -> int | None:
        high = min(len(last), self.varies_at + 1 if self.high is None else self.high)
        if not self.searching or self.low >= high:
            return None
        return max(self.low, high - self.step) if self.step else (self.low + high) // 2

    def _bound(self, alphabet: Alphabet, until: str | None) -> str | None:
        """Return the least text that is known, or else likely, to be at or above all keys of the range."""
        if until is not None or self.ceiling is not None:
            return min(bound for bound in (until, self.ceiling) if bound is not None)
        if (
            self.last is None
            or self.high is None
            or self.high >= len(self.last)
            or self._next_position(self.last) is not None
        ):
            return None
        # Beyond all that may stand where keys were seen to differ.
        highest = max([self.last[self.high], *alphabet.at(self.high)[-1:]])
        return beyond(self.last[: self.high] + highest, self.high)
