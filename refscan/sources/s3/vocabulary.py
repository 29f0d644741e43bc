"""The words that tags are written in: learned as they turn up, and then known by a few numbers at any place at once."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from refscan.sources.cut import Eights, Flags, Positions, as_eights

__all__ = ["ALONE", "CLOSE", "OPEN", "VARIANTS", "Kinds", "Vocabulary"]

OPEN, CLOSE, ALONE, VARIANTS = 0, 1, 2, 4
"""What is added to a name's number for ``<name>``, ``</name>``, and ``<name/>``; the distance of two names' numbers."""

Kinds = npt.NDArray[np.int32]

_TAG = re.compile(rb"</?([A-Za-z_][A-Za-z0-9_.-]{0,27})(?: ?/)?>")
_LONGEST = 32
_MOST_NAMES = 250
_SLOTS = 1 << 16
_TOP = np.uint64(48)
_GREATER = np.uint64(0x3E3E3E3E3E3E3E3E)
_LOW = np.uint64(0x0101010101010101)
_HIGH = np.uint64(0x8080808080808080)
_ONE = np.uint64(1)
_FACTORS = tuple(
    np.uint64(factor) for factor in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0xD6E8FEB86659FD93, 0xA0761D6478BD642F)
)


class Vocabulary:
    """Names of tags, by number.

    Args:
        names: What it begins with: the first has number 0, the next ``VARIANTS``, and so on.
    """

    def __init__(self, names: tuple[bytes, ...]) -> None:
        self._first = names
        self._forget()

    def _forget(self) -> None:
        self.names: list[bytes] = []
        self._hashes = np.zeros(_SLOTS, np.uint64)
        self._kinds = np.zeros(_SLOTS, np.int32)
        self._lengths: list[int] = []
        for name in self._first:
            self._learn(name)

    def read(self, body: bytes, eights: Eights, places: Positions) -> Kinds | None:
        """Return which tag stands at each place; ``None``: at one there is no plain tag, or one unheard of.

        A plain tag has neither attributes nor a prefix, no space but one before the slash at its end, and a name of
        at most 28 bytes.
        """
        hashes = _hashes(eights, places)
        if hashes is None:
            return None
        while True:
            slots = (hashes >> _TOP).astype(np.intp)
            right: Flags = self._hashes[slots] == hashes
            if right.all():
                return self._kinds[slots]
            tag = _TAG.match(body, places[int(right.argmin())])
            if tag is None or tag[1] in self.names or not self._learn(tag[1]):
                return None

    def length(self, kind: int) -> int:
        """Return the length of a tag in bytes, brackets and all; not for ``ALONE``."""
        return len(self.names[kind // VARIANTS]) + 2 + (kind % VARIANTS == CLOSE)

    def _learn(self, name: bytes) -> bool:
        """Take up a name; where that cannot be, the page is read another way."""
        if len(self.names) >= _MOST_NAMES:
            self._forget()
            return False
        number = len(self.names) * VARIANTS
        texts = {b"<%b>" % name: OPEN, b"</%b>" % name: CLOSE, b"<%b/>" % name: ALONE, b"<%b />" % name: ALONE}
        body = b"".join(text.ljust(_LONGEST + 8) for text in texts)
        hashes = _hashes(as_eights(body), np.arange(len(texts)) * (_LONGEST + 8))
        if hashes is None:
            return False
        slots = hashes >> _TOP
        if self._hashes[slots].any() or len(set(slots.tolist())) < len(texts):
            return False  # one in hundreds
        self._hashes[slots] = hashes
        self._kinds[slots] = [number + variant for variant in texts.values()]
        self.names.append(name)
        return True


def _hashes(eights: Eights, places: Positions) -> Eights | None:
    """Return a number for the bytes from each place up to the first ``>``; ``None``: one has none in 32 bytes."""
    hashes = np.zeros(len(places), np.uint64)
    left: Positions | None = None
    for number, factor in enumerate(_FACTORS):
        words = eights[places]
        # The lowest of the highest bits of bytes that are ">": all below it is kept, or all, if there is none.
        ends = words ^ _GREATER
        ends = (ends - _LOW) & ~ends & _HIGH
        words &= ends ^ (ends - _ONE)
        words *= factor
        # The low bits of a product depend on little; the slot is taken from the high ones.
        words ^= words >> np.uint64(29)
        open_ends = np.flatnonzero(ends == 0)
        if left is None:
            hashes, left = words, open_ends
        else:
            hashes[left] = hashes[left] * _FACTORS[number - 1] + words
            left = left[open_ends]
        if len(left) == 0:
            return hashes
        places = places[open_ends] + 8
    return None
