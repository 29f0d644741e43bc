"""Identities of manifests: of their content, of their pins, and of a segment's rows."""

from __future__ import annotations

import hashlib
import struct

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["ContentDigest", "PinDigest", "rows_digest"]

_HEADER = b"wandb-artifact-manifest-v1\n"


class ContentDigest:
    """The W&B manifest digest, version 1: MD5 over a header and a line ``path:digest`` for each entry, by path."""

    def __init__(self) -> None:
        self._hash = hashlib.md5(_HEADER, usedforsecurity=False)

    def update(self, rows: pa.RecordBatch) -> None:
        """Add the next rows in path order."""
        lines = pc.binary_join_element_wise(rows.column("path"), ":", rows.column("digest"), "\n", "")
        self._hash.update(_data(lines))

    def hexdigest(self) -> str:
        """Return 32 hexadecimal digits."""
        return self._hash.hexdigest()


class PinDigest:
    """Identity of what a manifest pins: each entry's path, digest and version ID."""

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=16)

    def update(self, rows: pa.RecordBatch) -> None:
        """Add the next rows in path order."""
        texts = (rows.column("path"), pc.fill_null(rows.column("version_id"), ""), rows.column("digest"))
        # Lengths stand before the texts, so that no two lists read alike; batches may be cut anywhere.
        lengths = [pc.cast(pc.binary_length(text), pa.string()) for text in texts]
        self._hash.update(_data(pc.binary_join_element_wise(*lengths, *texts, "\n", ",")))

    def hexdigest(self) -> str:
        """Return 32 hexadecimal digits."""
        return self._hash.hexdigest()


def rows_digest(rows: pa.Table) -> str:
    """Return the name of a segment: a hash of its rows that no version of a file format changes."""
    digest = hashlib.blake2b(digest_size=32)
    digest.update(struct.pack("<q", rows.num_rows))
    for field, chunked in zip(rows.schema, rows.columns, strict=True):
        column = chunked.combine_chunks() if isinstance(chunked, pa.ChunkedArray) else chunked
        digest.update(field.name.encode() + b"\0")
        digest.update(_data(pc.cast(column.is_valid(), pa.uint8())))
        if pa.types.is_string(field.type):
            texts = pc.fill_null(column, "")
            digest.update(_data(pc.binary_length(texts)))
            digest.update(_data(texts))
        else:
            digest.update(_data(pc.fill_null(column.cast(pa.int64()), 0)))
    return digest.hexdigest()


def _data(array: pa.Array) -> memoryview:
    """Return the values' bytes, one behind the other, without a copy."""
    if len(array) == 0:
        return memoryview(b"")
    buffers = array.buffers()
    if pa.types.is_string(array.type):
        first = struct.unpack_from("<i", buffers[1], array.offset * 4)[0]
        last = struct.unpack_from("<i", buffers[1], (array.offset + len(array)) * 4)[0]
        return memoryview(buffers[2])[first:last] if buffers[2] is not None else memoryview(b"")
    width = array.type.bit_width // 8
    return memoryview(buffers[1])[array.offset * width : (array.offset + len(array)) * width]
