"""Rows of a made-up manifest by batches: sequential keys; random ETags, sizes and times as buckets have them."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np
import pyarrow as pa

from refscan.manifest.schema import MANIFEST_SCHEMA, manifest_rows

__all__ = ["BATCH_ROWS", "batches"]

BATCH_ROWS = 10_000
_FIRST_SECOND = 1_700_000_000
_HEX = np.frombuffer(b"0123456789abcdef", np.uint8)


def batches(count: int, changed: Collection[int] = ()) -> Iterator[pa.RecordBatch]:
    """Yield ``count`` rows; those whose numbers are in ``changed`` have another ETag than they would have."""
    for start in range(0, count, BATCH_ROWS):
        yield _batch(start, min(BATCH_ROWS, count - start), [number - start for number in changed])


def _batch(start: int, count: int, changed: list[int]) -> pa.RecordBatch:
    random = np.random.default_rng(start)
    data = random.integers(0, 256, (count, 16), np.uint8)
    for row in changed:
        if 0 <= row < count:
            data[row] ^= 255
    digits = np.stack([_HEX[data >> 4], _HEX[data & 15]], axis=2).tobytes()
    offsets = np.arange(0, 32 * count + 1, 32, dtype=np.int32)
    etags = pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(digits))
    keys = [f"images/{number // 1_000:05}/{number:09}.jpg" for number in range(start, start + count)]
    seconds = _FIRST_SECOND + (start + np.sort(random.integers(0, count, count))) // 20
    return manifest_rows(
        path=keys,
        ref=[f"s3://bucket/{key}" for key in keys],
        digest=etags,
        e_tag=etags,
        size=pa.array(random.lognormal(11, 1, count).astype(np.int64)),
        last_modified=pa.array(seconds * 1_000_000).cast(MANIFEST_SCHEMA.field("last_modified").type),
        storage_class=["STANDARD"] * count,
    )
