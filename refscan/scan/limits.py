"""How much is done at once, and how much is allowed."""

from __future__ import annotations

__all__ = ["DEFAULT_MAX_OBJECTS", "LIST_CONCURRENCY", "MAX_DEPTH"]

DEFAULT_MAX_OBJECTS = 10_000
"""Objects that a reference may hold unless told otherwise."""

LIST_CONCURRENCY = 8
"""Key ranges listed at once."""

MAX_DEPTH = 256
"""Folders in folders that a walk follows."""
