"""Several sorted runs of rows, cut where all of them can be cut."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa

__all__ = ["aligned"]


def aligned(runs: Iterable[Iterable[pa.RecordBatch]], column: str) -> Iterator[list[pa.RecordBatch]]:
    """Yield, in order, groups of sorted parts: no value of a group's is greater than one of a later group's.

    Each run must be sorted by ``column``. Equal values fall into one group. Parts are slices, nothing is copied.
    """
    heads = [head for run in runs if (head := _Head.of(iter(run), column)) is not None]
    while len(heads) > 1:
        bound = min(head.last for head in heads)
        parts = [head.take(bound) for head in heads]
        heads = [head for head in heads if head.refill()]
        yield [part for part in parts if part.num_rows]
    for head in heads:
        yield [head.rows]
        for batch in head.run:
            if batch.num_rows:
                yield [batch]


@dataclass(slots=True)
class _Head:
    """Where a run stands: its first rows that are not handed on yet."""

    run: Iterator[pa.RecordBatch]
    column: str
    rows: pa.RecordBatch

    @classmethod
    def of(cls, run: Iterator[pa.RecordBatch], column: str) -> _Head | None:
        rows = next((batch for batch in run if batch.num_rows), None)
        return None if rows is None else cls(run, column, rows)

    @property
    def last(self) -> str:
        return self.rows.column(self.column)[-1].as_py()  # type: ignore[no-any-return]

    def take(self, bound: str) -> pa.RecordBatch:
        """Cut off the rows up to and including ``bound``."""
        values = self.rows.column(self.column)
        count = bisect.bisect_right(range(len(values)), bound, key=lambda index: values[index].as_py())
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
