"""Which objects were overwritten: one in 10,000 has 1,000 old versions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["History"]

_EVERY = 10_000
_OLD = 1_000
_AT = 500


class History:
    """The versions of a bucket as one row: for each key, in order, its latest version and then its old ones.

    Args:
        overwritten: Some keys have old versions; otherwise each has one version.
    """

    def __init__(self, *, overwritten: bool) -> None:
        self._old = _OLD if overwritten else 0

    def first(self, key: int) -> int:
        """Return the position of a key's latest version; of the end, for the number of keys."""
        return key + (key + _EVERY - 1 - _AT) // _EVERY * self._old

    def keys(self, positions: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the key of the version at each position, and how many newer ones that key has."""
        block, inside = np.divmod(positions, _EVERY + self._old)
        ranks = np.clip(inside - _AT, 0, self._old)
        ranks[inside > _AT + self._old] = 0
        shifts = np.clip(inside - _AT, 0, self._old)
        return block * _EVERY + inside - shifts, ranks

    def key(self, position: int) -> tuple[int, int]:
        """Return the same of one position."""
        keys, ranks = self.keys(np.array([position]))
        return int(keys[0]), int(ranks[0])
