"""Several sorted runs of entries, merged by path."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa
import pyarrow.compute as pc

from refscan.errors import PathConflictError
from refscan.manifest.aligned import aligned

__all__ = ["conflict", "merge"]


def merge(runs: Iterable[Iterable[pa.RecordBatch]]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of all runs ascending by path, each path once.

    Each run must be sorted by path and unique. A path that several runs hold with one digest is one entry: the one
    whose ``ref`` is least, so that the order of the runs does not matter.

    Raises:
        PathConflictError: Two runs hold a path with different digests; the text names both URIs.
    """
    for parts in aligned(runs, "path"):
        yield parts[0] if len(parts) == 1 else _unite(parts)


def conflict(path: str, one: str | None, other: str | None) -> PathConflictError:
    """Return the error for two entries of one path."""
    uris = sorted(uri or "a stored file" for uri in (one, other))
    return PathConflictError(
        f"two entries for the path {path!r}: {uris[0]} and {uris[1]}; give one of them another name=",
        uri=one or other,
    )


def _unite(parts: list[pa.RecordBatch]) -> pa.RecordBatch:
    table = pa.Table.from_batches(parts)
    order = pc.sort_indices(table, [("path", "ascending"), ("ref", "ascending"), ("version_id", "ascending")])
    rows = table.take(order).combine_chunks().to_batches()[0]
    paths, digests = rows.column("path"), rows.column("digest")
    repeated = pc.equal(paths[1:], paths[:-1])
    if not pc.any(repeated).as_py():
        return rows
    differing = pc.and_(repeated, pc.not_equal(digests[1:], digests[:-1]))
    if pc.any(differing).as_py():
        at = pc.index(differing, True).as_py()
        raise conflict(paths[at].as_py(), rows.column("ref")[at].as_py(), rows.column("ref")[at + 1].as_py())
    return rows.filter(pa.concat_arrays([pa.array([True]), pc.invert(repeated)]))
