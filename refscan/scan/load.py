"""Whether this thread has more to do already than it can: then more requests at once bring nothing sooner."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

__all__ = ["Load"]

_FULL = 0.9
# In seconds; and in round trips, as answers come in bursts.
_SHORTEST = 0.01
_ROUND_TRIPS = 2.0


class Load:
    """The share of time that a thread computes, watched over some round trips. To be used in that thread.

    Args:
        clock: Tells the time in seconds.
        used: Tells the seconds that the thread has computed.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, used: Callable[[], float] = time.thread_time
    ) -> None:
        self._clock = clock
        self._used = used
        self._quickest = math.inf
        self._share = 0.0
        self._since = clock(), used()

    def answered(self, seconds: float) -> None:
        """Note how long an answer took, what it waited for the thread included."""
        self._quickest = min(self._quickest, seconds)

    def is_full(self) -> bool:
        """Tell whether the thread computed nearly all of the time, when that was last looked at."""
        began, used = self._since
        now = self._clock()
        if now - began >= max(_SHORTEST, _ROUND_TRIPS * self._quickest):
            self._since = now, self._used()
            self._share = (self._since[1] - used) / (now - began)
        return self._share > _FULL
