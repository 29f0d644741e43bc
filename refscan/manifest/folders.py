"""One level of a manifest's paths: what lies directly in a folder, with counts and sizes."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from refscan.manifest.index import Segment
from refscan.manifest.seek import ManifestRows, after_prefix, row_groups, trim_paths

__all__ = ["FOLDER_SCHEMA", "folder_prefix", "list_folder"]

_BATCH_ROWS = 16_384
_LARGE_FOLDERS = 8

FOLDER_SCHEMA = pa.schema(
    [
        pa.field("name", pa.string(), nullable=False),
        pa.field("is_folder", pa.bool_(), nullable=False),
        pa.field("entries", pa.int64(), nullable=False),
        pa.field("size", pa.int64()),
    ]
)
"""What lies directly in a folder, ascending by ``name``.

The name of a folder ends in ``/``; the folder and a name make a path, or what all paths of the folder below begin with.
``entries`` counts the files in it, at any depth; ``size`` is their bytes, null if none is known.
"""


def folder_prefix(folder: str) -> str:
    """Return what all paths in a folder begin with: nothing for the root, else its path with a ``/`` at its end."""
    return folder if not folder or folder.endswith("/") else folder + "/"


def list_folder(rows: ManifestRows, prefix: str, *, after: str | None = None, limit: int | None = None) -> pa.Table:
    """Return what lies directly below a prefix.

    Paths are decoded only where a segment's row group holds more than one name; elsewhere footers and sizes tell all.

    Args:
        rows: The manifest.
        prefix: What ``folder_prefix`` gives.
        after: Only names greater than this one.
        limit: At most so many names.

    Returns:
        A table of ``FOLDER_SCHEMA``; without rows where nothing begins with the prefix.
    """
    start = prefix
    if after is not None:
        start = (after_prefix(prefix + after) or "") if after.endswith("/") else prefix + after + "\0"
        if not start:
            return FOLDER_SCHEMA.empty_table()
    level = _Level(limit)
    for part in _parts(rows, prefix, start, after_prefix(prefix)):
        level.add(part)
        if level.complete:
            break
    return level.table()


@dataclass(frozen=True, slots=True)
class _Part:
    """Names in order, each once, with the files in each and their bytes; and whether a size is known."""

    names: pa.Array
    entries: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int64]
    known: npt.NDArray[np.bool_]


class _Level:
    """Parts of one level, put together."""

    def __init__(self, limit: int | None) -> None:
        self._parts: list[_Part] = []
        self._limit = limit
        self._count = 0
        self._last: str | None = None

    @property
    def complete(self) -> bool:
        """No more can be wanted: what comes may still belong to the last name, so there is one more than the limit."""
        return self._limit is not None and self._count > self._limit

    def add(self, part: _Part) -> None:
        first = part.names[0].as_py()
        self._count += len(part.names) - (first == self._last)
        self._last = part.names[-1].as_py()
        self._parts.append(part)

    def table(self) -> pa.Table:
        if not self._parts:
            return FOLDER_SCHEMA.empty_table()
        names = pa.concat_arrays([part.names for part in self._parts])
        entries, sizes, known = (
            np.concatenate([getattr(part, name) for part in self._parts]) for name in ("entries", "sizes", "known")
        )
        whole = _runs(names, entries, sizes, known)
        size = pa.array(whole.sizes, mask=~whole.known)
        columns = [whole.names, pc.ends_with(whole.names, "/"), pa.array(whole.entries), size]
        return pa.table(columns, schema=FOLDER_SCHEMA).slice(0, self._limit)


def _parts(rows: ManifestRows, prefix: str, start: str, stop: str | None) -> Iterator[_Part]:
    """Yield names below ``prefix`` of paths in ``[start, stop)``; one that goes on in the next part is in both."""

    def alone(first: str, last: str) -> str | None:
        """Return the one folder that all paths from ``first`` to ``last`` lie in, if there is one."""
        if first < start or (stop is not None and last >= stop):
            return None
        slash = first.find("/", len(prefix))
        return first[len(prefix) : slash + 1] if slash >= 0 and last.startswith(first[: slash + 1]) else None

    for segment in _overlapping(rows, start, stop):
        folder = alone(segment.first, segment.last)
        with rows.open(segment.name) as file:
            if folder is not None:
                yield _folder_part(folder, segment.rows, file, range(file.metadata.num_row_groups))
                continue
            for group in row_groups(file):
                if group.last < start or (stop is not None and group.first >= stop):
                    continue
                folder = alone(group.first, group.last)
                if folder is not None:
                    yield _folder_part(folder, group.rows, file, [group.number])
                    continue
                for batch in file.iter_batches(_BATCH_ROWS, row_groups=[group.number], columns=["path", "size"]):
                    inside = trim_paths(batch, start, stop)
                    if inside.num_rows:
                        yield from _mixed_parts(inside, prefix)


def _overlapping(rows: ManifestRows, start: str, stop: str | None) -> Iterator[Segment]:
    behind: Callable[[Segment], bool] = lambda segment: segment.last < start  # noqa: E731
    for segment in itertools.dropwhile(behind, rows.index.segments):
        if stop is not None and segment.first >= stop:
            return
        yield segment


def _folder_part(folder: str, entries: int, file: pq.ParquetFile, groups: range | list[int]) -> _Part:
    sizes = file.read_row_groups(list(groups), columns=["size"]).column("size")
    total = pc.sum(sizes).as_py()
    return _Part(
        pa.array([folder], pa.string()), np.array([entries]), np.array([total or 0]), np.array([total is not None])
    )


def _mixed_parts(rows: pa.RecordBatch, prefix: str) -> Iterator[_Part]:
    """Yield the names of decoded rows: folder by folder while these are large, else all of the rest at once."""
    for _ in range(_LARGE_FOLDERS):
        if not rows.num_rows:
            return
        first = rows.column("path")[0].as_py()
        slash = first.find("/", len(prefix))
        if slash < 0:
            break
        inside = trim_paths(rows, "", after_prefix(first[: slash + 1]))
        sizes = inside.column("size")
        yield _Part(
            pa.array([first[len(prefix) : slash + 1]], pa.string()),
            np.array([inside.num_rows]),
            np.array([pc.sum(sizes).as_py() or 0]),
            np.array([sizes.null_count < len(sizes)]),
        )
        rows = rows.slice(inside.num_rows)
    if rows.num_rows:
        yield _mixed_part(rows, prefix)


def _mixed_part(rows: pa.RecordBatch, prefix: str) -> _Part:
    behind = pc.utf8_slice_codeunits(rows.column("path"), len(prefix)) if prefix else rows.column("path")
    names = pc.replace_substring_regex(behind, "(?s)/.*", "/", max_replacements=1)
    sizes = rows.column("size")
    known = sizes.is_valid().to_numpy(zero_copy_only=False)
    return _runs(names, np.ones(len(names), np.int64), pc.fill_null(sizes, 0).to_numpy(), known)


def _runs(
    names: pa.Array, entries: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64], known: npt.NDArray[np.bool_]
) -> _Part:
    """Make one row of each run of one name."""
    begins = pc.not_equal(names[1:], names[:-1]).to_numpy(zero_copy_only=False)
    starts = np.concatenate([[0], np.flatnonzero(begins) + 1])
    return _Part(
        names.take(pa.array(starts)),
        np.add.reduceat(entries, starts),
        np.add.reduceat(sizes, starts),
        np.logical_or.reduceat(known, starts),
    )
