"""Where to cut a key range, guessed from the keys seen so far. No I/O.

A pivot need not exist; it only has to lie between two keys. What is invented for it is safe in a request: no control
character, no non-character, no ``%``. A bad guess costs a request, never a key.
"""

from __future__ import annotations

import bisect
import string
from collections.abc import Iterable
from os.path import commonprefix as common_prefix

__all__ = ["Alphabet", "beyond"]

_DEPTH = 8
_LAST = 0x10FFFF
_HEXADECIMAL = frozenset("0123456789abcdef")
_MANY_LETTERS = 4


class Alphabet:
    """Which characters keys have at each position behind their common prefix.

    Names of objects are mostly made by a rule: digits stand where digits were seen.

    Args:
        start: The position behind the prefix of the listing.
    """

    def __init__(self, start: int) -> None:
        self._start = start
        self._seen: dict[int, set[str]] = {}
        self._sorted: dict[int, list[str]] = {}

    def add(self, keys: Iterable[str]) -> None:
        """Learn from some keys."""
        for key in keys:
            for position in range(self._start, len(key)):
                seen = self._seen.setdefault(position, set())
                if key[position] not in seen:
                    seen.add(key[position])
                    self._sorted.pop(position, None)

    def at(self, position: int) -> list[str]:
        """Return the characters to be expected at a position, ascending."""
        found = self._sorted.get(position)
        if found is None:
            found = sorted(filter(_is_safe, _completed(self._seen.get(position, set()))))
            self._sorted[position] = found
        return found

    def fraction(self, key: str, after: str, until: str) -> float:
        """Tell how far ``key`` lies on the way from ``after`` to ``until``, as if keys were spread evenly."""
        common = len(common_prefix([after, until]))  # noqa: RUF071  characters are meant
        low, high = self._value(after, common), self._value(until, common)
        return (self._value(key, common) - low) / (high - low) if high > low else 0.0

    def between(self, after: str, until: str, share: float = 0.5) -> str | None:
        """Return a text between ``after`` and ``until``, both excluded; ``None`` if none is found."""
        common = len(common_prefix([after, until]))  # noqa: RUF071  characters are meant
        low, high = self._value(after, common), self._value(until, common)
        text = after[:common] + self._text(low + (high - low) * share, common)
        for length in range(common + 1, len(text) + 1):
            if after < text[:length] < until:
                return text[:length]
        return None

    def _value(self, text: str, common: int) -> float:
        value, scale = 0.0, 1.0
        for position in range(common, min(len(text), common + _DEPTH)):
            characters = self.at(position)
            scale /= len(characters) + 1
            rank = bisect.bisect_left(characters, text[position])
            value += (rank + 1) * scale
            if rank == len(characters) or characters[rank] != text[position]:
                break  # It stands where the next character's texts begin.
        return value

    def _text(self, value: float, common: int) -> str:
        text = ""
        for position in range(common, common + _DEPTH):
            characters = self.at(position)
            value *= len(characters) + 1
            rank = min(int(value), len(characters))
            if rank == 0:
                break
            value -= rank
            text += characters[rank - 1]
        return text


def beyond(key: str, position: int) -> str | None:
    """Return the least safe text that is greater than all keys which are like ``key`` up to and at ``position``."""
    code = ord(key[position]) + 1
    while code <= _LAST and not _is_safe(chr(code)):
        code += 1
    return key[:position] + chr(code) if code <= _LAST else None


def _completed(seen: set[str]) -> set[str]:
    """Return the characters of the kinds that were seen."""
    completed = set(seen)
    digits, letters = seen & set(string.digits), seen - set(string.digits)
    if digits:
        completed |= set(string.digits)
    if digits and letters and letters <= _HEXADECIMAL:
        completed |= _HEXADECIMAL
    for kind in (string.ascii_lowercase, string.ascii_uppercase):
        if len(seen & set(kind)) >= _MANY_LETTERS:
            completed |= set(kind)
    return completed


def _is_safe(character: str) -> bool:
    """Tell whether every store takes this character in a request, and gives it back."""
    code = ord(character)
    if character == "%" or 0xD800 <= code <= 0xDFFF or 0xFDD0 <= code <= 0xFDEF or code & 0xFFFE == 0xFFFE:  # noqa: PLR2004
        return False
    return character.isprintable()
