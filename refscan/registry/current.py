"""The run that code is inside of: drafts made there know where they will be logged."""

from __future__ import annotations

from contextvars import ContextVar, Token
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from refscan.registry.run import Run

__all__ = ["current_run", "enter_run", "leave_run"]

_current: ContextVar[Run | None] = ContextVar("refscan_run", default=None)


def current_run() -> Run | None:
    """Return the innermost run that is open in this context."""
    return _current.get()


def enter_run(run: Run) -> Token[Run | None]:
    """Make ``run`` the current one, until its token is given back."""
    return _current.set(run)


def leave_run(token: Token[Run | None]) -> None:
    """Make the run before it the current one again; does nothing in another context than it was entered in."""
    try:
        _current.reset(token)
    except ValueError:
        return
