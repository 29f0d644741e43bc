"""A bucket that can only be listed, in a thread of its own: small pages, faults by a seeded script, and counts."""

import asyncio
import bisect
import hashlib
import random
import socket
import struct
import threading
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from enum import Enum
from typing import NamedTuple, Self
from urllib.parse import parse_qsl, quote_plus, unquote, urlsplit
from xml.sax.saxutils import escape

_XML = '<?xml version="1.0" encoding="UTF-8"?>\n'
_MODIFIED = "2024-05-06T07:08:09.000Z"
_PAUSE = 0.005


class Fault(Enum):
    """What may come in the place of an answer, or with it."""

    SLOW_DOWN = "503 SlowDown"
    SLOW_DOWN_AT_ONCE = "503 SlowDown with Retry-After: 0"
    INTERNAL_ERROR = "500 InternalError"
    ERROR_INSIDE = "200 with an error document"
    RESET_BEFORE = "a reset before the answer"
    RESET_WITHIN = "a reset in the midst of the answer"
    CLOSED_BEFORE = "a connection that ends before the answer"
    CUT_SHORT = "half a body, and the length of the whole"
    CUT = "half a body, and its own length"
    CUT_BETWEEN = "a body that ends behind an entry, and its own length"
    STALL = "half a body, a pause, a reset"
    LATE = "the answer, later"


class Request(NamedTuple):
    """A request.

    Attributes:
        kind: ``versions``, ``objects``, ``versioning`` or ``head``.
        query: Its parameters.
        key: The object it is about.
        fault: What was played.
    """

    kind: str
    query: dict[str, str]
    key: str
    fault: Fault | None

    @property
    def lists(self) -> bool:
        return self.kind in ("versions", "objects")

    @property
    def after(self) -> str:
        token = self.query.get("continuation-token")
        return _from_token(token) if token else self.query.get("key-marker") or self.query.get("start-after") or ""


class Answer(NamedTuple):
    """An answer."""

    status: int
    headers: dict[str, str]
    body: bytes


class Faults:
    """Plays faults to a share of all requests, and to no request more often than ``most`` times."""

    def __init__(
        self, share: float = 0.0, *, seed: int = 0, most: int = 3, kinds: Sequence[Fault] = tuple(Fault)
    ) -> None:
        self._share = share
        self._most = most
        self._kinds = kinds
        self._random = random.Random(seed)
        self._played: Counter[str] = Counter()

    def __call__(self, target: str) -> Fault | None:
        if self._random.random() >= self._share or self._played[target] >= self._most:
            return None
        self._played[target] += 1
        return self._random.choice(self._kinds)


class Facts(NamedTuple):
    """One version of an object; ``size`` is ``None`` for a delete marker."""

    key: str
    size: int | None
    e_tag: str
    version_id: str
    is_latest: bool


