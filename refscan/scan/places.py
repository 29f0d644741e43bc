"""The containers that many objects lie in: each opened once while it is needed, and a bounded number at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Self

import anyio
import pyarrow as pa

from refscan.sources.options import StoreOptions
from refscan.sources.schemes import open_source
from refscan.sources.source import Source
from refscan.uri import Location

__all__ = ["Place", "Places"]

_MOST_OPEN = 64
# Those that nobody uses may still hold connections open; systems allow few hundred files.
_MOST_IDLE = 8

_Key = tuple[str, str | None, str | None]


@dataclass(slots=True)
class Place:
    """One container, and how much is asked of it at once.

    Attributes:
        source: Reads it.
        slots: To be held while it is asked.
        rows: What it answered.
        paths: Where that stands in the artifact.
        users: How many use it now.
    """

    source: Source
    slots: anyio.CapacityLimiter
    stack: AsyncExitStack
    rows: list[pa.RecordBatch] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    users: int = 0


class Places:
    """Opens places, and closes those that nobody uses once there are too many; all of them with ``async with``.

    Args:
        options: How stores are reached.
        checksum: Read local files for their MD5.
        on_close: Takes what a place still holds, before it is closed for another one.
    """

    def __init__(
        self,
        options: tuple[StoreOptions, ...],
        *,
        checksum: bool = True,
        on_close: Callable[[Place], Awaitable[None]] | None = None,
    ) -> None:
        self._options = options
        self._checksum = checksum
        self._on_close = on_close
        self._open: dict[_Key, Place] = {}
        self._opening: set[_Key] = set()
        self._changed = anyio.Event()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for place in self.open():
            with anyio.CancelScope(shield=True):
                await place.stack.aclose()

    def open(self) -> list[Place]:
        """Return those that are open."""
        return list(self._open.values())

    @asynccontextmanager
    async def use(self, location: Location) -> AsyncIterator[Place]:
        """Give the place of an object, which stays open meanwhile."""
        key = location.base, location.userinfo, location.sas
        place = await self._get(key, location)
        try:
            yield place
        finally:
            place.users -= 1
            if not place.users:
                self._tell()

    async def _get(self, key: _Key, location: Location) -> Place:
        while True:
            place = self._open.pop(key, None)
            if place is not None:
                place.users += 1
                self._open[key] = place  # behind all others: the first ones are those not used for the longest
                return place
            if key in self._opening or not await self._make_room():
                await self._changed.wait()
            elif key not in self._open and key not in self._opening:
                await self._add(key, location)

    async def _make_room(self) -> bool:
        """Close what nobody uses, if that must be, and tell whether there is room for one more."""
        idle = [key for key, place in self._open.items() if not place.users]
        full = len(self._open) + len(self._opening) >= _MOST_OPEN
        if idle and (full or len(idle) > _MOST_IDLE):
            place = self._open.pop(idle[0])
            try:
                if self._on_close is not None:
                    await self._on_close(place)
            finally:
                with anyio.CancelScope(shield=True):
                    await place.stack.aclose()
        return len(self._open) + len(self._opening) < _MOST_OPEN

    async def _add(self, key: _Key, location: Location) -> None:
        self._opening.add(key)
        try:
            stack = AsyncExitStack()
            source = await stack.enter_async_context(open_source(location, self._options, checksum=self._checksum))
            slots = anyio.CapacityLimiter(source.capabilities.stat_concurrency)
            self._open[key] = Place(source, slots, stack)
        finally:
            self._opening.discard(key)
            self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()
