"""What a page must be, and what of it is kept."""

from __future__ import annotations

import bisect

import pyarrow as pa
import pyarrow.compute as pc

from refscan.errors import ListingOrderError

__all__ = ["check_order", "drop_folder_markers", "trim"]


def check_order(rows: pa.RecordBatch, after: str, base: str) -> None:
    """Make sure that keys ascend and are greater than ``after``.

    Raises:
        ListingOrderError: They are not.
    """
    if rows.num_rows == 0:
        return
    keys = rows.column("key")
    first = keys[0].as_py()
    if first <= after or pc.less(keys[:-1], keys[1:]).true_count < len(keys) - 1:
        raise ListingOrderError(
            f"{base}: the store does not list in key order (near {first!r} behind {after!r})", uri=base
        )


def trim(rows: pa.RecordBatch, after: str, until: str | None) -> pa.RecordBatch:
    """Cut ascending rows to the keys in ``(after, until]``."""
    keys = rows.column("key")
    start = bisect.bisect_right(range(len(keys)), after, key=lambda index: keys[index].as_py())
    stop = len(keys)
    if until is not None:
        stop = bisect.bisect_right(range(len(keys)), until, key=lambda index: keys[index].as_py())
    return rows if (start, stop) == (0, len(keys)) else rows.slice(start, max(0, stop - start))


def drop_folder_markers(rows: pa.RecordBatch) -> tuple[pa.RecordBatch, int]:
    """Leave out zero-byte keys that end in ``/``, and count them."""
    ends = pc.ends_with(rows.column("key"), "/")
    if not ends.true_count:
        return rows, 0
    markers = pc.and_(ends, pc.fill_null(pc.equal(rows.column("size"), 0), False))
    kept = rows.filter(pc.invert(markers))
    return kept, rows.num_rows - kept.num_rows
