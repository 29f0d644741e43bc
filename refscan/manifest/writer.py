"""Rows in path order, written as segments."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from refscan.errors import ListingOrderError
from refscan.manifest.bounds import Bounds
from refscan.manifest.digest import ContentDigest, PinDigest, column_digests, rows_digest
from refscan.manifest.index import Index, Segment
from refscan.manifest.path_hash import path_hashes
from refscan.manifest.schema import MANIFEST_SCHEMA

__all__ = ["Put", "write_manifest", "write_parquet"]

_GATHERED_ROWS = 8_192  # kernels are called for so many rows at least
_LINK = "refscan://"

# Measured: `PLAIN` texts cost the codec 1.5 bytes each for their lengths, and a column of ETags twice the time to read.
_ENCODINGS = {
    "path": "DELTA_BYTE_ARRAY",
    "ref": "DELTA_BYTE_ARRAY",
    "digest": "DELTA_LENGTH_BYTE_ARRAY",
    "size": "DELTA_BINARY_PACKED",
    "version_id": "DELTA_LENGTH_BYTE_ARRAY",
    "e_tag": "DELTA_LENGTH_BYTE_ARRAY",
    "checksum": "DELTA_LENGTH_BYTE_ARRAY",
    "last_modified": "DELTA_BINARY_PACKED",
}

Put = Callable[[str, Callable[[], pa.Buffer]], int]
"""Stores a segment under its name, and returns the bytes of its file; asks for its content only if it is not there."""


def write_manifest(batches: Iterable[pa.RecordBatch], put: Put) -> Index:
    """Write rows as segments and return their index.

    The same rows give the same segments, wherever ``batches`` are cut. A segment that the store has is neither encoded
    nor written again. Memory does not grow with the number of rows.

    Args:
        batches: Rows of ``MANIFEST_SCHEMA``, ascending by path.
        put: Stores a segment.

    Raises:
        ListingOrderError: A path does not ascend; nothing that was stored is referred to then.
    """
    content, pins, bounds = ContentDigest(), PinDigest(), Bounds()
    segments: list[Segment] = []
    waiting = pa.Table.from_batches([], MANIFEST_SCHEMA)
    rows = size = 0
    last: str | None = None

    def seal(lengths: Iterable[int]) -> pa.Table:
        left = waiting
        for length in lengths:
            segment = left.slice(0, length).combine_chunks().to_batches()[0]
            digests = column_digests(segment)
            pins.update(digests)
            segments.append(_write_segment(rows_digest(digests), segment, put))
            left = left.slice(length)
        return left

    for batch in _gathered(batches):
        last = _check_order(batch, last)
        content.update(batch)
        rows += batch.num_rows
        size += pc.sum(batch.column("size")).as_py() or 0
        waiting = pa.concat_tables([waiting, pa.Table.from_batches([batch])])
        waiting = seal(bounds.push(path_hashes(batch.column("path"))))
    seal(bounds.end())
    return Index(content.hexdigest(), pins.hexdigest(), rows, size, tuple(segments))


def _gathered(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Join small batches, so that what is done for each batch costs little for each row."""
    held: list[pa.RecordBatch] = []
    count = 0
    for batch in batches:
        if batch.num_rows:
            held.append(batch)
            count += batch.num_rows
        if count >= _GATHERED_ROWS:
            yield pa.concat_batches(held) if len(held) > 1 else held[0]
            held, count = [], 0
    if held:
        yield pa.concat_batches(held)


def _check_order(batch: pa.RecordBatch, last: str | None) -> str:
    paths = batch.column("path")
    first = paths[0].as_py()
    if (last is not None and first <= last) or not pc.all(pc.less(paths[:-1], paths[1:]), min_count=0).as_py():
        raise ListingOrderError(f"the entries do not ascend by path near {first!r}; this is an error in refscan")
    return paths[-1].as_py()  # type: ignore[no-any-return]


def _write_segment(name: str, rows: pa.RecordBatch, put: Put) -> Segment:
    paths, refs = rows.column("path"), rows.column("ref")
    return Segment(
        name,
        first=paths[0].as_py(),
        last=paths[-1].as_py(),
        rows=rows.num_rows,
        size=put(name, lambda: _encoded(pa.Table.from_batches([rows]))),
        files=refs.null_count,
        links=pc.sum(pc.starts_with(refs, _LINK)).as_py() or 0,
    )


def _encoded(table: pa.Table) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    write_parquet(table, sink)
    return sink.getvalue()


def write_parquet(table: pa.Table, sink: object) -> None:
    """Write rows of ``MANIFEST_SCHEMA`` as Parquet: zstd, and delta encoding for what neighbours share.

    Column types and encodings are those that other readers know too. Only paths have statistics. Pages have
    checksums, so that damage is noticed when they are read.
    """
    pq.write_table(
        table,
        sink,
        compression="zstd",
        use_dictionary=["storage_class"],
        column_encoding=_ENCODINGS,
        write_statistics=["path"],
        write_page_checksum=True,
    )
