"""Numbers that look random and are the same for the same seed, for one object or for arrays of them."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["mixed"]

_N = TypeVar("_N", int, NDArray[np.uint64])
_GOLDEN = 0x9E3779B97F4A7C15
_ODD = 0xD1B54A32D192ED03
_MASK = 0xFFFF_FFFF_FFFF_FFFF


def mixed(seed: _N, salt: int = 0) -> _N:
    """Return 64 bits for each seed, by SplitMix64 (https://doi.org/10.1145/2660193.2660195)."""
    number = (seed * _GOLDEN + (_GOLDEN + salt * _ODD) % 2**64) & _MASK
    number = ((number ^ (number >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    number = ((number ^ (number >> 27)) * 0x94D049BB133111EB) & _MASK
    return number ^ (number >> 31)  # type: ignore[return-value]
