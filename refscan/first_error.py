"""One error out of a group: what one call does at once is one thing to its caller."""

from __future__ import annotations

__all__ = ["first_error"]


def first_error(errors: BaseExceptionGroup[Exception]) -> Exception:
    """Return the first single error of nested groups."""
    error = errors.exceptions[0]
    return first_error(error) if isinstance(error, BaseExceptionGroup) else error
