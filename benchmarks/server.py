"""A listing server: S3's listings and HEADs over raw HTTP/1.1, fast enough never to be the limit.

``python benchmarks/server.py --objects 100000`` prints its port and serves until stopped. It answers for
any bucket name. ``GET /_requests`` tells how many requests came since it was last asked.
"""

from __future__ import annotations

import argparse
import asyncio
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import cast
from urllib.parse import parse_qsl, quote, unquote

from bucket import LAYOUTS, Bucket, Rendered

__all__ = ["Protocol", "Store"]

_XML = '<?xml version="1.0" encoding="UTF-8"?>\n'
_NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
_MOST_KEYS = 1_000
_HTTP_DATE = "%a, %d %b %Y %H:%M:%S GMT"


class Store:
    """What is answered to each request.

    Args:
        bucket: The objects.
        delay: Seconds before each answer leaves.
    """

    def __init__(self, bucket: Bucket, delay: float) -> None:
        self.bucket = bucket
        self.delay = delay
        self._requests = 0

    def answer(self, method: str, target: str) -> tuple[bytes, float]:
        """Return the whole response, and the seconds to wait before sending it."""
        if target == "/_requests":
            count, self._requests = self._requests, 0
            return _response("200 OK", f'{{"requests": {count}}}'.encode(), kind="application/json"), 0
        self._requests += 1
        path, _, query = target.partition("?")
        name, _, key = path[1:].partition("/")
        if method == "HEAD":
            return self._head(unquote(key)), self.delay
        asked = dict(parse_qsl(query, keep_blank_values=True))
        if method != "GET" or key or "delimiter" in asked:
            return _error("501 Not Implemented", "NotImplemented"), self.delay
        return self._ask(name, asked), self.delay

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
            f'ETag: "{row.e_tag}"\r\nAccept-Ranges: bytes\r\n{pin}'
        )
        return _response("200 OK", kind="binary/octet-stream", length=row.size, more=more)

    def _list_objects(self, name: str, asked: dict[str, str]) -> bytes:
        token = asked.get("continuation-token")
        after = urlsafe_b64decode(token).decode() if token else asked.get("start-after", "")
        page, first, last, truncated = self._page(self.bucket.objects, asked, after)
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
        page, _, _, truncated = self._page(self.bucket.objects_v1, asked, marker)
        head = _element("Name", name) + _element("Prefix", asked.get("prefix", "")) + _element("Marker", marker)
        return _listing("ListBucketResult", head, asked, page, truncated=truncated)

    def _list_versions(self, name: str, asked: dict[str, str]) -> bytes:
        # Each key has one version, so the key marker alone tells where to go on.
        marker = asked.get("key-marker", "")
        page, _, last, truncated = self._page(self.bucket.object_versions, asked, marker)
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


def _response(
    status: str,
    *body: bytes | memoryview,
    kind: str = "application/xml",
    length: int | None = None,
    more: str = "",
) -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nx-amz-id-2: b2c1d0\r\nx-amz-request-id: 7A6B5C4D3E2F1A0B\r\n"
        f"Date: Sat, 01 Nov 2025 00:00:00 GMT\r\n{more}Content-Type: {kind}\r\nServer: AmazonS3\r\n"
        f"Content-Length: {sum(map(len, body)) if length is None else length}\r\n\r\n"
    )
    return b"".join((head.encode(), *body))


class Protocol(asyncio.Protocol):
    """One connection, kept alive; requests have no body."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._buffer = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember whom to answer."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer every request that has come in whole."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            method, target, _ = self._buffer[: self._buffer.index(b"\r\n")].decode("ascii").split(" ", 2)
            self._buffer = self._buffer[end + 4 :]
            response, delay = self._store.answer(method, target)
            if delay:
                asyncio.get_running_loop().call_later(delay, self._send, response)
            else:
                self._send(response)

    def _send(self, response: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(response)


async def serve(store: Store) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: Protocol(store), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=100_000)
    parser.add_argument("--layout", choices=LAYOUTS, default="flat")
    parser.add_argument("--versions", action="store_true", help="the bucket is versioned")
    parser.add_argument("--delay-ms", type=float, default=0.0, help="wait so long before each answer")
    options = parser.parse_args()
    bucket = Bucket(options.objects, options.layout, versions=options.versions)
    asyncio.run(serve(Store(bucket, options.delay_ms / 1_000)))


if __name__ == "__main__":
    main()
