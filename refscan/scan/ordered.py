"""Work done concurrently, results handed on in the order in which the work came in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar, cast

import anyio
from anyio.abc import TaskGroup

__all__ = ["OrderedWorkers"]

T = TypeVar("T")
R = TypeVar("R")


class _Slot(Generic[R]):
    __slots__ = ("error", "ready", "result")

    def __init__(self) -> None:
        self.ready = anyio.Event()
        self.result: R | None = None
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
        self._send, self._receive = anyio.create_memory_object_stream[_Slot[R]](concurrency)

    async def put(self, item: T) -> None:
        """Add an item; waits while the line is full."""
        slot: _Slot[R] = _Slot()
        await self._limit.acquire()
        self._group.start_soon(self._run, item, slot)
        await self._send.send(slot)

    async def _run(self, item: T, slot: _Slot[R]) -> None:
        self.active += 1
        try:
            slot.result = await self._work(item)
        except Exception as error:  # noqa: BLE001  it is raised where the result is due
            slot.error = error
        finally:
            self.active -= 1
            self._limit.release()
            slot.ready.set()

    def end(self) -> None:
        """End the line: no more items."""
        self._send.close()

    async def deliver(self, sink: Callable[[R], Awaitable[None]]) -> None:
        """Hand every result to ``sink``, in order, until the line ends.

        Raises:
            Exception: What ``work`` raised, when its turn comes.
        """
        # Both ends are closed whatever happens: an error here leaves `put` behind for good.
        async with self._receive, self._send:
            async for slot in self._receive:
                await slot.ready.wait()
                if slot.error is not None:
                    raise slot.error
                await sink(cast("R", slot.result))
