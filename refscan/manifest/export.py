"""Manifests in other formats, written batch by batch: W&B's JSON, JSON lines, CSV, Parquet."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import IO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from refscan.manifest.json_text import json_text
from refscan.manifest.schema import MANIFEST_SCHEMA

__all__ = ["FORMATS", "write_csv", "write_jsonl", "write_parquet_file", "write_wandb"]

_WANDB_HEAD = (
    b'{"version":1,"storagePolicy":"wandb-storage-policy-v1","storagePolicyConfig":{"storageLayout":"V2"},"contents":{'
)
_AZURE = r"^https://[^/]+\.blob\.core\.windows\.net/"


def write_wandb(batches: Iterable[pa.RecordBatch], sink: IO[bytes]) -> None:
    """Write the W&B manifest, version 1: what is null, and a pin of ``null``, is left out."""
    sink.write(_WANDB_HEAD)
    separator = b"\n"
    for rows in filter(len, batches):
        pins = rows.column("version_id")
        pins = pc.if_else(pc.equal(pins, "null"), pa.scalar(None, pa.string()), pins)
        google = pc.fill_null(pc.starts_with(rows.column("ref"), "gs://"), False)
        texts = {"etag": json_text(rows.column("e_tag")), "versionID": json_text(pins)}
        # For Google it has the generation alone, a number.
        extra = pc.if_else(google, _fields({"versionID": pins}), _fields(texts))
        extra = pc.if_else(pc.equal(extra, "{}"), pa.scalar(None, pa.string()), extra)
        values = _fields(
            {
                "digest": json_text(rows.column("digest")),
                "ref": json_text(_as_wandb_has_it(rows.column("ref"))),
                "size": rows.column("size").cast(pa.string()),
                "extra": extra,
            }
        )
        lines = pc.binary_join_element_wise(json_text(rows.column("path")), values, ":")
        sink.write(separator + _joined(lines, ",\n"))
        separator = b",\n"
    sink.write(b"\n}}\n")


def write_jsonl(batches: Iterable[pa.RecordBatch], sink: IO[bytes]) -> None:
    """Write one JSON object a line, with the columns of ``MANIFEST_SCHEMA`` that are not null."""
    for rows in filter(len, batches):
        texts = {}
        for field in MANIFEST_SCHEMA:
            column = rows.column(field.name)
            if pa.types.is_timestamp(field.type):
                column = pc.strftime(column, "%Y-%m-%dT%H:%M:%SZ")
            texts[field.name] = column.cast(pa.string()) if pa.types.is_integer(field.type) else json_text(column)
        sink.write(_joined(_fields(texts), "\n") + b"\n")


def write_csv(batches: Iterable[pa.RecordBatch], sink: IO[bytes]) -> None:
    """Write CSV with a header; null is an empty field."""
    with pyarrow.csv.CSVWriter(sink, MANIFEST_SCHEMA) as writer:
        for rows in batches:
            writer.write_batch(rows)


def write_parquet_file(batches: Iterable[pa.RecordBatch], sink: IO[bytes]) -> None:
    """Write one Parquet file."""
    with pq.ParquetWriter(sink, MANIFEST_SCHEMA, compression="zstd") as writer:
        for rows in batches:
            writer.write_batch(rows)


FORMATS: dict[str, Callable[[Iterable[pa.RecordBatch], IO[bytes]], None]] = {
    "wandb": write_wandb,
    "jsonl": write_jsonl,
    "csv": write_csv,
    "parquet": write_parquet_file,
}
"""What ``refscan artifact export --format`` takes."""


def _as_wandb_has_it(refs: pa.Array) -> pa.Array:
    """Return references with the names of Azure's blobs as they are, not escaped."""
    azure = pc.fill_null(pc.match_substring_regex(refs, _AZURE), False)
    if not pc.any(azure, min_count=0).as_py():
        return refs
    plain = refs
    for escape, character in (("%3F", "?"), ("%23", "#"), ("%25", "%")):
        plain = pc.replace_substring(plain, escape, character)
    return pc.if_else(azure, plain, refs)


def _fields(texts: dict[str, pa.Array]) -> pa.Array:
    """Return JSON objects of those values, already JSON texts, that are not null."""
    members = [pc.coalesce(pc.binary_join_element_wise(f',"{name}":', text, ""), "") for name, text in texts.items()]
    joined = pc.utf8_slice_codeunits(pc.binary_join_element_wise(*members, ""), 1)
    return pc.binary_join_element_wise("{", joined, "}", "")


def _joined(lines: pa.Array, separator: str) -> bytes:
    whole = pc.binary_join(pa.ListArray.from_arrays([0, len(lines)], lines), separator)
    return whole[0].as_buffer().to_pybytes()  # type: ignore[no-any-return]
