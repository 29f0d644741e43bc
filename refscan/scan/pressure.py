"""How many requests may be under way, by what the store answers. No I/O.

Slow start doubles with each round of answers; a store that asks to slow down gets fewer by a third, and then one more
a round.
"""

from __future__ import annotations

__all__ = ["Pressure"]

_START = 4.0
_BACK_OFF = 0.7


class Pressure:
    """The concurrency of one scan.

    Args:
        most: Requests under way, at most.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._limit = min(_START, most)
        self._slow_start = True
        self._answers_to_ignore = 0

    @property
    def limit(self) -> int:
        """Requests that may be under way now."""
        return max(1, int(self._limit))

    def answered(self, *, throttled: bool) -> None:
        """Learn from an answer: whether the store asked to slow down meanwhile."""
        if throttled and self._answers_to_ignore <= 0:
            self._limit = max(1.0, self._limit * _BACK_OFF)
            self._slow_start = False
            # What was under way then says nothing of the new limit.
            self._answers_to_ignore = self.limit
            return
        self._answers_to_ignore -= 1
        if not throttled:
            self._limit = min(self._most, self._limit + (1.0 if self._slow_start else 1.0 / self._limit))
