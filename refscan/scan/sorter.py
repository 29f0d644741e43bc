"""Rows that come in any order, handed on in order: sorted runs, on disk once they are many."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from refscan.errors import ListingOrderError
from refscan.manifest.aligned import aligned
from refscan.scan.spool import MEMORY_LIMIT, Spool
from refscan.sources.source import PAGE_SCHEMA

__all__ = ["Sorter"]

_BATCH_ROWS = 8_192
# A batch takes some KiB besides its rows, and a folder may have a single file.
_MOST_SMALL = 1_024


class Sorter:
    """Sorts rows by a column of unique texts, in memory that does not grow with them.

    Args:
        uri: What the rows are of, for errors.
        schema: Of the rows.
        column: What they are sorted by.
        memory_limit: Bytes of rows that make a run.
    """

    def __init__(
        self, uri: str, schema: pa.Schema = PAGE_SCHEMA, column: str = "key", *, memory_limit: int = MEMORY_LIMIT
    ) -> None:
        self._uri = uri
        self._schema = schema
        self._column = column
        self._memory_limit = memory_limit
        self._held: list[pa.RecordBatch] = []
        self._joined = self._bytes = 0
        self._runs: list[Spool] = []

    def add(self, rows: pa.RecordBatch) -> None:
        """Take rows in any order."""
        if rows.num_rows == 0:
            return
        self._held.append(rows)
        self._bytes += rows.nbytes
        if self._bytes > self._memory_limit:
            self._cut()
        elif len(self._held) - self._joined >= _MOST_SMALL:
            self._held[self._joined :] = [pa.concat_batches(self._held[self._joined :])]
            self._joined += 1

    def _cut(self) -> None:
        run = Spool(self._schema, self._column, memory_limit=self._memory_limit // 4)
        for batch in self._sorted(self._held).to_batches(max_chunksize=_BATCH_ROWS):
            run.append(batch)
        run.seal()
        self._runs.append(run)
        self._held, self._joined, self._bytes = [], 0, 0

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield all rows in order, once.

        Raises:
            ListingOrderError: One came twice.
        """
        if self._held:
            self._cut()
        last: str | None = None
        try:
            for parts in aligned(self._runs, self._column):
                rows = parts[0] if len(parts) == 1 else self._sorted(parts).combine_chunks().to_batches()[0]
                last = self._check_unique(rows.column(self._column), last)
                yield rows
        finally:
            self.close()

    def _check_unique(self, keys: pa.Array, last: str | None) -> str:
        """Make sure that no key is repeated, not ``last`` of the batch before either; return the last one."""
        repeated = pc.equal(keys[1:], keys[:-1])
        again = last if keys[0].as_py() == last else None
        if pc.any(repeated, min_count=0).as_py():
            again = keys[pc.index(repeated, True).as_py()].as_py()
        if again is not None:
            raise ListingOrderError(f"{self._uri}: the store lists {again!r} twice", uri=self._uri)
        found: str = keys[-1].as_py()
        return found

    def _sorted(self, parts: list[pa.RecordBatch]) -> pa.Table:
        table = pa.Table.from_batches(parts)
        return table.take(pc.sort_indices(table, [(self._column, "ascending")]))

    def close(self) -> None:
        """Forget the rows and remove their files."""
        for run in self._runs:
            run.close()
        self._runs, self._held = [], []
