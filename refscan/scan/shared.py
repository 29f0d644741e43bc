"""What all scans of one bucket in a process share: how much is asked of it at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import anyio

from refscan.scan.limits import LIST_CONCURRENCY
from refscan.scan.pressure import Pressure
from refscan.sources.source import Source

__all__ = ["Shared", "shared_limits"]


class Shared:
    """The limits of one bucket, for as long as any scan of it runs.

    Attributes:
        pressure: Of pages of key ranges.
        walks: Of pages of folders.
        stats: Of ``stat`` calls.
        users: Scans that run.
    """

    def __init__(self, source: Source) -> None:
        can = source.capabilities
        self.users = 0
        self.pressure = Pressure(can.list_concurrency)
        self.walks = anyio.CapacityLimiter(LIST_CONCURRENCY)
        self.stats = anyio.CapacityLimiter(can.stat_concurrency)


# An event loop runs in a thread of its own, and what is shared must not leave it.
_SHARED: dict[tuple[str, int], Shared] = {}


@contextmanager
def shared_limits(source: Source) -> Iterator[Shared]:
    """Give what scans of this source's bucket share in this event loop."""
    key = source.base, threading.get_ident()
    found = _SHARED.get(key)
    if found is None:
        found = _SHARED[key] = Shared(source)
    found.users += 1
    found.pressure.raise_to(source.capabilities.list_concurrency)
    found.stats.total_tokens = max(found.stats.total_tokens, source.capabilities.stat_concurrency)
    try:
        yield found
    finally:
        found.users -= 1
        if not found.users:
            del _SHARED[key]
