"""Listings in Apache Arrow, which newer services send to those who ask for it (service version 2026-10-06)."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from refscan.sources.azure.listing import FIELDS, FOLDER_MARK, Listing, is_true

__all__ = ["ARROW", "read_arrow"]

ARROW = "application/vnd.apache.arrow.stream"
"""The media type of such listings."""

_MARKERS = (b"NextMarker", b"nextMarker")
_NEEDED = frozenset(["Name", "Etag", "Content-Length", "Last-Modified"])
_EXACT = frozenset(["Content-Length", "Last-Modified"])


def read_arrow(body: bytes) -> Listing:
    """Read the body of a listing; its columns have the names of the XML elements, and its schema the marker.

    Raises:
        ValueError: It is no stream of Arrow's, or lacks what every listing has.
    """
    table = pa.ipc.open_stream(body).read_all().combine_chunks()
    metadata = table.schema.metadata or {}
    marker = next((metadata[name] for name in _MARKERS if metadata.get(name)), b"").decode()
    missing = _NEEDED - set(table.column_names)
    if missing and table.num_rows:
        raise ValueError(f"its Arrow columns lack {', '.join(sorted(missing))}")
    if not table.num_rows:
        return Listing({"Name": pa.array([], pa.string())}, [], marker)
    folders: list[str] = []
    if "ResourceType" in table.column_names:
        is_folder = pc.fill_null(pc.equal(_text(table.column("ResourceType")), "blobprefix"), False)
        folders = _text(table.column("Name")).filter(is_folder).to_pylist()
        table = table.filter(pc.invert(is_folder)).combine_chunks() if folders else table
    columns = {
        field: _whole(table.column(field)) if field in _EXACT else _text(table.column(field))
        for field in FIELDS
        if field in table.column_names
    }
    if "Metadata" in table.column_names:
        columns[FOLDER_MARK] = _marks(_whole(table.column("Metadata")))
    return Listing(columns, folders, marker)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0) if array.num_chunks else pa.array([], array.type)
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def _text(column: pa.ChunkedArray) -> pa.Array:
    array = _whole(column)
    if pa.types.is_binary(array.type) and column.type != pa.string():
        raise ValueError("a column of its text is binary")
    return array.cast(pa.string())


def _marks(metadata: pa.Array) -> pa.Array:
    """Return ``true`` for each blob whose metadata says that it stands for a folder."""
    names = pc.ascii_lower(metadata.keys) if len(metadata) else pa.array([], pa.string())
    if not pc.any(pc.equal(names, FOLDER_MARK)).as_py():
        return pa.nulls(len(metadata), pa.string())
    found = [{name.lower(): value for name, value in pairs or ()} for pairs in metadata.to_pylist()]
    return pa.array(["true" if is_true(pairs.get(FOLDER_MARK) or "") else None for pairs in found], pa.string())
