"""Which answers of a server are spoilt: by chance, yet the same for the same seed."""

from __future__ import annotations

import random
from enum import Enum

__all__ = ["Fate", "Faults"]


class Fate(Enum):
    """What becomes of an answer."""

    SENT = "sent"
    SLOW_DOWN = "slow_down"
    RESET = "reset"
    TRUNCATED = "truncated"


class Faults:
    """Draws the fate of one answer after the other.

    Args:
        rate: The share of answers that are 503 SlowDown or, as often, a connection that is reset.
        truncated: The share of answers that break off in the midst of the body.
        seed: Draws are the same for the same seed, in the order in which requests come.
    """

    def __init__(self, rate: float, truncated: float, seed: int = 0) -> None:
        self._rate = rate
        self._truncated = truncated
        self._seed = seed
        self.restart()

    def restart(self) -> None:
        """Draw from the beginning, so that each contender meets the same."""
        self._chance = random.Random(self._seed)
        self.met = dict.fromkeys(Fate, 0)

    def draw(self) -> Fate:
        """Return what becomes of the next answer."""
        number = self._chance.random()
        if number < self._rate:
            fate = Fate.SLOW_DOWN if number < self._rate / 2 else Fate.RESET
        else:
            fate = Fate.TRUNCATED if number < self._rate + self._truncated else Fate.SENT
        self.met[fate] += 1
        return fate
