"""A small HTTP server that answers what a test tells it to: errors, odd listings, stalls, or another server's words."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends


@dataclass(frozen=True)
class Request:
    """A request, its target as it stood in the request line."""

    method: str
    target: str
    head: bytes = field(repr=False)

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    @property
    def lists_versions(self) -> bool:
        return "versions" in self.query

    @property
    def asks_for_versioning(self) -> bool:
        return "versioning" in self.query

    @property
    def lists_objects(self) -> bool:
        return self.query.get("list-type") == "2"


@dataclass(frozen=True)
class Answer:
    """A whole answer."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Stall:
    """The beginning of an answer whose rest never comes."""

    body: bytes
    length: int = 1 << 20
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Raw:
    """Bytes as they are, be they HTTP or not."""

    data: bytes


@dataclass(frozen=True)
class Forward:
    """What another server answers, to this request or to another ``target``."""

    endpoint: str
    target: str | None = None


Script = Callable[[Request], Answer | Stall | Raw | Forward]


class ScriptedServer:
    """Runs in the test's event loop; one request to a connection.

    Attributes:
        url: Where it listens.
        requests: All requests, in the order they came.
        stalled: Set once the beginning of a ``Stall`` was sent.
        abandoned: Set once the client has closed the connection of a ``Stall``.
    """

    def __init__(self, script: Script) -> None:
        self.requests: list[Request] = []
        self.stalled = asyncio.Event()
        self.abandoned = asyncio.Event()
        self._script = script
        self._connections: set[asyncio.Task] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._server.wait_closed()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._connections.add(task)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await self._serve(reader, writer)
        finally:
            self._connections.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        method, target = head.decode("latin-1").split(" HTTP/1.1\r\n", 1)[0].split(" ", 1)
        request = Request(method, target, head)
        self.requests.append(request)
        match self._script(request):
            case Answer(body, status, headers):
                writer.write(_head(status, {"Content-Length": str(len(body)), **headers}))
                writer.write(b"" if method == "HEAD" else body)
                await writer.drain()
            case Stall(body, length, headers):
                writer.write(_head(200, {"Content-Length": str(length), **headers}) + body)
                await writer.drain()
                self.stalled.set()
                with suppress(ConnectionError):
                    await reader.read()
                self.abandoned.set()
            case Raw(data):
                writer.write(data)
                await writer.drain()
            case Forward(endpoint, changed):
                await _relay(
                    head.replace(target.encode("latin-1"), (changed or target).encode("latin-1"), 1), endpoint, writer
                )


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} Said", "Connection: close", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


async def _relay(head: bytes, endpoint: str, writer: asyncio.StreamWriter) -> None:
    place = urlsplit(endpoint)
    first, _, rest = head.partition(b"\r\n")
    upstream_reader, upstream = await asyncio.open_connection(place.hostname, place.port)
    try:
        upstream.write(first + b"\r\nConnection: close\r\n" + rest)
        while data := await upstream_reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    finally:
        upstream.close()


def s3_error(code: str, *, status: int = 403, message: str = "as the test wants it") -> Answer:
    """Make an error as S3 sends it."""
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return Answer(body.encode(), status, {"Content-Type": "application/xml"})


def listing(
    keys: Iterable[str],
    *,
    versions: bool = False,
    truncated: bool = False,
    next_key: str | None = None,
    token: str | None = None,
) -> Answer:
    """Make a page as S3 sends it; objects are empty, and each has the version ``v1``."""
    root, tag = ("ListVersionsResult", "Version") if versions else ("ListBucketResult", "Contents")
    pin = "<VersionId>v1</VersionId><IsLatest>true</IsLatest>" if versions else ""
    facts = (
        f"{pin}<LastModified>2024-01-01T00:00:00.000Z</LastModified>"
        "<ETag>&quot;d41d8cd98f00b204e9800998ecf8427e&quot;</ETag><Size>0</Size><StorageClass>STANDARD</StorageClass>"
    )
    entries = "".join(f"<{tag}><Key>{quote(key)}</Key>{facts}</{tag}>" for key in keys)
    marks = f"<IsTruncated>{str(truncated).lower()}</IsTruncated><EncodingType>url</EncodingType>"
    marks += f"<NextKeyMarker>{quote(next_key)}</NextKeyMarker>" if next_key else ""
    marks += f"<NextContinuationToken>{token}</NextContinuationToken>" if token else ""
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<{root}><Name>bucket</Name>{marks}{entries}</{root}>'
    return Answer(body.encode(), headers={"Content-Type": "application/xml"})


def versioning(status: str | None) -> Answer:
    """Answer GetBucketVersioning: ``Enabled``, ``Suspended``, or never heard of."""
    inside = f"<Status>{status}</Status>" if status else ""
    return Answer(f"<VersioningConfiguration>{inside}</VersioningConfiguration>".encode())


def list_by_tokens_only(keys: Sequence[str], *, page_size: int) -> Script:
    """A bucket without versions, on a store that knows continuation tokens and ignores ``start-after``."""
    ordered = sorted(keys)

    def script(request: Request) -> Answer:
        if request.asks_for_versioning:
            return versioning(None)
        query = request.query
        start = int(query.get("continuation-token", "0"))
        stop = start + min(page_size, int(query.get("max-keys", "1000")))
        more = stop < len(ordered)
        prefix = query.get("prefix", "")
        shown = [key for key in ordered[start:stop] if key.startswith(prefix)]
        return listing(shown, truncated=more, token=str(stop) if more else None)

    return script


def mend_key_marker(endpoint: str) -> Script:
    """Let everything through, and make moto's ``key-marker`` mean what S3's does: go on behind this key.

    moto leaves out one version from the marker on, whichever it is: an object too many where the marker is no key,
    and old versions too few where it is one. Told a version ID as well, it does as it is told.
    """

    def script(request: Request) -> Forward:
        query = request.query
        if not request.lists_versions or "key-marker" not in query:
            return Forward(endpoint)
        bucket = urlsplit(request.target).path.strip("/")
        keys = s3_backends[DEFAULT_ACCOUNT_ID]["aws"].get_bucket(bucket).keys
        marker = query.pop("key-marker")
        before = max((key for key in keys if key <= marker), default=None)
        if before is not None:
            oldest = min(keys.getlist(before), key=lambda version: version.last_modified)
            query |= {"key-marker": before, "version-id-marker": oldest.version_id}
        return Forward(endpoint, f"/{bucket}?{urlencode(query)}")

    return script


def deny_versions(endpoint: str) -> Script:
    """Let everything through but for what reads versions and their state, as a policy for plain readers does."""

    def script(request: Request) -> Answer | Forward:
        if request.lists_versions or request.asks_for_versioning:
            return s3_error("AccessDenied")
        return Forward(endpoint)

    return script
