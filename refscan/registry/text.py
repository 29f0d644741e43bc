"""Text that a registry can hold."""

from __future__ import annotations

from refscan.errors import ArtifactError

__all__ = ["check_text"]


def check_text(text: str) -> None:
    """Make sure that ``text`` can be written as UTF-8; a lone surrogate cannot.

    Raises:
        ArtifactError: It cannot.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ArtifactError(f"{text!r} is not valid UTF-8, so no registry can hold it") from None
