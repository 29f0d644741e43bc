"""What S3 answers to listings and HEADs."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from functools import cached_property
from urllib.parse import parse_qsl, quote, unquote

from bucket import Bucket, Row
from rendered import Rendered
from wire import response

__all__ = ["S3Store"]

_XML = '<?xml version="1.0" encoding="UTF-8"?>\n'
_NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
_MOST_KEYS = 1_000
_HTTP_DATE = "%a, %d %b %Y %H:%M:%S GMT"
_OWNER = "<Owner><ID>0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0</ID></Owner>"
_CLASS = "<StorageClass>STANDARD</StorageClass>"


class S3Store:
    """``ListObjects``, ``ListObjectsV2``, ``ListObjectVersions``, ``GetBucketVersioning``, ``GetBucketLocation``, HEAD.

    Elements stand in the order of AWS. No key needs escaping, so one rendering serves with and without
    ``encoding-type=url``.
    """

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket

    @cached_property
    def _objects(self) -> Rendered:
        rows = ((key, self.bucket.row(key)) for key in self.bucket.keys)
        return Rendered.of(f"<Contents>{_facts(k, r)}{_CLASS}</Contents>" for k, r in rows)

    @cached_property
    def _objects_v1(self) -> Rendered:
        # ListObjectsV2 leaves the owner out, the older ListObjects and ListObjectVersions have it.
        rows = ((key, self.bucket.row(key)) for key in self.bucket.keys)
        return Rendered.of(f"<Contents>{_facts(k, r)}{_OWNER}{_CLASS}</Contents>" for k, r in rows)

    @cached_property
    def _object_versions(self) -> Rendered:
        rows = ((key, self.bucket.row(key)) for key in self.bucket.keys)
        return Rendered.of(f"<Version>{_facts(k, r, pin=True)}{_OWNER}{_CLASS}</Version>" for k, r in rows)

    def answer(self, method: str, target: str, head: bytes) -> bytes:
        """See ``Store.answer``."""
        del head
        path, _, query = target.partition("?")
        name, _, key = path[1:].partition("/")
        if method == "HEAD":
            return self._head(unquote(key))
        asked = dict(parse_qsl(query, keep_blank_values=True))
        if method != "GET" or key or "delimiter" in asked:
            return _error("501 Not Implemented", "NotImplemented")
        return self._ask(name, asked)

    def _ask(self, name: str, asked: dict[str, str]) -> bytes:
        if "versioning" in asked:
            status = "<Status>Enabled</Status>" if self.bucket.versions else ""
            return _document("VersioningConfiguration", status)
        if "location" in asked:
            return _document("LocationConstraint", "")
        if "versions" in asked:
            return self._list_versions(name, asked)
        if asked.get("list-type") == "2":
            return self._list_objects(name, asked)
        return self._list_objects_v1(name, asked)

    def _head(self, key: str) -> bytes:
        if key and not self.bucket.has(key):
            return _response("404 Not Found")
        if not key:
            return _response("200 OK", more="x-amz-bucket-region: us-east-1\r\n")
        row = self.bucket.row(key)
        pin = f"x-amz-version-id: {row.version_id}\r\n" if self.bucket.versions else ""
        more = (
            f"Last-Modified: {row.last_modified.strftime(_HTTP_DATE)}\r\n"
            f'ETag: "{row.digest}"\r\nAccept-Ranges: bytes\r\n{pin}'
        )
        return _response("200 OK", kind="binary/octet-stream", length=row.size, more=more)

    def _list_objects(self, name: str, asked: dict[str, str]) -> bytes:
        token = asked.get("continuation-token")
        after = urlsafe_b64decode(token).decode() if token else asked.get("start-after", "")
        page, first, last, truncated = self._page(self._objects, asked, after)
        following = urlsafe_b64encode(self.bucket.keys[last - 1].encode()).decode() if truncated else None
        head = (
            _element("Name", name)
            + _element("Prefix", asked.get("prefix", ""))
            + _element("StartAfter", asked.get("start-after"))
            + _element("ContinuationToken", token)
            + _element("NextContinuationToken", following)
            + _element("KeyCount", str(last - first))
        )
        return _listing("ListBucketResult", head, asked, page, truncated=truncated)

    def _list_objects_v1(self, name: str, asked: dict[str, str]) -> bytes:
        marker = asked.get("marker", "")
        page, _, _, truncated = self._page(self._objects_v1, asked, marker)
        head = _element("Name", name) + _element("Prefix", asked.get("prefix", "")) + _element("Marker", marker)
        return _listing("ListBucketResult", head, asked, page, truncated=truncated)

    def _list_versions(self, name: str, asked: dict[str, str]) -> bytes:
        # Each key has one version, so the key marker alone tells where to go on.
        marker = asked.get("key-marker", "")
        page, _, last, truncated = self._page(self._object_versions, asked, marker)
        key = self.bucket.keys[last - 1] if truncated else None
        head = (
            _element("Name", name)
            + _element("Prefix", asked.get("prefix", ""))
            + _element("KeyMarker", marker)
            + _element("VersionIdMarker", asked.get("version-id-marker", ""))
            + _element("NextKeyMarker", key)
            + _element("NextVersionIdMarker", self.bucket.row(key).version_id if key else None)
        )
        return _listing("ListVersionsResult", head, asked, page, truncated=truncated)

    def _page(self, entries: Rendered, asked: dict[str, str], after: str) -> tuple[memoryview, int, int, bool]:
        first, end = self.bucket.window(asked.get("prefix", ""), after)
        last = min(end, first + _max_keys(asked))
        return entries.cut(first, last), first, last, first < last < end


def _max_keys(asked: dict[str, str]) -> int:
    return min(_MOST_KEYS, int(asked.get("max-keys", _MOST_KEYS)))


def _element(name: str, value: str | None) -> str:
    """Write one element of a listing's head; what is URL-quoted needs no XML escaping."""
    if value is None:
        return ""
    return f"<{name}>{quote(value, safe='/=')}</{name}>" if value else f"<{name}></{name}>"


