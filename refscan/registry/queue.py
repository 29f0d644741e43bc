"""The log queue: versions are prepared concurrently and committed in the order in which they were asked for."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Generator, Sequence
from itertools import islice
from typing import Generic, TypeVar, cast

import anyio
from anyio.abc import TaskGroup

from refscan.errors import ArtifactError

__all__ = ["LogHandle", "LogQueue"]

T = TypeVar("T")  # what is asked for
P = TypeVar("P")  # what is prepared
R = TypeVar("R")  # what is committed

_PREPARERS = 4
_MOST_AT_ONCE = 64
_GATHERING = 0.05  # seconds to wait for versions behind the one that is ready


class LogHandle(Generic[R]):
    """What ``log_artifact`` returns at once; awaiting it gives the version, or raises why there is none.

    It may be awaited many times, by many tasks.
    """

    def __init__(self) -> None:
        self._settled = anyio.Event()
        self._result: R | None = None
        self._error: BaseException | None = None
        self._seen = False

    def __await__(self) -> Generator[object, None, R]:
        return self._wait().__await__()

    async def _wait(self) -> R:
        await self._settled.wait()
        if self._error is not None:
            self._seen = True
            raise self._error
        return cast("R", self._result)

    @property
    def done(self) -> bool:
        """The version was committed, or has failed."""
        return self._settled.is_set()

    def unseen_error(self) -> BaseException | None:
        """Return the error that nobody has awaited."""
        return None if self._seen else self._error

    def settle(self, result: R | None, error: BaseException | None = None) -> None:
        """Give the handle its outcome."""
        self._result, self._error = result, error
        self._settled.set()


class _Ticket(Generic[T, P, R]):
    __slots__ = ("asked", "error", "handle", "prepared", "ready")

    def __init__(self, asked: T) -> None:
        self.asked = asked
        self.handle: LogHandle[R] = LogHandle()
        self.ready = anyio.Event()
        self.prepared: P | None = None
        self.error: Exception | None = None


class LogQueue(Generic[T, P, R]):
    """Tickets in, commits out, in the same order.

    ``put`` never waits; producers wait in ``room`` while the queue is full. Tickets that are ready together are
    committed together, each with an outcome of its own; what failed holds up nothing behind it.

    Args:
        prepare: Makes what can be committed; runs concurrently.
        commit: Commits what was prepared, in order, and returns an outcome or an error for each.
        size: Tickets at which ``room`` makes producers wait.
    """

    def __init__(
        self,
        prepare: Callable[[T], Awaitable[P]],
        commit: Callable[[Sequence[P]], Awaitable[Sequence[R | Exception]]],
        *,
        size: int,
    ) -> None:
        self._prepare = prepare
        self._commit = commit
        self._size = size
        self._unprepared: deque[_Ticket[T, P, R]] = deque()
        self._uncommitted: deque[_Ticket[T, P, R]] = deque()
        self._failed: list[LogHandle[R]] = []
        self._ended = False
        self._changed = anyio.Event()

    def __len__(self) -> int:
        return len(self._uncommitted)

    def check_open(self) -> None:
        """Make sure that tickets can still be taken.

        Raises:
            ArtifactError: The queue has ended.
        """
        if self._ended:
            raise ArtifactError("the run is closed; log inside its `async with` block")

    def put(self, asked: T) -> LogHandle[R]:
        """Take a ticket; what is put first is committed first."""
        self.check_open()
        ticket: _Ticket[T, P, R] = _Ticket(asked)
        self._unprepared.append(ticket)
        self._uncommitted.append(ticket)
        self._wake()
        return ticket.handle

    async def room(self) -> None:
        """Wait until the queue is not full."""
        while len(self._uncommitted) >= self._size:
            await self._changed.wait()

    def start(self, group: TaskGroup) -> None:
        """Run the queue in a task group."""
        for _ in range(_PREPARERS):
            group.start_soon(self._run_preparer)
        group.start_soon(self._run_committer)

    def end(self) -> None:
        """Take no more tickets; the tasks end when all are committed."""
        self._ended = True
        self._wake()

    def abandon(self) -> None:
        """Settle what will not be committed any more."""
        self._ended = True
        for ticket in self._uncommitted:
            ticket.handle.settle(None, ArtifactError("the run was cancelled before this version was committed"))
        self._uncommitted.clear()
        self._unprepared.clear()

    def unseen_errors(self) -> list[BaseException]:
        """Return the errors of failed tickets that nobody has awaited."""
        return [error for handle in self._failed if (error := handle.unseen_error()) is not None]

    def _wake(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    async def _run_preparer(self) -> None:
        while True:
            while not self._unprepared:
                if self._ended:
                    return
                await self._changed.wait()
            ticket = self._unprepared.popleft()
            try:
                ticket.prepared = await self._prepare(ticket.asked)
            except Exception as error:  # noqa: BLE001  it is raised where the handle is awaited
                ticket.error = error
            ticket.ready.set()

    async def _run_committer(self) -> None:
        while True:
            while not self._uncommitted:
                if self._ended:
                    return
                await self._changed.wait()
            await self._uncommitted[0].ready.wait()
            # A transaction costs much the same for one version and for many: those close behind go along.
            with anyio.move_on_after(_GATHERING):
                for ticket in list(islice(self._uncommitted, 1, _MOST_AT_ONCE)):
                    await ticket.ready.wait()
            # Once committed, handles must say so.
            with anyio.CancelScope(shield=True):
                await self._commit_ready()
            self._wake()

    async def _commit_ready(self) -> None:
        batch: list[_Ticket[T, P, R]] = []
        for ticket in self._uncommitted:
            if not ticket.ready.is_set() or len(batch) == _MOST_AT_ONCE:
                break
            batch.append(ticket)
        good = [ticket for ticket in batch if ticket.error is None]
        outcomes: Sequence[R | Exception] = []
        if good:
            try:
                outcomes = await self._commit([cast("P", ticket.prepared) for ticket in good])
            except Exception as error:  # noqa: BLE001  it is raised where the handles are awaited
                outcomes = [error] * len(good)
        by_ticket = dict(zip(map(id, good), outcomes, strict=True))
        for ticket in batch:
            self._uncommitted.popleft()
            outcome = by_ticket.get(id(ticket), ticket.error)
            if isinstance(outcome, Exception):
                ticket.handle.settle(None, outcome)
                self._failed.append(ticket.handle)
            else:
                ticket.handle.settle(outcome)