class ListingServer:
    """S3's listings, ``HEAD`` and ``GetBucketVersioning`` of one bucket, whatever it is called.

    Every third key has an old version as well; ``deleted`` ones have a delete marker on top of one.

    Attributes:
        url: Where it listens.
        requests: All that were answered, or had a fault for an answer, in the order in which they came.
        held: Set once a request came that is not answered, as ``hold_after`` were.
        waiting: How many are not answered so.
        most_under_way: Requests at once, at most.

    Args:
        keys: Of the objects.
        deleted: Of what was deleted; another copy of it is left where the bucket has versions.
        versions: The bucket has versions.
        denied: Neither versions nor their state may be asked for.
        page_size: Entries in a page at most, whatever ``max-keys`` says.
        faults: Is given the target of each request.
        broken: Tells which requests are answered with 503, for ever.
        hold_after: Answer so many requests for pages, and let all others wait.
    """

    def __init__(
        self,
        keys: Iterable[str],
        *,
        deleted: Iterable[str] = (),
        versions: bool = True,
        denied: bool = False,
        page_size: int = 1_000,
        faults: Callable[[str], Fault | None] = Faults(),  # noqa: B008  it plays none
        broken: Callable[[Request], bool] = lambda _: False,
        hold_after: int | None = None,
    ) -> None:
        self.faults = faults
        self.broken = broken
        self.hold_after = hold_after
        self.requests: list[Request] = []
        self.held = threading.Event()
        self.waiting = self.under_way = self.most_under_way = 0
        self.versions = versions
        self.denied = denied
        self.page_size = page_size
        self._facts = [*_facts(sorted({*keys}), sorted({*deleted}), versions=versions)]
        self._keys = [facts.key for facts in self._facts]
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def pages(self) -> list[Request]:
        """Those of ``requests`` that are for pages."""
        return [request for request in self.requests if request.lists]

    def rows(self, prefix: str = "") -> list[dict[str, object]]:
        """Return what a scan must give."""
        return [
            {
                "key": facts.key,
                "size": facts.size,
                "e_tag": facts.e_tag,
                "version_id": facts.version_id if self.versions else None,
            }
            for facts in self._facts
            if facts.is_latest and facts.size is not None and facts.key.startswith(prefix)
        ]

    def begin(self, *, hold_after: int | None = None) -> None:
        """Forget what was asked; whoever waited has gone."""
        self.requests = []
        self.held.clear()
        self.waiting = self.under_way = self.most_under_way = 0
        self.hold_after = hold_after

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._stopping = asyncio.Event()
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        self.url = f"http://{host}:{port}"
        self._ready.set()
        await self._stopping.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._tasks.add(task)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while await self._answer_one(reader, writer):
                    pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _answer_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer a request; tell whether the connection is to be used again."""
        head = await reader.readuntil(b"\r\n\r\n")
        method, target = head.decode("latin-1").split(" HTTP/1.1\r\n", 1)[0].split(" ", 1)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            return await self._answer(reader, writer, method, target)
        finally:
            self.under_way -= 1

    async def _answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, method: str, target: str
    ) -> bool:
        place = urlsplit(target)
        query = dict(parse_qsl(place.query, keep_blank_values=True))
        kinds = {"versions": "versions" in query, "versioning": "versioning" in query, "head": method == "HEAD"}
        kind = next((name for name, true in kinds.items() if true), "objects")
        request = Request(kind, query, unquote(place.path).lstrip("/").partition("/")[2], self.faults(target))
        if self.hold_after is not None and len(self.pages) >= self.hold_after:
            self.waiting += 1
            self.held.set()
            await reader.read()
            return False
        self.requests.append(request)
        if self.broken(request):
            request = request._replace(fault=Fault.SLOW_DOWN)
        is_head = method == "HEAD"
        return await _send(
            writer, request.fault, _with(request.fault, self._say(request), is_head=is_head), is_head=is_head
        )

    def _say(self, request: Request) -> Answer:
        match request.kind:
            case "versions" | "versioning" if self.denied:
                return Answer(403, {}, _error("AccessDenied"))
            case "versioning":
                status = "<Status>Enabled</Status>" if self.versions else ""
                return Answer(200, {}, f"{_XML}<VersioningConfiguration>{status}</VersioningConfiguration>".encode())
            case "head":
                return self._facts_of(request.key)
        return Answer(200, {"Content-Type": "application/xml"}, self._page(request))

    def _facts_of(self, key: str) -> Answer:
        at = bisect.bisect_left(self._keys, key)
        facts = self._facts[at] if at < len(self._keys) and self._keys[at] == key else None
        if facts is None or facts.size is None:
            return Answer(404, {"x-amz-request-id": "1"}, b"")
        pin = {"x-amz-version-id": facts.version_id} if self.versions else {}
        headers = {"ETag": f'"{facts.e_tag}"', "Last-Modified": "Mon, 06 May 2024 07:08:09 GMT", **pin}
        return Answer(200, {**headers, "Content-Length": str(facts.size)}, b"")

    def _page(self, request: Request) -> bytes:
        query, versions = request.query, request.kind == "versions"
        prefix, after = query.get("prefix", ""), request.after
        most = min(self.page_size, int(query.get("max-keys", "1000")))
        at = max(bisect.bisect_right(self._keys, after) if after else 0, bisect.bisect_left(self._keys, prefix))
        shown: list[Facts] = []
        more = False
        while at < len(self._keys) and self._keys[at].startswith(prefix):
            facts = self._facts[at]
            if versions or (facts.is_latest and facts.size is not None):
                if len(shown) == most:
                    more = True
                    break
                shown.append(facts)
            at += 1
        write = _url if query.get("encoding-type") == "url" else escape
        marks = f"<IsTruncated>{str(more).lower()}</IsTruncated><Prefix>{write(prefix)}</Prefix>"
        marks += f"<MaxKeys>{most}</MaxKeys>"
        marks += "<EncodingType>url</EncodingType>" if write is _url else ""
        if more and versions:
            last = shown[-1]
            marks += f"<NextKeyMarker>{write(last.key)}</NextKeyMarker>"
            marks += f"<NextVersionIdMarker>{last.version_id}</NextVersionIdMarker>"
        elif more:
            marks += f"<NextContinuationToken>{_token(shown[-1].key)}</NextContinuationToken>"
        root = "ListVersionsResult" if versions else "ListBucketResult"
        entries = "".join(_entry(facts, versions=versions, key=write(facts.key)) for facts in shown)
        space = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
        return f"{_XML}<{root} {space}><Name>bucket</Name>{marks}{entries}</{root}>".encode()


def _with(fault: Fault | None, answer: Answer, *, is_head: bool) -> Answer:
    """Return what the fault makes of an answer before it is sent."""
    match fault:
        case Fault.SLOW_DOWN:
            return Answer(503, {}, _error("SlowDown"))
        case Fault.SLOW_DOWN_AT_ONCE:
            return Answer(503, {"Retry-After": "0"}, _error("SlowDown"))
        case Fault.INTERNAL_ERROR:
            return Answer(500, {}, _error("InternalError"))
        case Fault.ERROR_INSIDE if not is_head:
            return Answer(200, {}, _error("InternalError"))
        case Fault.CUT:
            return answer._replace(body=answer.body[: len(answer.body) // 2])
        case Fault.CUT_BETWEEN:
            ends = [answer.body.rfind(end) + len(end) for end in (b"</Contents>", b"</Version>")]
            return answer._replace(body=answer.body[: max(*ends, 1)])
    return answer


async def _send(writer: asyncio.StreamWriter, fault: Fault | None, answer: Answer, *, is_head: bool) -> bool:
    """Send an answer, or what the fault lets through; tell whether the connection is to be used again."""
    if fault is Fault.CLOSED_BEFORE:
        return False
    if fault is Fault.RESET_BEFORE:
        return _reset(writer)
    if fault is Fault.LATE:
        await asyncio.sleep(_PAUSE)
    headers = {"Content-Length": str(len(answer.body)), **answer.headers}
    lines = [f"HTTP/1.1 {answer.status} Said", *(f"{name}: {value}" for name, value in headers.items())]
    body = b"" if is_head else answer.body
    whole = "\r\n".join([*lines, "", ""]).encode() + body
    broken = fault in {Fault.RESET_WITHIN, Fault.STALL, Fault.CUT_SHORT}
    writer.write(whole[: len(whole) - 1 - len(body) // 2] if broken else whole)
    await writer.drain()
    if fault is Fault.STALL:
        await asyncio.sleep(_PAUSE)
    if fault in {Fault.RESET_WITHIN, Fault.STALL}:
        return _reset(writer)
    return not broken


def _reset(writer: asyncio.StreamWriter) -> bool:
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
    return False


def _facts(keys: Sequence[str], deleted: Sequence[str], *, versions: bool) -> Iterable[Facts]:
    """Make up what is known of each version, those of a key newest first."""
    gone = {*deleted}
    for number, key in enumerate(sorted({*keys, *gone})):
        if key in gone and not versions:
            continue
        digest = hashlib.md5(key.encode()).hexdigest()
        size = None if key in gone else number % 7 + 1
        yield Facts(key, size, digest, f"v{number}.2", is_latest=True)
        if versions and (number % 3 == 0 or key in gone):
            yield Facts(key, 1, digest[::-1], f"v{number}.1", is_latest=False)


def _entry(facts: Facts, *, versions: bool, key: str) -> str:
    latest = f"<IsLatest>{str(facts.is_latest).lower()}</IsLatest>"
    pin = f"<VersionId>{facts.version_id}</VersionId>{latest}" if versions else ""
    about = f"<Key>{key}</Key>{pin}<LastModified>{_MODIFIED}</LastModified>"
    if facts.size is None:
        return f"<DeleteMarker>{about}</DeleteMarker>"
    content = f"<ETag>&quot;{facts.e_tag}&quot;</ETag><Size>{facts.size}</Size><StorageClass>STANDARD</StorageClass>"
    tag = "Version" if versions else "Contents"
    return f"<{tag}>{about}{content}</{tag}>"


def _error(code: str) -> bytes:
    return f"{_XML}<Error><Code>{code}</Code><Message>as the test wants it</Message></Error>".encode()


def _url(text: str) -> str:
    """Encode a key as S3 does."""
    return quote_plus(text, safe="/*")


def _token(key: str) -> str:
    return urlsafe_b64encode(key.encode()).decode()


def _from_token(token: str) -> str:
    return urlsafe_b64decode(token).decode()
