"""Sorted rows in memory, and on disk once they are many."""

from __future__ import annotations

import bisect
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

__all__ = ["MEMORY_LIMIT", "Spool"]

MEMORY_LIMIT = 16 << 20
"""Bytes of rows that a spool holds in memory."""


class Spool:
    """Batches ascending by one column, appended once and read many times.

    The file, if there is one, is removed when the spool is closed or collected.

    Args:
        schema: The schema of its batches.
        column: The column that ascends.
        memory_limit: Bytes to hold in memory before all goes to a temporary file.
    """

    def __init__(self, schema: pa.Schema, column: str, *, memory_limit: int = MEMORY_LIMIT) -> None:
        self.rows = 0
        self._schema = schema
        self._column = column
        self._memory_limit = memory_limit
        self._held: list[pa.RecordBatch] = []
        self._bytes = 0
        self._bounds: list[tuple[str, str]] = []
        self._writer: pa.ipc.RecordBatchFileWriter | None = None
        self._path: Path | None = None
        self._remove: weakref.finalize[[], Spool] | None = None

    @property
    def first(self) -> str:
        """The first value of the column that ascends."""
        return self._bounds[0][0]

    @property
    def last(self) -> str:
        """The last value of the column that ascends."""
        return self._bounds[-1][1]

    def append(self, batch: pa.RecordBatch) -> None:
        """Add rows behind all others; empty batches are left out."""
        if batch.num_rows == 0:
            return
        column = batch.column(self._column)
        self._bounds.append((column[0].as_py(), column[-1].as_py()))
        self.rows += batch.num_rows
        if self._writer is not None:
            self._writer.write_batch(batch)
            return
        self._held.append(batch)
        self._bytes += batch.nbytes
        if self._bytes > self._memory_limit:
            self._spill()

    def _spill(self) -> None:
        with tempfile.NamedTemporaryFile(prefix="refscan-", suffix=".arrow", delete=False) as file:
            self._path = Path(file.name)
        self._remove = weakref.finalize(self, self._path.unlink, missing_ok=True)
        # Batches are small: handing their columns to threads costs more than compressing them.
        options = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)
        self._writer = pa.ipc.new_file(str(self._path), self._schema, options=options)
        for batch in self._held:
            self._writer.write_batch(batch)
        self._held.clear()

    def seal(self) -> None:
        """End appending; needed before reading."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        return self.between("", None)

    def between(self, first: str, last: str | None) -> Iterator[pa.RecordBatch]:
        """Yield, in order, all batches that may hold rows from ``first`` to ``last``."""
        start = bisect.bisect_left(self._bounds, first, key=lambda bound: bound[1])
        stop = len(self._bounds)
        if last is not None:
            stop = bisect.bisect_right(self._bounds, last, key=lambda bound: bound[0])
        if self._path is None:
            yield from self._held[start:stop]
            return
        # Not mapped: what was read of a map counts as this process's memory until the file is closed.
        with pa.OSFile(str(self._path)) as file, pa.ipc.open_file(file) as reader:
            for index in range(start, stop):
                yield reader.get_batch(index)

    def find(self, value: str) -> pa.RecordBatch | None:
        """Return the one row that has ``value`` in the column that ascends, or ``None``."""
        for batch in self.between(value, value):
            column = batch.column(self._column)
            at = bisect.bisect_left(range(len(column)), value, key=lambda index: column[index].as_py())
            if at < len(column) and column[at].as_py() == value:
                return batch.slice(at, 1)
        return None

    def close(self) -> None:
        """Forget the rows and remove the file."""
        self.seal()
        self._held.clear()
        self._bounds.clear()
        self.rows = 0
        if self._remove is not None:
            self._remove()
