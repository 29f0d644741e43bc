"""Sorted rows in memory, and on disk once they are many."""

from __future__ import annotations

import bisect
import os
import tempfile
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

import pyarrow as pa

from refscan.manifest.repeats import Repeats, find_repeats

__all__ = ["MEMORY_LIMIT", "Spool"]

MEMORY_LIMIT = 16 << 20
"""Bytes of rows that a spool holds in memory."""


class Spool:
    """Batches ascending by one column, appended once and read many times.

    The file, if there is one, has no name: it is gone once the spool is closed or collected and nobody reads on, and
    with the process, however that ends.

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
        self._sealed = False
        self._bounds: list[tuple[str, str]] = []
        self._writers: dict[tuple[str, ...], pa.ipc.RecordBatchStreamWriter] = {}  # by the columns they write
        self._file: _Unnamed | None = None
        self._places: list[_Place] = []

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
        if self._file is not None:
            self._write(batch)
            return
        self._held.append(batch)
        self._bytes += batch.nbytes
        if self._bytes > self._memory_limit:
            self._spill()

    def _spill(self) -> None:
        self._file = _Unnamed()
        for batch in self._held:
            self._write(batch)
        self._held.clear()

    def _write(self, batch: pa.RecordBatch) -> None:
        if self._file is None or self._sealed:
            raise RuntimeError("a sealed spool takes no more rows")
        repeats = find_repeats(batch)
        names = tuple(repeats.kept(self._schema).names)
        kept, stream = batch.select(names), self._file.stream
        if (writer := self._writers.get(names)) is None:
            # Compressing costs more than the disk does; so does handing columns to threads.
            options = pa.ipc.IpcWriteOptions(use_threads=False)
            writer = pa.ipc.new_stream(pa.PythonFile(stream, mode="w"), kept.schema, options=options)
            self._writers[names] = writer
            writer.write_batch(kept.slice(0, 0))  # the schema goes before it
        begin = stream.tell()
        writer.write_batch(kept)
        self._places.append(_Place(begin, stream.tell(), repeats))

    def seal(self) -> None:
        """End appending; needed before reading."""
        self._sealed = True
        self._writers.clear()
        if self._file is not None:
            self._file.stream.flush()

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        return self.between("", None)

    def between(self, first: str, last: str | None) -> Iterator[pa.RecordBatch]:
        """Yield, in order, all batches that may hold rows from ``first`` to ``last``."""
        start = bisect.bisect_left(self._bounds, first, key=lambda bound: bound[1])
        stop = len(self._bounds)
        if last is not None:
            stop = bisect.bisect_right(self._bounds, last, key=lambda bound: bound[0])
        file = self._file
        if file is None:
            yield from self._held[start:stop]
            return
        for place in self._places[start:stop]:
            kept = pa.ipc.read_record_batch(file.read(place.begin, place.end), place.repeats.kept(self._schema))
            yield place.repeats.restored(kept, self._schema)

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
        self._places.clear()
        self.rows = 0
        self._file = None


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a batch lies in the file, and what is not there because it repeats what is."""

    begin: int
    end: int
    repeats: Repeats


class _Unnamed:
    """A file without a name, closed when nothing refers to this object any more."""

    def __init__(self) -> None:
        self.stream: IO[bytes] = tempfile.TemporaryFile(prefix="refscan-")  # noqa: SIM115  closed by what follows
        weakref.finalize(self, self.stream.close)

    def read(self, begin: int, end: int) -> pa.Buffer:
        """Return the bytes of ``[begin, end)``; several threads may do so at once."""
        # Not mapped: what was read of a map counts as this process's memory until it is closed.
        data = pa.allocate_buffer(end - begin)
        while begin < end:
            count = os.preadv(self.stream.fileno(), [memoryview(data)[begin - end :]], begin)
            if count == 0:
                raise EOFError("a temporary file is shorter than what was written to it")
            begin += count
        return data
