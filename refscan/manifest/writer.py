"""Rows in path order, written as segments."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from refscan.errors import ListingOrderError
from refscan.manifest.digest import ContentDigest, PinDigest, rows_digest
from refscan.manifest.index import Index, Segment
from refscan.manifest.schema import MANIFEST_SCHEMA

__all__ = ["SEGMENT_ROWS", "write_manifest", "write_parquet"]

SEGMENT_ROWS = 65_536
"""Most rows of a segment."""

_PLAIN_ENCODINGS = {
    "path": "DELTA_BYTE_ARRAY",
    "ref": "DELTA_BYTE_ARRAY",
    "digest": "PLAIN",
    "size": "DELTA_BINARY_PACKED",
    "version_id": "PLAIN",
    "e_tag": "PLAIN",
    "checksum": "PLAIN",
    "last_modified": "DELTA_BINARY_PACKED",
}

Put = Callable[[str, pa.Buffer], None]


def write_manifest(batches: Iterable[pa.RecordBatch], put: Put) -> Index:
    """Write rows as segments and return their index.

    Args:
        batches: Rows of ``MANIFEST_SCHEMA``, ascending by path.
        put: Stores a segment under its name, if it is not there yet.

    Raises:
        ListingOrderError: A path does not ascend; nothing that was stored is referred to then.
    """
    content, pins = ContentDigest(), PinDigest()
    segments: list[Segment] = []
    waiting: list[pa.RecordBatch] = []
    rows = size = 0
    last: str | None = None

    def seal(count: int) -> None:
        table = pa.Table.from_batches(waiting, MANIFEST_SCHEMA)
        waiting[:] = table.slice(count).to_batches()
        segments.append(_write_segment(table.slice(0, count), put))

    for batch in batches:
        if batch.num_rows == 0:
            continue
        last = _check_order(batch, last)
        content.update(batch)
        pins.update(batch)
        rows += batch.num_rows
        size += pc.sum(batch.column("size")).as_py() or 0
        waiting.append(batch)
        while sum(b.num_rows for b in waiting) >= SEGMENT_ROWS:
            seal(SEGMENT_ROWS)
    if any(batch.num_rows for batch in waiting):
        seal(sum(b.num_rows for b in waiting))
    return Index(content.hexdigest(), pins.hexdigest(), rows, size, tuple(segments))


def _check_order(batch: pa.RecordBatch, last: str | None) -> str:
    paths = batch.column("path")
    first = paths[0].as_py()
    if (last is not None and first <= last) or not pc.all(pc.less(paths[:-1], paths[1:]), min_count=0).as_py():
        raise ListingOrderError(f"the entries do not ascend by path near {first!r}; this is an error in refscan")
    return paths[-1].as_py()  # type: ignore[no-any-return]


def _write_segment(table: pa.Table, put: Put) -> Segment:
    table = table.combine_chunks()
    name = rows_digest(table)
    sink = pa.BufferOutputStream()
    write_parquet(table, sink)
    data = sink.getvalue()
    put(name, data)
    paths = table.column("path")
    return Segment(name, paths[0].as_py(), paths[-1].as_py(), table.num_rows, data.size)


def write_parquet(table: pa.Table, sink: object) -> None:
    """Write rows of ``MANIFEST_SCHEMA`` as Parquet: zstd, and delta encoding for what neighbours share."""
    pq.write_table(table, sink, compression="zstd", use_dictionary=["storage_class"], column_encoding=_PLAIN_ENCODINGS)
