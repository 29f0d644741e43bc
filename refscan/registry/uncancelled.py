"""Work that cancelling does not cut in half: a transaction left open would keep the database locked."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

import anyio

__all__ = ["to_its_end"]

P = ParamSpec("P")
T = TypeVar("T")


def to_its_end(function: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Make ``function`` run to its end, or to its error; a caller that is cancelled waits for that.

    It runs in a task of its own, which is shielded from anyio's scopes and out of reach of ``asyncio.Task.cancel``.
    """

    @functools.wraps(function)
    async def run(*args: P.args, **kwargs: P.kwargs) -> T:
        results: list[T] = []
        errors: list[Exception] = []

        async def work() -> None:
            with anyio.CancelScope(shield=True):
                try:
                    results.append(await function(*args, **kwargs))
                except Exception as error:  # noqa: BLE001  raised again, out of the group
                    errors.append(error)

        async with anyio.create_task_group() as group:
            group.start_soon(work)
        if errors:
            raise errors[0]
        return results[0]

    return run
