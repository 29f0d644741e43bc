"""Which characters keys have, and how keys spread over them, guessed from those seen so far. No I/O.

Names of objects are mostly made by a rule: where digits were seen there are digits, and where all keys from many
places have the same character they most likely all have it.
"""

from __future__ import annotations

import bisect
import string
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate

__all__ = ["Alphabet", "beyond", "is_safe"]

_LAST = 0x10FFFF
_HEXADECIMAL = frozenset("0123456789abcdef")
_MANY_LETTERS = 4
# A character that was not seen weighs as much as one that was, and half of that after so many looks.
_FADING = 4.0
# The chance that keys differ where they were not seen to, after one look; less where no letter or digit stands.
_LEAK = 1.0
_LEAK_ELSEWHERE = 0.1
_DEEPEST = 64


@dataclass(frozen=True, slots=True)
class _Spread:
    """The characters at one position, ascending, and the share of keys below each; ``below`` has one more."""

    characters: list[str]
    below: list[float]


_NOTHING = _Spread([], [0.0])


class Alphabet:
    """The characters at each position of the keys of one listing.

    Args:
        start: The position behind the prefix of the listing.
    """

    def __init__(self, start: int) -> None:
        self.start = start
        self._seen: dict[int, set[str]] = {}
        self._spreads: dict[int, _Spread] = {}
        # The positions at which ranges were cut: what stands behind such a one was looked at apart from the rest.
        self._cuts: list[int] = []

    def add(self, keys: Iterable[str], *, cut: int | None = None) -> None:
        """Learn from some keys of a page; it lies apart from all others if a range was ``cut`` at this position."""
        if cut is not None:
            bisect.insort(self._cuts, cut)
            self._spreads.clear()
        seen, start = self._seen, self.start
        for key in keys:
            for position, character in enumerate(key[start:], start):
                known = seen.get(position)
                if known is None:
                    known = seen[position] = set()
                if character not in known:
                    known.add(character)
                    self._spreads.pop(position, None)

    def varies(self, position: int) -> bool:
        """Tell whether keys were seen to differ here."""
        return len(self._seen.get(position, ())) > 1

    def leak(self, position: int, character: str) -> float:
        """Return the chance that something else stands where only this character was seen."""
        return (_LEAK if character.isalnum() else _LEAK_ELSEWHERE) * self._fading(position) ** 2

    def _fading(self, position: int) -> float:
        """Return what is left of a doubt, by how many places were looked at."""
        return _FADING / (_FADING + bisect.bisect_left(self._cuts, position))

    def value(self, text: str, position: int) -> float:
        """Return the share of keys below ``text``, from 0 to 1, of those that are like it before ``position``."""
        value, scale = 0.0, 1.0
        for at in range(position, min(len(text), position + _DEEPEST)):
            spread = self._at(at)
            rank = bisect.bisect_left(spread.characters, text[at])
            value += scale * spread.below[rank]
            if rank == len(spread.characters) or spread.characters[rank] != text[at]:
                break
            scale *= spread.below[rank + 1] - spread.below[rank]
            if scale < 1e-12:  # noqa: PLR2004  what a float can tell apart
                break
        return value

    def ends(self, position: int, character: str) -> tuple[float, float]:
        """Return the share of keys below all that have ``character`` at ``position``, and of those and these."""
        spread = self._at(position)
        rank = bisect.bisect_left(spread.characters, character)
        if rank == len(spread.characters) or spread.characters[rank] != character:
            return spread.below[rank], spread.below[rank]
        return spread.below[rank], spread.below[rank + 1]

    def text(self, value: float, position: int, finest: float) -> str:
        """Return the text from ``position`` on which has this share of keys below it.

        It is as long as is needed to be that fine, and all of it is safe in a request.
        """
        text, scale = "", 1.0
        for at in range(position, position + _DEEPEST):
            spread = self._at(at)
            if not spread.characters or scale < finest:
                break
            rank = min(bisect.bisect_right(spread.below, value) - 1, len(spread.characters) - 1)
            if not is_safe(spread.characters[rank]):
                break
            text += spread.characters[rank]
            share = spread.below[rank + 1] - spread.below[rank]
            value = (value - spread.below[rank]) / share
            scale *= share
        return text

    def _at(self, position: int) -> _Spread:
        found = self._spreads.get(position)
        if found is None:
            found = self._spreads[position] = self._spread(position, self._seen.get(position))
        return found

    def _spread(self, position: int, seen: set[str] | None) -> _Spread:
        if not seen:
            return _NOTHING
        if len(seen) == 1:
            return _Spread([*seen], [0.0, 1.0])
        characters = sorted(seen | {*filter(is_safe, _completed(seen))})
        unseen = self._fading(position)
        weights = [1.0 if character in seen else unseen for character in characters]
        total = sum(weights) or 1.0
        return _Spread(characters, [0.0, *(weight / total for weight in accumulate(weights))])


def beyond(key: str, position: int) -> str | None:
    """Return the least safe text that is greater than all keys which are like ``key`` up to and at ``position``."""
    code = ord(key[position]) + 1
    while code <= _LAST and not is_safe(chr(code)):
        code += 1
    return key[:position] + chr(code) if code <= _LAST else None


def _completed(seen: set[str]) -> set[str]:
    """Return the characters of the kinds that were seen."""
    completed = set(seen)
    digits, letters = seen & set(string.digits), seen - set(string.digits)
    if digits:
        completed |= set(string.digits)
    if digits and letters and letters <= _HEXADECIMAL:
        return completed | _HEXADECIMAL
    for kind in (string.ascii_lowercase, string.ascii_uppercase):
        if len(seen & set(kind)) >= _MANY_LETTERS:
            completed |= set(kind)
    return completed


def is_safe(character: str) -> bool:
    """Tell whether every store takes this character in a request, and gives it back."""
    code = ord(character)
    if character == "%" or 0xD800 <= code <= 0xDFFF or 0xFDD0 <= code <= 0xFDEF or code & 0xFFFE == 0xFFFE:  # noqa: PLR2004
        return False
    return character.isprintable()
