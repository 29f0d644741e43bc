"""From refscan's rows of one reference to those that W&B has for the same objects. No I/O."""

from __future__ import annotations

import os
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from refscan.scan.quoting import unquote_keys
from refscan.uri import Location
from refscan.wandb.strict import StrictPlaces

__all__ = ["Shape", "bare_place", "with_columns"]

# What W&B would take for an escape, a query or a fragment when it reads the reference of a local file.
_FILE_ESCAPES = (("%", "%25"), ("?", "%3F"), ("#", "%23"))


@dataclass(frozen=True, slots=True)
class Shape:
    """One reference, as W&B was told it.

    Attributes:
        location: Where it lies.
        uri: The URI, without secrets.
        name: Where it stands in the artifact; ``.`` is its root.
        single: It is one object.
        strict: As W&B does it, mistakes included.
    """

    location: Location
    uri: str
    name: str | None
    single: bool
    strict: bool

    @property
    def pins(self) -> bool:
        """Record version IDs: of a folder of Azure's, W&B has none."""
        return not (self.strict and self.location.store == "azure" and not self.single)

    def apply(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """Return the rows (``MANIFEST_SCHEMA``) with the paths, references and digests that W&B has."""
        match self.location.store:
            case "file":
                return with_columns(rows, ref=self._file_refs(rows))
            case "http":
                return self._of_web(rows) if self.single else rows
            case "azure":
                # W&B writes the blob's name behind the container as it is, and so it reads it.
                rows = with_columns(rows, ref=unquote_keys(rows.column("ref"), "azure"))
        if self.strict and self.location.store in ("s3", "gcs", "azure"):
            return StrictPlaces(self.location.store, self.uri, self.name, multi=not self.single).place(rows)
        return rows

    def _file_refs(self, rows: pa.RecordBatch) -> pa.Array:
        # An escape in the URI is as it was given.
        uri = self.uri.replace("?", "%3F").replace("#", "%23")
        if self.single:
            return pa.array([uri] * rows.num_rows, pa.string())
        names = rows.column("path")
        if self.name is not None and self.name != ".":
            names = pc.utf8_slice_codeunits(names, len(self.name) + 1)
        if not self.strict:
            for character, escape in _FILE_ESCAPES:
                names = pc.replace_substring(names, character, escape)
        return pc.binary_join_element_wise(uri if uri.endswith("/") else uri + "/", names, "")

    def _of_web(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """Return the one row with the URL as W&B's HTTP client writes it, and as it names it: query included."""
        import requests  # noqa: PLC0415  the W&B SDK brings it

        url = str(requests.Request("GET", self.uri).prepare().url)
        digests = rows.column("digest")
        named = pc.equal(digests, rows.column("ref"))
        path = self.name or os.path.basename(self.uri)
        return with_columns(
            rows,
            path=pa.array([path] * rows.num_rows, pa.string()),
            ref=pa.array([url] * rows.num_rows, pa.string()),
            digest=pc.if_else(named, url, digests),
        )


def bare_place(location: Location, uri: str, name: str | None) -> tuple[str, str]:
    """Return path and reference of what W&B records with ``checksum=False``, without a request."""
    if location.store == "http":
        return name or os.path.basename(uri), uri
    if location.store == "azure":
        return name or location.key, location.base + location.key
    return name or location.key or location.container, location.base + location.key


def with_columns(rows: pa.RecordBatch, **columns: pa.Array) -> pa.RecordBatch:
    """Return the rows with some columns replaced."""
    arrays = [columns.get(field.name, rows.column(field.name)) for field in rows.schema]
    return pa.record_batch(arrays, schema=rows.schema)
