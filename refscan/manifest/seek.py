"""Rows of a manifest by their paths: only the segments and row groups that can hold them are read."""

from __future__ import annotations

import bisect
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from refscan.errors import RefscanError, StoreError
from refscan.manifest.index import Index
from refscan.manifest.schema import MANIFEST_SCHEMA

__all__ = ["ManifestRows", "RowGroup", "after_prefix", "columns_schema", "row_groups", "trim_paths"]

_BATCH_ROWS = 16_384
_LAST_CHARACTER = chr(0x10FFFF)
_BEFORE_SURROGATES, _BEHIND_SURROGATES = chr(0xD7FF), chr(0xE000)


class ManifestRows:
    """A manifest's rows, found by binary search over its segments and by the statistics of their row groups.

    Holds the index and no file; may be used by several threads at once.

    Args:
        index: The manifest.
        locate: Returns a segment's file.
        kept_groups: Row groups that ``find`` keeps decoded, for paths near those that were found last.
    """

    def __init__(self, index: Index, locate: Callable[[str], Path], *, kept_groups: int = 0) -> None:
        self.index = index
        self.locate = locate
        self._lasts = [segment.last for segment in index.segments]
        self._kept: deque[pa.RecordBatch] = deque(maxlen=kept_groups)

    @contextmanager
    def open(self, name: str) -> Iterator[pq.ParquetFile]:
        """Open a segment; errors of reading it in the block are told as damage.

        Raises:
            StoreError: It is missing or damaged.
        """
        path = self.locate(name)
        try:
            with pq.ParquetFile(path, page_checksum_verification=True) as file:
                yield file
        except RefscanError:
            raise
        except FileNotFoundError:
            raise StoreError(f"the registry's store lacks {path}; restore it from a backup") from None
        except (pa.ArrowException, OSError):
            raise StoreError(f"the registry's {path} cannot be read, or is damaged; restore it from a backup") from None

    def between(
        self, start: str = "", stop: str | None = None, *, columns: Sequence[str] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows whose path is in ``[start, stop)``, in path order; ``stop=None`` is the end.

        Args:
            start: First path.
            stop: First path behind them.
            columns: Those of ``MANIFEST_SCHEMA`` to read, in this order; ``None`` reads all.
        """
        schema = columns_schema(columns)
        for segment in self.index.segments[bisect.bisect_left(self._lasts, start) :]:
            if stop is not None and segment.first >= stop:
                return
            inside = segment.first >= start and (stop is None or segment.last < stop)
            with self.open(segment.name) as file:
                if inside:
                    for batch in file.iter_batches(_BATCH_ROWS, columns=schema.names):
                        yield _of_schema(batch, schema)
                    continue
                for group in row_groups(file):
                    if group.last >= start and (stop is None or group.first < stop):
                        yield from _part(file, group.number, start, stop, schema)

    def beginning(self, prefix: str, *, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Yield the rows whose path begins with ``prefix``, in path order."""
        return self.between(prefix, after_prefix(prefix), columns=columns)

    def find(self, path: str) -> pa.RecordBatch:
        """Return the one row of ``path``, or no row."""
        if (known := self.find_kept(path)) is not None:
            return known
        at = bisect.bisect_left(self._lasts, path)
        if at < len(self._lasts) and self.index.segments[at].first <= path:
            with self.open(self.index.segments[at].name) as file:
                for group in row_groups(file):
                    if group.first <= path <= group.last:
                        return self._find_in(file, group.number, path)
        return pa.RecordBatch.from_pylist([], MANIFEST_SCHEMA)

    def find_kept(self, path: str) -> pa.RecordBatch | None:
        """Do as ``find`` does, if what stays decoded tells; reads nothing."""
        for rows in tuple(self._kept):
            if rows.column("path")[0].as_py() <= path <= rows.column("path")[-1].as_py():
                return _row(rows, path)
        return None

    def _find_in(self, file: pq.ParquetFile, group: int, path: str) -> pa.RecordBatch:
        if self._kept.maxlen:
            rows = _of_schema(file.read_row_group(group).combine_chunks().to_batches()[0], MANIFEST_SCHEMA)
            self._kept.append(rows)
            return _row(rows, path)
        paths = file.read_row_group(group, columns=["path"]).column("path").combine_chunks()
        at = _place(paths, path)
        if at == len(paths) or paths[at].as_py() != path:
            return pa.RecordBatch.from_pylist([], MANIFEST_SCHEMA)
        seen = 0
        for batch in file.iter_batches(_BATCH_ROWS, row_groups=[group]):
            if at < seen + batch.num_rows:
                row = batch.slice(at - seen, 1)
                return pa.concat_batches([_of_schema(row, MANIFEST_SCHEMA)])  # lets go of the other rows
            seen += batch.num_rows
        raise AssertionError("a row group has fewer rows than one of its columns")


@dataclass(frozen=True, slots=True)
class RowGroup:
    """A part of a segment that can be read by itself.

    Attributes:
        number: Its place in the file.
        first: Its first path.
        last: Its last path.
        rows: How many there are.
    """

    number: int
    first: str
    last: str
    rows: int


def row_groups(file: pq.ParquetFile) -> Iterator[RowGroup]:
    """Yield the row groups of a segment, from its footer where that tells their bounds."""
    for number in range(file.metadata.num_row_groups):
        group = file.metadata.row_group(number)
        position = next(at for at in range(group.num_columns) if group.column(at).path_in_schema == "path")
        statistics = group.column(position).statistics
        if statistics is not None and statistics.has_min_max:
            yield RowGroup(number, statistics.min, statistics.max, group.num_rows)
        else:  # very long paths have none
            paths = file.read_row_group(number, columns=["path"]).column("path")
            yield RowGroup(number, paths[0].as_py(), paths[-1].as_py(), group.num_rows)


def trim_paths(rows: pa.RecordBatch, start: str, stop: str | None) -> pa.RecordBatch:
    """Cut rows in path order to those whose path is in ``[start, stop)``."""
    paths = rows.column("path")
    first = _place(paths, start)
    last = len(paths) if stop is None else max(first, _place(paths, stop))
    return rows.slice(first, last - first)


def after_prefix(prefix: str) -> str | None:
    """Return the least text greater than every one that begins with ``prefix``; ``None``: there is none."""
    stem = prefix.rstrip(_LAST_CHARACTER)
    if not stem:
        return None
    last = stem[-1]
    return stem[:-1] + (_BEHIND_SURROGATES if last == _BEFORE_SURROGATES else chr(ord(last) + 1))


def columns_schema(columns: Sequence[str] | None) -> pa.Schema:
    """Return the schema of some columns of a manifest.

    Raises:
        ValueError: A manifest has no such column.
    """
    if columns is None:
        return MANIFEST_SCHEMA
    unknown = [name for name in columns if name not in MANIFEST_SCHEMA.names]
    if unknown or len(set(columns)) != len(columns):
        raise ValueError(f"columns={list(columns)!r}: a manifest has {', '.join(MANIFEST_SCHEMA.names)}, each once")
    return pa.schema([MANIFEST_SCHEMA.field(name) for name in columns])


def _part(
    file: pq.ParquetFile, group: int, start: str, stop: str | None, schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    names = schema.names if "path" in schema.names else ["path", *schema.names]
    for batch in file.iter_batches(_BATCH_ROWS, row_groups=[group], columns=names):
        rows = trim_paths(batch, start, stop)
        if rows.num_rows:
            yield _of_schema(rows, schema)


def _row(rows: pa.RecordBatch, path: str) -> pa.RecordBatch:
    at = _place(rows.column("path"), path)
    found = rows.slice(at, 1)
    return found if found.num_rows and found.column("path")[0].as_py() == path else rows.slice(0, 0)


def _place(paths: pa.Array, path: str) -> int:
    return bisect.bisect_left(range(len(paths)), path, key=lambda at: paths[at].as_py())


def _of_schema(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    return pa.record_batch([batch.column(name) for name in schema.names], schema=schema)
