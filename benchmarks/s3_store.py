"""What S3 answers to listings and HEADs."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from urllib.parse import parse_qsl, quote_plus, unquote
from xml.sax.saxutils import escape

import numpy as np
from bucket import Bucket
from keys import Form
from s3_entries import Entries, Kind
from s3_folders import Listed, by_folder
from wire import response

__all__ = ["S3Store", "slow_down"]

_XML = '<?xml version="1.0" encoding="UTF-8"?>\n'
_NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
_LAST_KEY = "\U0010ffff"
_MOST_KEYS = 1_000
_HTTP_DATE = "%a, %d %b %Y %H:%M:%S GMT"


class S3Store:
    """``ListObjects``, ``ListObjectsV2``, ``ListObjectVersions``, ``GetBucketVersioning``, ``GetBucketLocation``, HEAD.

    With ``encoding-type=url`` keys are encoded as AWS does it: a space is ``+``, a slash stays.

    Args:
        bucket: What there is.
        denied: ``ListObjectVersions`` is not permitted.
    """

    def __init__(self, bucket: Bucket, *, denied: bool = False) -> None:
        self.bucket = bucket
        self._denied = denied
        self._rendered: dict[tuple[Kind, Form], Entries] = {}

    def answer(self, method: str, target: str, head: bytes) -> bytes:
        """See ``Store.answer``."""
        del head
        path, _, query = target.partition("?")
        name, _, key = path[1:].partition("/")
        if method == "HEAD":
            return self._head(unquote(key))
        asked = dict(parse_qsl(query, keep_blank_values=True))
        if method != "GET" or key:
            return _error("501 Not Implemented", "NotImplemented")
        return self._ask(name, asked)

    def _ask(self, name: str, asked: dict[str, str]) -> bytes:
        if "versioning" in asked:
            status = "<Status>Enabled</Status>" if self.bucket.versions else ""
            return _document("VersioningConfiguration", status)
        if "location" in asked:
            return _document("LocationConstraint", "")
        if "versions" in asked:
            return _error("403 Forbidden", "AccessDenied") if self._denied else self._list_versions(name, asked)
        if asked.get("list-type") == "2":
            return self._list_objects(name, asked)
        return self._list_objects_v1(name, asked)

    def _head(self, key: str) -> bytes:
        index = self.bucket.find(key) if key else None
        if not key:
            return _response("200 OK", more="x-amz-bucket-region: us-east-1\r\n")
        if index is None:
            return _response("404 Not Found")
        row = self.bucket.row(index)
        pin = f"x-amz-version-id: {row.version_id}\r\n" if self.bucket.versions else ""
        more = (
            f"Last-Modified: {row.last_modified.strftime(_HTTP_DATE)}\r\n"
            f'ETag: "{row.digest}"\r\nAccept-Ranges: bytes\r\n{pin}'
        )
        return _response("200 OK", kind="binary/octet-stream", length=row.size, more=more)

    def _list_objects(self, name: str, asked: dict[str, str]) -> bytes:
        token = asked.get("continuation-token")
        after = urlsafe_b64decode(token).decode() if token else asked.get("start-after", "")
        first, end = self._window(asked, after)
        page = self._page("objects", asked, first, end)
        head = (
            _element("Name", name)
            + _key_element("Prefix", asked.get("prefix", ""), asked)
            + _key_element("StartAfter", asked.get("start-after"), asked)
            + _key_element("Delimiter", asked.get("delimiter"), asked)
            + _element("ContinuationToken", token)
            + _element("NextContinuationToken", page.last and urlsafe_b64encode(page.last.encode()).decode())
            + _element("KeyCount", str(page.count))
        )
        return _listing("ListBucketResult", head, asked, page)

    def _list_objects_v1(self, name: str, asked: dict[str, str]) -> bytes:
        marker = asked.get("marker", "")
        first, end = self._window(asked, marker)
        page = self._page("objects_v1", asked, first, end)
        head = (
            _element("Name", name)
            + _key_element("Prefix", asked.get("prefix", ""), asked)
            + _key_element("Marker", marker, asked)
            + _key_element("Delimiter", asked.get("delimiter"), asked)
            + _key_element("NextMarker", page.last if "delimiter" in asked else None, asked)
        )
        return _listing("ListBucketResult", head, asked, page)

    def _list_versions(self, name: str, asked: dict[str, str]) -> bytes:
        """List from behind the key marker, or from behind one version of that key."""
        marker, version = asked.get("key-marker", ""), asked.get("version-id-marker", "")
        first, end = self._window(asked, marker)
        history = self.bucket.history
        at, until = history.first(first), history.first(end)
        key = self.bucket.find(marker) if version else None
        if key is not None:
            at = history.first(key) + self._rank(key, version) + 1
        page = self._page("versions", asked, at, until)
        following = page.last and page.position is not None and self._version_id(page.position)
        head = (
            _element("Name", name)
            + _key_element("Prefix", asked.get("prefix", ""), asked)
            + _key_element("Delimiter", asked.get("delimiter"), asked)
            + _key_element("KeyMarker", marker, asked)
            + _element("VersionIdMarker", version)
            + _key_element("NextKeyMarker", page.last, asked)
            + _element("NextVersionIdMarker", following or None)
        )
        return _listing("ListVersionsResult", head, asked, page)

    def _window(self, asked: dict[str, str], after: str) -> tuple[int, int]:
        """Return where to begin and end; behind a folder, its keys are passed over."""
        delimiter = asked.get("delimiter")
        behind = after + _LAST_KEY if delimiter and after.endswith(delimiter) else after
        return self.bucket.window(asked.get("prefix", ""), behind)

    def _rank(self, key: int, version: str) -> int:
        """Return how many newer versions of a key there are than this one."""
        first, end = self.bucket.history.first(key), self.bucket.history.first(key + 1)
        return next((at - first for at in range(first, end) if self._version_id(at) == version), end - first - 1)

    def _version_id(self, position: int) -> str:
        key, rank = self.bucket.history.key(position)
        if not self.bucket.versions:
            return "null"
        facts = self.bucket.facts(np.array([key]), np.array([rank]))
        return f"{int(facts.upper[0]):016x}{int(facts.lower[0]):016x}"[::-1]

    def _page(self, kind: Kind, asked: dict[str, str], first: int, end: int) -> Listed:
        form: Form = ("url" if asked.get("encoding-type") == "url" else "xml") if self.bucket.keys.escaped else "raw"
        entries = self._rendered.get((kind, form))
        if entries is None:
            entries = self._rendered[kind, form] = Entries(self.bucket, kind, form)
        most = _max_keys(asked)
        if asked.get("delimiter"):
            prefix, delimiter = asked.get("prefix", ""), asked["delimiter"]
            return by_folder(self.bucket, entries, prefix, delimiter, first=first, end=end, most=most)
        last = min(end, first + most)
        if not first < last < end:
            return Listed([entries.cut(first, last)], [], max(0, last - first))
        key = self.bucket.history.key(last - 1)[0] if kind == "versions" else last - 1
        return Listed([entries.cut(first, last)], [], last - first, self.bucket.keys[key], last - 1)


def slow_down() -> bytes:
    """Return what S3 answers to too many requests (https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html)."""
    return _error("503 Slow Down", "SlowDown", "Please reduce your request rate.")


def _max_keys(asked: dict[str, str]) -> int:
    return min(_MOST_KEYS, int(asked.get("max-keys", _MOST_KEYS)))


def _element(name: str, value: str | None) -> str:
    return "" if value is None else f"<{name}>{escape(value)}</{name}>"


def _key_element(name: str, value: str | None, asked: dict[str, str]) -> str:
    """Write an element that holds a key or a part of one."""
    encoded = asked.get("encoding-type") == "url" and value is not None
    return _element(name, quote_plus(value, safe="/") if encoded and value else value)


def _listing(root: str, head: str, asked: dict[str, str], page: Listed) -> bytes:
    encoding = "<EncodingType>url</EncodingType>" if asked.get("encoding-type") == "url" else ""
    begin = (
        f"{_XML}<{root} {_NAMESPACE}>{head}<MaxKeys>{_max_keys(asked)}</MaxKeys>{encoding}"
        f"<IsTruncated>{str(page.last is not None).lower()}</IsTruncated>"
    )
    folders = "".join(
        f"<CommonPrefixes>{_key_element('Prefix', folder, asked)}</CommonPrefixes>" for folder in page.folders
    )
    return _response("200 OK", begin.encode(), *page.entries, f"{folders}</{root}>".encode())


def _document(root: str, inner: str) -> bytes:
    return _response("200 OK", f"{_XML}<{root} {_NAMESPACE}>{inner}</{root}>".encode())


def _error(status: str, code: str, message: str | None = None) -> bytes:
    xml = f"{_XML}<Error><Code>{code}</Code><Message>{message or code}</Message><RequestId>0</RequestId></Error>"
    return _response(status, xml.encode())


def _response(
    status: str,
    *body: bytes | memoryview,
    kind: str = "application/xml",
    length: int | None = None,
    more: str = "",
) -> bytes:
    names = "x-amz-id-2: b2c1d0\r\nx-amz-request-id: 7A6B5C4D3E2F1A0B\r\nServer: AmazonS3\r\n"
    return response(status, *body, kind=kind, length=length, more=names + more)
