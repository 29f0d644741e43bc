"""Connections that are kept: used again, replaced when they break, given up when they are silent, never left open."""

import asyncio
import ssl
from collections.abc import Callable
from contextlib import asynccontextmanager, suppress
from typing import Self

import anyio
import pytest
from servers.scripted import Answer, Raw, listing, s3_error, versioning
from servers.tls import write_certificate

from refscan.sources.s3 import S3Source, attempts, pool
from refscan.sources.s3.pool import Pool

HEADERS = {"User-Agent": "refscan"}
KEYS = [f"key {number}" for number in range(50)]


def said(body: bytes = b"body", more: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n%b" % (more, len(body), body)


class Server:
    """Answers what ``script`` says to a connection's number and a request's number on it; ``None``: it ends instead."""

    def __init__(self, script: Callable[[int, int, bytes], bytes | None], tls: ssl.SSLContext | None = None) -> None:
        self._script = script
        self._tls = tls
        self.heads: list[bytes] = []
        self.connections = self.open = self.most = 0
        self.held = asyncio.Event()
        self.released = asyncio.Event()
        self.released.set()
        self.all_closed = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        with anyio.fail_after(5):
            while self.open:
                self.all_closed.clear()
                await self.all_closed.wait()

    def close_all(self) -> None:
        for writer in self._writers:
            writer.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = self.connections
        self.connections += 1
        self.open += 1
        self.most = max(self.most, self.open)
        self._writers.add(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            request = 0
            while True:
                self.heads.append(await reader.readuntil(b"\r\n\r\n"))
                self.held.set()
                await self.released.wait()
                answer = self._script(number, request, self.heads[-1])
                request += 1
                if answer is None:
                    break
                writer.write(answer)
                await writer.drain()
        self._writers.discard(writer)
        writer.close()
        with suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()
        self.open -= 1
        self.all_closed.set()


@asynccontextmanager
async def pooled(server: Server, **settings):
    sent: list[None] = []
    settings = {"tls": None, "limit": 4, "connect_timeout": 4.0, "silence": 20.0} | settings
    made = Pool(settings.pop("host", "127.0.0.1"), server.port, **settings)

    async def ask(method: str = "GET", target: str = "/") -> bytes:
        return (await made.ask(method, "host:1", target, HEADERS, lambda: sent.append(None))).body

    ask.sent = sent
    ask.pool = made
    try:
        yield ask
    finally:
        await made.close()
    assert not made._alive
    assert not made._busy


class TestKeeping:
    async def test_one_connection_serves_one_request_after_the_other(self):
        async with Server(lambda *_: said()) as server, pooled(server) as ask:
            for number in range(5):
                assert await ask(target=f"/a%20b?{number}") == b"body"
        assert server.connections == 1
        assert server.heads[4] == b"GET /a%20b?4 HTTP/1.1\r\nHost: host:1\r\nUser-Agent: refscan\r\n\r\n"
        assert len(ask.sent) == 5

    async def test_there_are_never_more_than_the_limit(self):
        async with Server(lambda *_: said()) as server, pooled(server, limit=3) as ask:
            server.released.clear()
            async with asyncio.TaskGroup() as group:
                for _ in range(30):
                    group.create_task(ask())
                await server.held.wait()
                server.released.set()
            assert len(server.heads) == 30
            assert server.connections == server.most == 3

    @pytest.mark.parametrize(
        "last",
        [said(more=b"Connection: close\r\n"), said() + said(b"more")],
        ids=["it says so", "garbage follows"],
    )
    async def test_a_connection_that_ends_is_replaced(self, last):
        async with Server(lambda *_: last) as server, pooled(server) as ask:
            assert [await ask() for _ in range(3)] == [b"body"] * 3
        assert server.connections == len(ask.sent) == 3

    async def test_one_that_the_store_closed_meanwhile_is_not_used(self):
        async with Server(lambda *_: said()) as server, pooled(server) as ask:
            await ask()
            (connection,) = ask.pool._alive
            server.close_all()
            await connection.ended
            await ask()
        assert server.connections == len(ask.sent) == len(server.heads) == 2

    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    async def test_one_that_the_store_closes_as_it_is_asked_is_replaced_at_once(self, method):
        def script(connection: int, request: int, _: bytes) -> bytes | None:
            return None if (connection, request) == (0, 1) else said(b"" if method == "HEAD" else b"body")

        async with Server(script) as server, pooled(server) as ask:
            assert await ask(method) == await ask(method)
        assert server.connections == 2
        assert len(ask.sent) == len(server.heads) == 3

    async def test_a_new_one_that_does_not_answer_is_an_error(self):
        async with Server(lambda *_: None) as server, pooled(server) as ask:
            with pytest.raises(ConnectionError):
                await ask()
            with pytest.raises(ConnectionError):
                await ask()
        assert len(ask.sent) == 2

    async def test_half_an_answer_is_not_asked_for_again(self):
        def script(_: int, request: int, __: bytes) -> bytes | None:
            return [said(), said()[:-1], None][request]

        async with Server(script) as server, pooled(server) as ask:
            await ask()
            asking = asyncio.create_task(ask())
            while len(server.heads) < 2:
                server.held.clear()
                await server.held.wait()
            server.close_all()
            with pytest.raises(ConnectionError, match="cut off"):
                await asking
        assert server.connections == 1

    async def test_one_that_rested_for_long_is_not_trusted(self, monkeypatch):
        async with Server(lambda *_: said()) as server, pooled(server) as ask:
            await ask()
            monkeypatch.setattr(pool, "_LONGEST_REST", 0.0)
            await ask()
        assert server.connections == 2


class TestEnding:
    async def test_a_silent_connection_is_given_up(self):
        async with Server(lambda *_: said(b"x" * 100)[:-1]) as server, pooled(server, silence=0.1) as ask:
            with pytest.raises(TimeoutError, match="nothing came"):
                await ask()
            await server.all_closed.wait()

    async def test_a_cancelled_request_ends_its_connection_and_frees_its_place(self):
        async with Server(lambda *_: said()) as server, pooled(server, limit=1) as ask:
            server.released.clear()
            first = asyncio.create_task(ask())
            await server.held.wait()
            (connection,) = ask.pool._alive
            waiting = asyncio.create_task(ask())
            await asyncio.sleep(0)
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            server.released.set()
            assert await waiting == b"body"
            assert connection.ended.done()
            assert await ask() == b"body"
        assert server.connections == 2

    async def test_closing_ends_what_is_under_way(self):
        async with Server(lambda *_: said()) as server:
            server.released.clear()
            async with pooled(server) as ask:
                asking = asyncio.create_task(ask())
                await server.held.wait()
            with pytest.raises(ConnectionError):
                await asking
            server.released.set()

    async def test_nothing_to_connect_to(self):
        async with Server(lambda *_: said()) as server:
            pass
        async with pooled(server) as ask:
            with pytest.raises(OSError, match="onnect"):
                await ask()
        assert not ask.sent

    async def test_a_host_that_does_not_exist(self):
        async with Server(lambda *_: said()) as server, pooled(server, host="nowhere.invalid") as ask:
            with pytest.raises(OSError, match=r"."):
                await ask()
        assert not ask.sent

    async def test_a_connection_that_takes_too_long(self):
        """A server that says nothing to a client that waits for TLS to begin."""
        async with Server(lambda *_: said()) as server:
            async with pooled(server, tls=ssl.create_default_context(), connect_timeout=0.1) as ask:
                with pytest.raises(TimeoutError):
                    await ask()
            assert not ask.sent
        assert server.connections == 1

    @pytest.mark.parametrize("target", ["/a\r\nX-Injected: 1", "/a\nb", "/é"])
    async def test_a_request_that_is_none_is_not_sent(self, target):
        async with Server(lambda *_: said()) as server, pooled(server) as ask:
            with pytest.raises(ValueError, match=r"."):
                await ask(target=target)
        assert not server.connections


class TestTLS:
    @pytest.fixture
    def certificate(self, tmp_path):
        return write_certificate(tmp_path / "server.pem")

    @pytest.fixture
    def serving(self, certificate):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
        return context

    async def test_large_answers_and_connections_used_again(self, certificate, serving):
        trusting = ssl.create_default_context(cafile=certificate)
        body = bytes(range(256)) * 8_000
        async with Server(lambda *_: said(body), serving) as server:
            async with pooled(server, host="localhost", tls=trusting) as ask:
                for _ in range(3):
                    assert await ask() == body
                async with asyncio.TaskGroup() as group:
                    asked = [group.create_task(ask()) for _ in range(8)]
                assert all(task.result() == body for task in asked)
            assert server.most <= 4

    @pytest.mark.parametrize("host", ["localhost", "127.0.0.1"], ids=["nobody vouches", "another name"])
    async def test_a_certificate_that_does_not_fit_is_refused(self, certificate, serving, host):
        trusting = ssl.create_default_context(cafile=certificate if host != "localhost" else None)
        async with Server(lambda *_: said(), serving) as server:
            async with pooled(server, host=host, tls=trusting) as ask:
                with pytest.raises(ssl.SSLCertVerificationError):
                    await ask()
            assert not ask.sent
            assert not server.heads


def play(request):
    if request.asks_for_versioning:
        return versioning("Enabled")
    return listing(KEYS, versions=True)


def is_direct(request) -> bool:
    return b"user-agent: refscan\r\n" in request.head.lower()


class TestThroughTheSource:
    PAGE = listing(KEYS, versions=True).body

    @pytest.mark.parametrize("form", ["length", "chunks"])
    async def test_cut_off_anywhere_the_page_is_whole(self, scripted_s3, form):
        head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
        if form == "length":
            whole = head + b"content-length: %d\r\n\r\n%b" % (len(self.PAGE), self.PAGE)
        else:
            whole = head + b"TRANSFER-ENCODING: chunked\r\n\r\n%X\r\n%b\r\n0\r\n\r\n" % (len(self.PAGE), self.PAGE)
        beginning = len(whole) - len(self.PAGE) - 4
        ends = [*range(beginning), *range(beginning, len(whole) - 12, 997), *range(len(whole) - 12, len(whole) + 1)]
        end = [0]

        def script(request):
            return Raw(whole[: end[0]]) if is_direct(request) else play(request)

        async with scripted_s3(script) as server, S3Source("bucket") as source:
            for end[0] in ends:
                retries = source.retries
                # One success makes up for failures, of which five in a row leave everything to the SDK.
                source._direct._misses = 0
                page = await source.list_page("")
                assert page.rows.column("key").to_pylist() == KEYS
                assert source.retries == retries + (end[0] < len(whole))
            assert is_direct(server.requests[-1])
            assert source.requests == len(server.requests)

    @pytest.mark.parametrize("length", [0, 1, 100, len(PAGE) - 1])
    async def test_a_length_too_short_is_no_page(self, scripted_s3, length):
        short = Raw(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (length, self.PAGE))
        async with scripted_s3(lambda request: short if is_direct(request) else play(request)), S3Source("b") as source:
            assert (await source.list_page("")).rows.column("key").to_pylist() == KEYS
            assert source.retries == 1

    async def test_keep_alive_that_the_store_ends_is_not_seen(self, aws):
        """A connection ends after each other request, as it is asked for another one."""

        def script(_: int, request: int, head: bytes) -> bytes | None:
            if request == 2:
                return None
            return said(versioning("Enabled").body if b"versioning" in head.split(b"\r\n")[0] else self.PAGE)

        async with Server(script) as server:
            aws.setenv("AWS_S3_ENDPOINT_URL", f"http://127.0.0.1:{server.port}")
            async with S3Source("bucket") as source:
                for _ in range(20):
                    assert (await source.list_page("")).rows.column("key").to_pylist() == KEYS
                assert source.retries == 0
                assert source._direct._misses == 0


class TestRetries:
    async def test_they_are_none_at_first(self, scripted_s3):
        async with scripted_s3(play), S3Source("bucket") as source:
            for _ in range(3):
                await source.list_page("")
            assert source.retries == 0

    @pytest.mark.parametrize(
        ("wrong", "throttled"),
        [
            (Answer(b"", 500), 0),
            (s3_error("SlowDown", status=503), 1),
            (Raw(b""), 0),
            (Answer(b"<html></html>"), 0),
        ],
        ids=["broken", "busy", "closed", "no listing"],
    )
    async def test_what_the_sdk_must_repeat_counts_once(self, scripted_s3, wrong, throttled):
        def script(request):
            return wrong if is_direct(request) else play(request)

        async with scripted_s3(script) as server, S3Source("bucket") as source:
            for _ in range(3):
                await source.list_page("")
            assert (source.retries, source.throttled) == (3, 3 * throttled)
            assert source.requests == len(server.requests) == 7

    async def test_so_does_each_attempt_of_the_sdks_beyond_its_first(self, scripted_s3):
        answers = iter([s3_error("InternalError", status=500)] * 2)
        async with scripted_s3(lambda request: next(answers, None) or play(request)), S3Source("bucket") as source:
            await source.list_page("")
            assert source.retries == 2

    async def test_a_store_that_says_when_to_come_again_is_obeyed(self, monkeypatch, scripted_s3):
        asked = []
        monkeypatch.setattr(attempts, "_delay", lambda _, after=None: asked.append(after) or 0)
        busy = Answer(b"", 503, {"RETRY-after": "7"})
        async with scripted_s3(lambda request: busy if is_direct(request) else play(request)), S3Source("b") as source:
            await source.list_page("")
        assert asked == [7.0]

    async def test_it_cannot_be_set(self):
        with pytest.raises(AttributeError):
            S3Source("bucket").retries = 1
