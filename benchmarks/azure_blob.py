"""One blob of a listing of Azure's, as XML and as columns of Apache Arrow."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence

import pyarrow as pa
from bucket import Row

__all__ = ["ARROW_SCHEMA", "arrow_columns", "e_tag", "version_of", "xml_entry"]

_TIME = pa.timestamp("s", "UTC")
_SAME = {
    "ResourceType": "blob",
    "Content-Type": "application/octet-stream",
    "BlobType": "BlockBlob",
    "AccessTier": "Hot",
    "LeaseStatus": "unlocked",
    "LeaseState": "available",
}
# Names as the XML's elements; that sizes are unsigned, and the next marker stands in the schema's metadata, is taken
# from the SDKs' decoders.
ARROW_SCHEMA = pa.schema(
    [
        pa.field("Name", pa.string()),
        pa.field("VersionId", pa.string()),
        pa.field("IsCurrentVersion", pa.bool_()),
        pa.field("Creation-Time", _TIME),
        pa.field("Last-Modified", _TIME),
        pa.field("Etag", pa.string()),
        pa.field("Content-Length", pa.uint64()),
        pa.field("Content-MD5", pa.string()),
        *(pa.field(name, pa.string()) for name in _SAME),
        pa.field("AccessTierInferred", pa.bool_()),
        pa.field("ServerEncrypted", pa.bool_()),
    ]
)


def e_tag(row: Row) -> str:
    """Return the ETag, without quotes."""
    return f"0x8DD{row.digest[:12].upper()}"


def version_of(row: Row) -> str:
    """Return the version ID: the moment of the write, to 100 ns."""
    return f"{row.last_modified:%Y-%m-%dT%H:%M:%S}.{int(row.digest[-6:], 16) % 10_000_000:07}Z"


def xml_entry(key: str, row: Row, *, versions: bool, metadata: bool) -> str:
    """Write a ``<Blob>``, elements in Azure's order (https://learn.microsoft.com/rest/api/storageservices/list-blobs)."""
    pin = f"<VersionId>{version_of(row)}</VersionId><IsCurrentVersion>true</IsCurrentVersion>" if versions else ""
    moment = f"{row.last_modified:%a, %d %b %Y %H:%M:%S} GMT"
    return (
        f"<Blob><Name>{key}</Name>{pin}<Properties><Creation-Time>{moment}</Creation-Time>"
        f"<Last-Modified>{moment}</Last-Modified><Etag>{e_tag(row)}</Etag><Content-Length>{row.size}</Content-Length>"
        f"<Content-Type>application/octet-stream</Content-Type><Content-Encoding /><Content-Language />"
        f"<Content-CRC64 /><Content-MD5>{_md5(row)}</Content-MD5><Cache-Control /><Content-Disposition />"
        f"<BlobType>BlockBlob</BlobType><AccessTier>Hot</AccessTier><AccessTierInferred>true</AccessTierInferred>"
        f"<LeaseStatus>unlocked</LeaseStatus><LeaseState>available</LeaseState><ServerEncrypted>true</ServerEncrypted>"
        f"</Properties>{'<Metadata />' if metadata else ''}<OrMetadata /></Blob>"
    )


def arrow_columns(keys: Sequence[str], rows: Sequence[Row]) -> list[pa.Array]:
    """Return the columns of ``ARROW_SCHEMA``."""
    count = len(keys)
    moments = pa.array([row.last_modified for row in rows], _TIME)
    true = pa.array([True] * count)
    return [
        pa.array(keys),
        pa.array([version_of(row) for row in rows]),
        true,
        moments,
        moments,
        pa.array([e_tag(row) for row in rows]),
        pa.array([row.size for row in rows], pa.uint64()),
        pa.array([_md5(row) for row in rows]),
        *(pa.array([value] * count) for value in _SAME.values()),
        true,
        true,
    ]


def _md5(row: Row) -> str:
    return b64encode(bytes.fromhex(row.digest)).decode()
