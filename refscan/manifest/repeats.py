"""Columns of entries that only repeat others: what tells the others tells them too."""

from __future__ import annotations

import os.path
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["Repeats", "find_repeats"]


@dataclass(frozen=True, slots=True)
class Repeats:
    """What some columns of a batch are, so that they need be neither kept nor hashed.

    Attributes:
        nulls: Columns without a value.
        digest: ``digest`` is ``e_tag``.
        stem: Each ``ref`` is this text and its ``path`` behind the first ``cut`` bytes; ``None``: it is not.
        cut: See ``stem``.
    """

    nulls: tuple[str, ...]
    digest: bool
    stem: str | None
    cut: int

    def kept(self, schema: pa.Schema) -> pa.Schema:
        """Return the fields of a schema that are to be kept."""
        left_out = {*self.nulls, *(["digest"] if self.digest else []), *(["ref"] if self.stem is not None else [])}
        return pa.schema([field for field in schema if field.name not in left_out])

    def restored(self, kept: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
        """Return the rows with all columns of ``schema``."""
        columns = dict(zip(kept.schema.names, kept.columns, strict=True))
        columns |= {name: pa.nulls(kept.num_rows, schema.field(name).type) for name in self.nulls}
        if self.digest:
            columns["digest"] = columns["e_tag"]
        if self.stem is not None:
            columns["ref"] = _placed(columns["path"], self.stem, self.cut)
        return pa.record_batch([columns[name] for name in schema.names], schema=schema)


def find_repeats(rows: pa.RecordBatch) -> Repeats:
    """Return which columns of some rows repeat others; it depends on the values alone. There must be a row.

    In rows that are not of ``MANIFEST_SCHEMA`` only columns without a value are looked for.
    """
    columns = dict(zip(rows.schema.names, rows.columns, strict=True))
    nulls = tuple(name for name, column in columns.items() if column.null_count == len(column))
    valued = {name: column for name, column in columns.items() if name not in nulls}
    same = "digest" in valued and "e_tag" in valued and valued["digest"].equals(valued["e_tag"])
    stem, cut = None, 0
    if "ref" in valued and "path" in valued and not valued["ref"].null_count:
        ref, path = valued["ref"][0].as_py(), valued["path"][0].as_py()
        shared = len(os.path.commonprefix([ref[::-1], path[::-1]]))  # noqa: RUF071  characters are what counts
        stem, cut = ref[: len(ref) - shared], len(path[: len(path) - shared].encode())
        if not shared or not _placed(valued["path"], stem, cut).equals(valued["ref"]):
            stem, cut = None, 0
    return Repeats(nulls, same, stem, cut)


def _placed(paths: pa.Array, stem: str, cut: int) -> pa.Array:
    return pc.binary_replace_slice(paths, 0, cut, stem) if stem or cut else paths
