"""What Azure Blob Storage answers to listings, in XML and in Apache Arrow."""

from __future__ import annotations

import re
from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from datetime import timedelta
from functools import cached_property
from urllib.parse import parse_qsl, unquote

import pyarrow as pa
from azure_blob import ARROW_SCHEMA, arrow_columns, e_tag, version_of, xml_entry
from bucket import Bucket
from rendered import Rendered
from wire import response

__all__ = ["AzureStore"]

_MOST = 5_000
_ARROW = "application/vnd.apache.arrow.stream"
_ARROW_SINCE = "2026-10-06"
_START_FROM_SINCE = "2026-02-06"
_SERVICE_VERSION = re.compile(rb"(?i)\r\nx-ms-version:\s*([0-9-]+)")
_HTTP_DATE = "%a, %d %b %Y %H:%M:%S GMT"


class AzureStore:
    """List Blobs, Get Account Information, Get Container Properties, Get Blob Properties; signatures are not checked.

    Pages hold 5,000 blobs at most. ``include=versions`` adds version IDs, ``include=metadata`` empty metadata.
    ``startFrom`` is honoured from service version 2026-02-06 on. With 2026-10-06 and an ``Accept`` of Apache Arrow, a
    page is a stream of one record batch, and ``endBefore`` is honoured too.

    Args:
        bucket: The blobs.
        arrow: Answer in Apache Arrow to those who accept it.
    """

    def __init__(self, bucket: Bucket, *, arrow: bool) -> None:
        self.bucket = bucket
        self._speaks_arrow = arrow
        self._rendered: dict[tuple[bool, bool], Rendered] = {}

    def answer(self, method: str, target: str, head: bytes) -> bytes:
        """See ``Store.answer``."""
        path, _, query = target.partition("?")
        account, _, rest = path[1:].partition("/")
        container, _, blob = rest.partition("/")
        asked = dict(parse_qsl(query, keep_blank_values=True))
        match asked.get("restype"), asked.get("comp"):
            case "account", "properties":
                return _answer("200 OK", more=_ACCOUNT)
            case "container", "list" if not blob and not asked.get("delimiter"):
                return self._list(f"{account}/", container, asked, head)
            case "container", None if not blob:
                return _answer("200 OK", more="x-ms-has-legal-hold: false\r\n")
            case None, None if blob and method == "HEAD":
                return self._properties(unquote(blob))
        return _answer("501 Not Implemented", more="x-ms-error-code: NotImplemented\r\n")

    def _list(self, account: str, container: str, asked: dict[str, str], head: bytes) -> bytes:
        found = _SERVICE_VERSION.search(head)
        version = found[1].decode() if found else ""
        arrow = self._speaks_arrow and version >= _ARROW_SINCE and _ARROW.encode() in head
        marker, prefix = asked.get("marker", ""), asked.get("prefix", "")
        start = asked.get("startFrom", "") if version >= _START_FROM_SINCE else ""
        if marker:
            start = urlsafe_b64decode(marker).decode()
        first, end = self.bucket.window_from(prefix, start, asked.get("endBefore", "") if arrow else "")
        last = min(end, first + min(_MOST, int(asked.get("maxresults", _MOST))))
        following = urlsafe_b64encode(self.bucket.keys[last].encode()).decode() if last < end else ""
        include = asked.get("include", "").split(",")
        versions, metadata = "versions" in include, "metadata" in include
        if arrow:
            return self._arrow_page(first, last, following, versions=versions)
        page = self._entries(versions=versions, metadata=metadata).cut(first, last)
        opening = (
            '\ufeff<?xml version="1.0" encoding="utf-8"?>'
            f'<EnumerationResults ServiceEndpoint="http://127.0.0.1/{account}" ContainerName="{container}">'
            f"<Prefix>{prefix}</Prefix><Marker>{marker}</Marker><Blobs>"
        )
        next_marker = f"<NextMarker>{following}</NextMarker>" if following else "<NextMarker />"
        closing = f"</Blobs>{next_marker}</EnumerationResults>"
        return _answer("200 OK", opening.encode(), page, closing.encode())

    def _entries(self, *, versions: bool, metadata: bool) -> Rendered:
        kept = (versions, metadata)
        if kept not in self._rendered:
            rows = ((key, self.bucket.row(index)) for index, key in enumerate(self.bucket.keys))
            entries = (xml_entry(key, row, versions=versions, metadata=metadata) for key, row in rows)
            self._rendered[kept] = Rendered.of(entries)
        return self._rendered[kept]

    @cached_property
    def _table(self) -> pa.RecordBatch:
        keys = list(self.bucket.keys)
        columns = arrow_columns(keys, [self.bucket.row(index) for index in range(len(keys))])
        return pa.record_batch(columns, schema=ARROW_SCHEMA)

    def _arrow_page(self, first: int, last: int, following: str, *, versions: bool) -> bytes:
        rows = self._table.slice(first, last - first)
        if not versions:
            rows = rows.drop_columns(["VersionId", "IsCurrentVersion"])
        schema = rows.schema.with_metadata({"NextMarker": following} if following else None)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, schema) as stream:
            stream.write_batch(rows.cast(schema) if following else rows)
        return _answer("200 OK", memoryview(sink.getvalue()), kind=_ARROW)

    def _properties(self, key: str) -> bytes:
        index = self.bucket.find(key)
        if index is None:
            return _answer("404 The specified blob does not exist.", more="x-ms-error-code: BlobNotFound\r\n")
        row = self.bucket.row(index)
        created = row.last_modified - timedelta(seconds=1)
        more = (
            f'ETag: "{e_tag(row)}"\r\nLast-Modified: {row.last_modified.strftime(_HTTP_DATE)}\r\n'
            f"x-ms-creation-time: {created.strftime(_HTTP_DATE)}\r\nx-ms-version-id: {version_of(row)}\r\n"
            f"x-ms-is-current-version: true\r\nx-ms-blob-type: BlockBlob\r\nx-ms-server-encrypted: true\r\n"
            f"Content-MD5: {b64encode(bytes.fromhex(row.digest)).decode()}\r\n"
        )
        return _answer("200 OK", kind="application/octet-stream", length=row.size, more=more)


_ACCOUNT = "x-ms-sku-name: Standard_LRS\r\nx-ms-account-kind: StorageV2\r\nx-ms-is-hns-enabled: false\r\n"


def _answer(
    status: str,
    *body: bytes | memoryview,
    kind: str = "application/xml",
    length: int | None = None,
    more: str = "",
) -> bytes:
    names = "x-ms-request-id: 5d7c1b2a\r\nx-ms-version: 2026-10-06\r\nServer: Windows-Azure-Blob/1.0\r\n"
    return response(status, *body, kind=kind, length=length, more=names + more)