def _listing(root: str, head: str, asked: dict[str, str], page: memoryview, *, truncated: bool) -> bytes:
    encoding = "<EncodingType>url</EncodingType>" if asked.get("encoding-type") == "url" else ""
    begin = (
        f"{_XML}<{root} {_NAMESPACE}>{head}<MaxKeys>{_max_keys(asked)}</MaxKeys>{encoding}"
        f"<IsTruncated>{str(truncated).lower()}</IsTruncated>"
    )
    return _response("200 OK", begin.encode(), page, f"</{root}>".encode())


def _document(root: str, inner: str) -> bytes:
    return _response("200 OK", f"{_XML}<{root} {_NAMESPACE}>{inner}</{root}>".encode())


def _error(status: str, code: str) -> bytes:
    xml = f"{_XML}<Error><Code>{code}</Code><Message>{code}</Message><RequestId>0</RequestId></Error>"
    return _response(status, xml.encode())


def _facts(key: str, row: Row, *, pin: bool = False) -> str:
    pinned = f"<VersionId>{row.version_id}</VersionId><IsLatest>true</IsLatest>" if pin else ""
    return (
        f"<Key>{key}</Key>{pinned}<LastModified>{row.last_modified:%Y-%m-%dT%H:%M:%S}.000Z</LastModified>"
        f"<ETag>&quot;{row.digest}&quot;</ETag><ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm>"
        f"<ChecksumType>FULL_OBJECT</ChecksumType><Size>{row.size}</Size>"
    )


def _response(
    status: str,
    *body: bytes | memoryview,
    kind: str = "application/xml",
    length: int | None = None,
    more: str = "",
) -> bytes:
    names = "x-amz-id-2: b2c1d0\r\nx-amz-request-id: 7A6B5C4D3E2F1A0B\r\nServer: AmazonS3\r\n"
    return response(status, *body, kind=kind, length=length, more=names + more)
