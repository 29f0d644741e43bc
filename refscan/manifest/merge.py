"""Several sorted runs of entries, merged by path."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from refscan.errors import PathConflictError

__all__ = ["conflict", "merge"]


def merge(runs: Iterable[Iterable[pa.RecordBatch]]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of all runs ascending by path, each path once.

    Each run must be sorted by path and unique. A path that several runs hold with one digest is one entry: the one
    whose ``ref`` is least, so that the order of the runs does not matter.

    Raises:
        PathConflictError: Two runs hold a path with different digests; the text names both URIs.
    """
    heads = [head for run in runs if (head := _Head.of(iter(run))) is not None]
    while len(heads) > 1:
        bound = min(head.last for head in heads)
        parts = [head.take(bound) for head in heads]
        heads = [head for head in heads if head.refill()]
        parts = [part for part in parts if part.num_rows]
        yield parts[0] if len(parts) == 1 else _unite(parts)
    for head in heads:
        yield head.rows
        yield from (batch for batch in head.run if batch.num_rows)


def conflict(path: str, one: str | None, other: str | None) -> PathConflictError:
    """Return the error for two entries of one path."""
    uris = sorted(uri or "a stored file" for uri in (one, other))
    return PathConflictError(
        f"two entries for the path {path!r}: {uris[0]} and {uris[1]}; give one of them another name=",
        uri=one or other,
    )


@dataclass(slots=True)
class _Head:
    """Where a run stands: its first rows that are not merged yet."""

    run: Iterator[pa.RecordBatch]
    rows: pa.RecordBatch

    @classmethod
    def of(cls, run: Iterator[pa.RecordBatch]) -> _Head | None:
        rows = next((batch for batch in run if batch.num_rows), None)
        return None if rows is None else cls(run, rows)

    @property
    def last(self) -> str:
        return self.rows.column("path")[-1].as_py()  # type: ignore[no-any-return]

    def take(self, bound: str) -> pa.RecordBatch:
        """Cut off the rows up to and including ``bound``."""
        paths = self.rows.column("path")
        count = bisect.bisect_right(range(len(paths)), bound, key=lambda index: paths[index].as_py())
        taken, self.rows = self.rows.slice(0, count), self.rows.slice(count)
        return taken

    def refill(self) -> bool:
        """Fetch more rows if there are none, and tell whether there are any."""
        while self.rows.num_rows == 0:
            following = next(self.run, None)
            if following is None:
                return False
            self.rows = following
        return True


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
