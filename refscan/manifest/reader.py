"""Rows of a manifest, read from its segments."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa

from refscan.manifest.index import Index
from refscan.manifest.seek import ManifestRows

__all__ = ["read_manifest"]


def read_manifest(index: Index, locate: Callable[[str], Path], *, prefix: str = "") -> Iterator[pa.RecordBatch]:
    """Yield the rows whose path begins with ``prefix``, in path order; reads only the segments that may hold some.

    Args:
        index: The manifest.
        locate: Returns a segment's file.
        prefix: A folder with its ``/``, or any beginning of a path.

    Raises:
        StoreError: A segment is missing or damaged.
    """
    return ManifestRows(index, locate).beginning(prefix)
