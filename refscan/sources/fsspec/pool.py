"""Several instances of one file system, each used by one thread at a time: most are not safe in two."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Generic, TypeVar

import anyio
from anyio import to_thread

from refscan.sources.fsspec.errors import is_answer

__all__ = ["Lease", "Pool"]

_SECONDS_TO_CLOSE = 5.0

F = TypeVar("F")
T = TypeVar("T")


class Lease(Generic[F]):
    """One instance, for one task.

    Attributes:
        sound: It can be used again; otherwise it is closed when it is given back.
        fresh: It was made for this lease.
    """

    def __init__(self, instance: F, threads: anyio.CapacityLimiter, *, fresh: bool) -> None:
        self.sound = True
        self.fresh = fresh
        self._instance = instance
        self._threads = threads

    async def call(self, work: Callable[[F], T]) -> T:
        """Return what ``work`` returns, which runs in a thread; when cancelled, the thread is not waited for."""
        try:
            return await to_thread.run_sync(work, self._instance, abandon_on_cancel=True, limiter=self._threads)
        except BaseException as error:
            self.sound = isinstance(error, Exception) and is_answer(error)
            raise

    def end(self) -> F:
        """Return what was lent, and let go of it."""
        instance = self._instance
        del self._instance
        return instance


class Pool(Generic[F]):
    """Makes instances as they are needed, and keeps them.

    Where the server takes no more connections, the pool makes do with those it has.

    Args:
        make: Makes one; runs in a thread.
        dispose: Closes one; runs in a thread, maybe while ``work`` still waits in another.
        size: Instances at once, at most.
    """

    def __init__(self, make: Callable[[], F], dispose: Callable[[F], None], size: int) -> None:
        self._make = make
        self._close = dispose
        self._tokens = anyio.CapacityLimiter(size)
        self._threads = anyio.CapacityLimiter(size)
        self._idle: list[F] = []
        self._live = 0
        self._closed = False

    async def open(self) -> None:
        """Make the first instance, so that a wrong login is told early."""
        async with self._lend(fresh=False):
            pass

    async def close(self) -> None:
        """Close all instances; those that are lent, when they are given back."""
        self._closed = True
        while self._idle:
            await self._dispose([self._idle.pop()])

    async def run(self, work: Callable[[F], T]) -> T:
        """Return what ``work`` returns with an instance."""
        async with self.ask(work) as (_, answer):
            return answer

    @asynccontextmanager
    async def ask(self, work: Callable[[F], T]) -> AsyncIterator[tuple[Lease[F], T]]:
        """Lend an instance that has answered ``work``, with the answer.

        A connection that has been idle may have been closed by the server; then ``work`` runs again over a new one.
        """
        async with AsyncExitStack() as stack:
            lease = await stack.enter_async_context(self._lend(fresh=False))
            try:
                answer = await lease.call(work)
            except Exception:
                if lease.fresh or lease.sound:
                    raise
                await stack.aclose()
                lease = await stack.enter_async_context(self._lend(fresh=True))
                answer = await lease.call(work)
            yield lease, answer

    @asynccontextmanager
    async def _lend(self, *, fresh: bool) -> AsyncIterator[Lease[F]]:
        while True:
            borrower = object()
            await self._tokens.acquire_on_behalf_of(borrower)
            try:
                lease = await self._take(fresh=fresh)
                if lease is not None:
                    try:
                        yield lease
                    finally:
                        await self._put_back(lease)
                    return
            finally:
                self._tokens.release_on_behalf_of(borrower)
            fresh = False

    async def _take(self, *, fresh: bool) -> Lease[F] | None:
        """Return an idle instance or a new one; ``None`` where one that is lent must be waited for."""
        if self._idle:
            if not fresh:
                return Lease(self._idle.pop(), self._threads, fresh=False)
            self._live -= 1
            await self._dispose([self._idle.pop()])
        try:
            return Lease(await self._made(), self._threads, fresh=True)
        except Exception:
            if self._live == 0:
                raise
            # It worked before, so this is taken for the server's limit on connections.
            self._tokens.total_tokens = self._live
            return None

    async def _put_back(self, lease: Lease[F]) -> None:
        if lease.sound and not self._closed:
            self._idle.append(lease.end())
        else:
            self._live -= 1
            await self._dispose([lease.end()])

    async def _made(self) -> F:
        making = _Making(self._make, self._close)
        self._live += 1
        try:
            await to_thread.run_sync(making.run, abandon_on_cancel=True, limiter=self._threads)
            return making.made.pop()
        except BaseException:
            self._live -= 1
            making.abandoned = True
            await self._dispose(making.made)
            raise

    async def _dispose(self, instances: list[F]) -> None:
        """Close what is in a list; it is emptied by the thread, so that the instance ends there too."""
        with anyio.move_on_after(_SECONDS_TO_CLOSE, shield=True):
            await to_thread.run_sync(_close_all, instances, self._close, abandon_on_cancel=True)


def _close_all(instances: list[F], close: Callable[[F], None]) -> None:
    # Two threads may be at it: who made one too late, and who gave up waiting for it.
    with suppress(IndexError):
        while True:
            close(instances.pop())


class _Making(Generic[F]):
    """An instance in the making, which is closed if nobody waits for it any more."""

    def __init__(self, make: Callable[[], F], dispose: Callable[[F], None]) -> None:
        self.made: list[F] = []
        self.abandoned = False
        self._make = make
        self._dispose = dispose

    def run(self) -> None:
        self.made.append(self._make())
        if self.abandoned:
            _close_all(self.made, self._dispose)
