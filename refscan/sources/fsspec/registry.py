"""Which schemes fsspec reads here."""

from __future__ import annotations

__all__ = ["reads"]


def reads(scheme: str) -> bool:
    """Tell whether fsspec is installed with a file system for this scheme that can be imported."""
    del scheme
    return False
