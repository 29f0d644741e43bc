"""The columns of a manifest."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

__all__ = ["MANIFEST_SCHEMA", "manifest_rows"]

MANIFEST_SCHEMA = pa.schema(
    [
        pa.field("path", pa.string(), nullable=False),
        pa.field("ref", pa.string()),
        pa.field("digest", pa.string(), nullable=False),
        pa.field("size", pa.int64()),
        pa.field("version_id", pa.string()),
        pa.field("e_tag", pa.string()),
        pa.field("checksum", pa.string()),
        pa.field("last_modified", pa.timestamp("us", "UTC")),
        pa.field("storage_class", pa.string()),
    ]
)
"""One row an entry, ascending by the UTF-8 bytes of ``path``.

``ref`` is the object's URI, null for files that are stored with the registry. ``digest`` is what W&B records for the
same object. ``size`` is in bytes. ``version_id`` is the pin. ``checksum`` (``ALGORITHM:BASE64``) is null where it
would only repeat ``digest``.
"""


def manifest_rows(**columns: Sequence[object] | pa.Array) -> pa.RecordBatch:
    """Build rows of ``MANIFEST_SCHEMA``; columns that are not given are null."""
    length = len(columns["path"])
    return pa.record_batch(
        [
            pa.nulls(length, field.type)
            if (column := columns.get(field.name)) is None
            else column
            if isinstance(column, pa.Array)
            else pa.array(column, field.type)
            for field in MANIFEST_SCHEMA
        ],
        schema=MANIFEST_SCHEMA,
    )
