"""Rows of a manifest, read from its segments."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from refscan.manifest.index import Index
from refscan.manifest.schema import MANIFEST_SCHEMA

__all__ = ["find_entry", "read_manifest"]

_BATCH_ROWS = 16_384


def read_manifest(index: Index, locate: Callable[[str], Path], *, prefix: str = "") -> Iterator[pa.RecordBatch]:
    """Yield the rows whose path begins with ``prefix``, in path order; reads only the segments that may hold some.

    Args:
        index: The manifest.
        locate: Returns a segment's file.
        prefix: A folder with its ``/``, or any beginning of a path.
    """
    for segment in index.segments:
        if segment.last < prefix or (segment.first > prefix and not segment.first.startswith(prefix)):
            continue
        with pq.ParquetFile(locate(segment.name)) as file:
            for batch in file.iter_batches(_BATCH_ROWS):
                rows = pa.record_batch(batch.columns, schema=MANIFEST_SCHEMA)
                if prefix:
                    rows = rows.filter(pc.starts_with(rows.column("path"), prefix))
                if rows.num_rows:
                    yield rows


def find_entry(index: Index, locate: Callable[[str], Path], path: str) -> pa.RecordBatch:
    """Return the one row of ``path``, or no row."""
    for segment in index.segments:
        if segment.first <= path <= segment.last:
            table = pq.read_table(locate(segment.name), filters=[("path", "==", path)], schema=MANIFEST_SCHEMA)
            batches = table.combine_chunks().to_batches()
            if batches:
                return batches[0]
    return pa.RecordBatch.from_pylist([], MANIFEST_SCHEMA)
