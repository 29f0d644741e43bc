"""How many requests may be under way, by what the store answers, and how scans share that. No I/O.

Slow start doubles with each round of answers. Where more than a tenth of a round ask to slow down, the store gets fewer
by a third, and then one more a round; a few do not mean that there are too many.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Pressure", "Share"]

_START = 4.0
_BACK_OFF = 0.7
_TOLERATED = 0.1
_SMALLEST_ROUND = 16


class Pressure:
    """The concurrency of all scans of one bucket.

    Args:
        most: Requests under way, at most.
    """

    def __init__(self, most: int) -> None:
        self.under_way = 0
        self.shares: list[Share] = []
        self._most = most
        self._limit = min(_START, most)
        self._slow_start = True
        self._answers_to_ignore = 0
        # Of this round.
        self._answers = self._busy = 0

    @property
    def limit(self) -> int:
        """Requests that may be under way now."""
        return max(1, int(self._limit))

    def raise_to(self, most: int) -> None:
        """Allow at least so many, if the store takes them."""
        self._most = max(self._most, most)

    def answered(self, *, throttled: bool) -> None:
        """Learn from an answer: whether the store asked to slow down meanwhile."""
        if self._answers_to_ignore > 0:
            self._answers_to_ignore -= 1
        else:
            self._answers += 1
            self._busy += throttled
        round_of = max(_SMALLEST_ROUND, self.limit)
        if self._busy > _TOLERATED * round_of:
            self._limit = max(1.0, self._limit * _BACK_OFF)
            self._slow_start = False
            self._answers = self._busy = 0
            # What was under way then says nothing of the new limit.
            self._answers_to_ignore = self.limit
            return
        if self._answers >= round_of:
            self._answers = self._busy = 0
        if not throttled:
            self._limit = min(self._most, self._limit + (1.0 if self._slow_start else 1.0 / self._limit))

    def join(self, on_room: Callable[[], None]) -> Share:
        """Return the part of one more scan; ``on_room`` is called when it may take hands that it could not before."""
        share = Share(self, on_room)
        self.shares.append(share)
        return share


class Share:
    """One scan's hands. It always may have one; those that wait for more get as many as the others.

    Attributes:
        hands: How many it has.
        waits: It could not have one more.
    """

    def __init__(self, pressure: Pressure, on_room: Callable[[], None]) -> None:
        self.hands = 0
        self.waits = False
        self._pressure = pressure
        self.on_room = on_room

    def may_start(self) -> bool:
        """Tell whether it may have one more hand; it waits for one otherwise."""
        full = self._pressure.under_way >= self._pressure.limit
        self.waits = self.hands > 0 and (full or self._others_wait_with_less_than(self.hands))
        return not self.waits

    def must_stop(self) -> bool:
        """Tell whether one of its hands should stop before its work is done."""
        crowded = self._pressure.under_way > self._pressure.limit
        return self.hands > 1 and (crowded or self._others_wait_with_less_than(self.hands - 1))

    def start(self) -> None:
        """Note one more hand."""
        self.hands += 1
        self._pressure.under_way += 1

    def stop(self) -> None:
        """Note one hand less."""
        self.hands -= 1
        self._pressure.under_way -= 1
        for share in sorted(self._pressure.shares, key=lambda share: share.hands):
            if share is not self and share.waits:
                share.on_room()

    def leave(self) -> None:
        """Give back what the scan had."""
        if self in self._pressure.shares:
            self.waits = False
            self._pressure.shares.remove(self)
            while self.hands:
                self.stop()

    def _others_wait_with_less_than(self, hands: int) -> bool:
        return any(share.waits and share.hands < hands for share in self._pressure.shares if share is not self)
