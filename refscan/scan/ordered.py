"""Work done concurrently, results handed on in the order in which the work came in."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar, cast

import anyio
from anyio.abc import TaskGroup

__all__ = ["OrderedWorkers"]

T = TypeVar("T")
R = TypeVar("R")


class _Slot(Generic[R]):
    __slots__ = ("error", "ready", "result")

    def __init__(self, ready: anyio.Event | None, result: R | None = None) -> None:
        self.ready = ready
        self.result = result
        self.error: Exception | None = None


class OrderedWorkers(Generic[T, R]):
    """A line of work: ``put`` at one end, ``deliver`` at the other, in the same order.

    At most ``concurrency`` items are worked on at once, and at most twice as many are in the line; then ``put`` waits.

    Args:
        group: Runs the work.
        work: What is done with an item.
        concurrency: Items at once.
    """

    def __init__(self, group: TaskGroup, work: Callable[[T], Awaitable[R]], *, concurrency: int) -> None:
        self.active = 0
        self._group = group
        self._work = work
        self._limit = anyio.Semaphore(concurrency)
        self._room = anyio.Semaphore(2 * concurrency)
        self._arrived = anyio.Semaphore(0)
        self._line: deque[_Slot[R] | None] = deque()

    async def put(self, item: T) -> None:
        """Add an item; waits while the line is full."""
        await self._room.acquire()
        await self._limit.acquire()
        ready = anyio.Event()
        slot: _Slot[R] = _Slot(ready)
        self._group.start_soon(self._run, item, slot, ready)
        self._add(slot)

    async def put_done(self, result: R) -> None:
        """Add what needs no work; waits while the line is full."""
        await self._room.acquire()
        self._add(_Slot(None, result))

    def end(self) -> None:
        """End the line: no more items."""
        self._add(None)

    def _add(self, slot: _Slot[R] | None) -> None:
        self._line.append(slot)
        self._arrived.release()

    async def _run(self, item: T, slot: _Slot[R], ready: anyio.Event) -> None:
        self.active += 1
        try:
            slot.result = await self._work(item)
        except Exception as error:  # noqa: BLE001  it is raised where the result is due
            slot.error = error
        finally:
            self.active -= 1
            self._limit.release()
            ready.set()

    async def deliver(self, sink: Callable[[R], Awaitable[None]]) -> None:
        """Hand every result to ``sink``, in order, until the line ends.

        Raises:
            Exception: What ``work`` raised, when its turn comes.
        """
        while True:
            await self._arrived.acquire()
            slot = self._line.popleft()
            if slot is None:
                return
            if slot.ready is not None:
                await slot.ready.wait()
            if slot.error is not None:
                raise slot.error
            await sink(cast("R", slot.result))
            self._room.release()
