"""One error out of a group: what one call does at once is one thing to its caller."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["first_error", "one_error"]


def first_error(errors: BaseExceptionGroup[Exception]) -> Exception:
    """Return the first single error of nested groups."""
    error = errors.exceptions[0]
    return first_error(error) if isinstance(error, BaseExceptionGroup) else error


@contextmanager
def one_error() -> Iterator[None]:
    """Raise the first error of a task group's by itself.

    Not by ``except*``: some releases of Python 3.11 put what is raised there into a group again.
    """
    try:
        yield
    except BaseExceptionGroup as errors:
        matched, rest = errors.split(Exception)
        if rest is not None or matched is None:
            raise
        raise first_error(matched) from None
