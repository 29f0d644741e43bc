"""What is known of one range that is being listed: how much of it seems to be left, and where to cut it. No I/O.

The last key stands in folders of folders, so to speak: at each position it shares its beginning with its siblings,
which differ from it there. What is left is guessed from the innermost position outwards: a sibling that was not seen
holds as much as those that were. Where all keys have had one character so far there is a small chance for each
position that others follow; the middle of what that makes is how such positions are searched, by halves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from os.path import commonprefix

from refscan.scan.alphabet import Alphabet, beyond

__all__ = ["Outlook"]

_LEAST = 1e-9
_MOST = 1e12
# A cut is not to fall between two pages just where the names' digits turn round, which costs a page more.
_OBLIQUE = 0.4937
# A guess of so many times what the whole listing gave so far is cut nearer to that than to its half.
_FAR = 10
# In pages, how finely a pivot is written.
_FINEST = 0.02
# What may follow where nothing else was seen adds little to the whole: it is there to be looked for.
_MORE = 0.1


@dataclass(slots=True)
class Outlook:
    """One range on its way.

    Attributes:
        ceiling: Known to be greater than all keys of the range, where that is lower than its bound.
        cut: Where its beginning and the range that it was cut from differ.
        first: The first key found in it.
        last: The last key found in it.
        pages: Pages of it so far.
        left: How many more there seem to be.
        free: Those of them that nobody tries to take now.
        tried_at: Pages when it was last cut, or could not be: once a page is enough.
    """

    ceiling: str | None = None
    cut: int | None = None
    first: str | None = None
    last: str | None = None
    pages: int = 0
    left: float = 0.0
    free: float = 0.0
    tried_at: int = 0
    _varies_at: int = 0
    # At each position, how many pages had come before all shared the last key's beginning up to there.
    _entered: list[int] = field(default_factory=list)

    def add(self, first: str, last: str) -> None:
        """Note a page by its first and last key."""
        if self.last is None:
            self.first = first
            self._entered = [0] * (len(last) + 1)
        else:
            common = _common(self.last, last)
            self._entered[common + 1 :] = [self.pages] * (len(last) - common)
        self._varies_at = min(_common(first, last), len(last) - 1)
        self.last = last
        self.pages += 1

    def missed(self, pivot: str) -> None:
        """Note that there is no key beyond ``pivot`` in the range."""
        self.ceiling = pivot if self.ceiling is None else min(self.ceiling, pivot)

    def position_of(self, pivot: str) -> int | None:
        """Return where ``pivot`` differs from the last key."""
        return None if self.last is None else _common(self.last, pivot)

    def look(self, alphabet: Alphabet, until: str | None, asked: str | None = None) -> None:
        """Guess anew how many pages are ``left`` of the range up to ``until``, and ``free`` of them up to ``asked``."""
        self.left = self.free = self._sum(alphabet, until)
        if asked is not None:
            self.free = min(self.left, self._sum(alphabet, asked))

    def _sum(self, alphabet: Alphabet, until: str | None) -> float:
        return min(_MOST, sum(left for _, left, _, _ in self._levels(alphabet, until)))

    def pivot(self, alphabet: Alphabet, until: str | None, listed: int) -> str | None:
        """Return where to try to cut the range, so that half of what is left lies beyond; ``None``: nobody knows."""
        last = self.last
        if last is None:
            return None
        levels = self._levels(alphabet, until)
        left = sum(left for _, left, _, _ in levels)
        above = _OBLIQUE * left if left < _FAR * listed else left - math.sqrt(left * listed)
        for position, left, low, high in reversed(levels):
            if left < above:
                above -= left
                continue
            if not left:
                return None
            bound = self._bound(until)
            if high <= low:
                text = beyond(last, position)
            else:
                value = high - (high - low) * above / left
                text = last[:position] + alphabet.text(value, position, _FINEST * (high - low) / left)
                if text <= last:
                    text = beyond(last, position)
            return text if text is not None and last < text and (bound is None or text < bound) else None
        return None

    def _bound(self, until: str | None) -> str | None:
        return min((bound for bound in (until, self.ceiling) if bound is not None), default=None)

    def _levels(self, alphabet: Alphabet, until: str | None) -> list[tuple[int, float, float, float]]:
        """Return, from the innermost position outwards, how many pages are left of siblings at each.

        Each is a position, the pages, and between which shares of the keys there they lie; where keys were not seen
        to differ, both shares are 0.
        """
        last, first, bound = self.last, self.first, self._bound(until)
        if last is None or first is None or (bound is not None and last >= bound):
            return []
        outermost = alphabet.start if bound is None else _common(last, bound)
        inner, same = self._varies_at, _common(first, last)
        # The innermost: a page reaches over some of the characters there.
        value = alphabet.value(last, inner)
        started = alphabet.value(first, inner) if same >= inner else 0.0
        high = alphabet.value(bound, inner) if bound is not None and inner <= outermost else 1.0
        whole = (self.pages - self._entered[inner]) / max(value - started, _LEAST)
        levels = [(inner, whole * max(0.0, high - value), value, high)]
        for position in range(inner - 1, outermost - 1, -1):
            character = last[position]
            if not alphabet.varies(position):
                chance = alphabet.leak(position, character)
                if bound is None or position > outermost:
                    levels.append((position, whole * chance, 0.0, 0.0))
                    whole *= 1 + _MORE * chance
                continue
            below, through = alphabet.ends(position, character)
            earlier = self._entered[position + 1] - self._entered[position]
            start = alphabet.value(first[: position + 1], position) if same >= position else 0.0
            whole = (earlier + whole) / max(through - min(start, below), _LEAST)
            high = alphabet.value(bound, position) if bound is not None and position == outermost else 1.0
            if bound is None and through >= high:
                # Nothing was seen above, and nobody has looked.
                levels.append((position, whole * alphabet.leak(position, character), 0.0, 0.0))
            else:
                levels.append((position, whole * max(0.0, high - through), through, high))
        return levels


def _common(one: str, other: str) -> int:
    """Return how many characters two texts begin alike with."""
    return len(commonprefix([one, other]))  # noqa: RUF071  characters are meant
