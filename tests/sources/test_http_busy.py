"""Servers that are busy, cannot be reached, or do not speak; how long it takes, and what is said."""

import socket
import time
from email.utils import formatdate

import aiohttp
import anyio
import pytest
from conformance.suite import read
from servers.scripted import Answer, Raw, ScriptedServer, Stall

from refscan.errors import RefscanError, StoreError
from refscan.sources import retry
from refscan.sources.http import HTTPSource

OPERATIONS = {
    "stat": lambda source: source.stat(["a/"]),
    "open": lambda source: read(source, "a/"),
    "list": lambda source: source.list_page("a/"),
}
HTML = {"Content-Type": "text/html"}
INDEX = b"<title>Index of /a/</title><pre><a href='b'>b</a></pre>"


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(retry, "_FIRST_DELAY", 0.001)


@pytest.fixture
def waits(monkeypatch):
    """Seconds waited between attempts, which are not waited here."""
    seen = []

    async def sleep(seconds: float) -> None:
        seen.append(seconds)

    monkeypatch.setattr(retry.anyio, "sleep", sleep)
    return seen


def one_line(error: RefscanError) -> str:
    text = str(error)
    assert "\n" not in text
    return text


@pytest.mark.parametrize("operation", OPERATIONS)
class TestBusyServers:
    @pytest.mark.usefixtures("quick")
    @pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
    async def test_they_are_asked_again(self, operation, status):
        first = iter([Answer(status=status)] * 2)
        script = lambda _: next(first, Answer(INDEX, headers=HTML))  # noqa: E731
        async with ScriptedServer(script) as server, HTTPSource(server.url + "/") as source:
            await OPERATIONS[operation](source)
            assert source.requests == len(server.requests)
            # Some statuses make it ask for the page instead of its head.
            assert source.retries == 2 - (operation == "stat" and status in (500, 502, 504))

    async def test_they_say_how_long_to_wait(self, operation, waits):
        date = formatdate(time.time() + 30, usegmt=True)
        first = iter([Answer(status=503, headers={"Retry-After": text}) for text in ("7", date)])
        script = lambda _: next(first, Answer(INDEX, headers=HTML))  # noqa: E731
        async with ScriptedServer(script) as server, HTTPSource(server.url + "/") as source:
            await OPERATIONS[operation](source)
        assert waits[0] == 7
        assert 20 < waits[1] <= 30

    async def test_a_wait_too_long_is_told_at_once(self, operation, waits):
        answer = Answer(status=503, headers={"Retry-After": "3600"})
        async with ScriptedServer(lambda _: answer) as server, HTTPSource(server.url + "/") as source:
            with pytest.raises(StoreError, match=r"busy: HTTP 503, and asks to wait 3600 seconds") as caught:
                await OPERATIONS[operation](source)
            assert len(server.requests) == 1
        assert one_line(caught.value).startswith(server.url + "/a/: ")
        assert waits == []

    async def test_they_are_given_up_with_one_line(self, operation, waits):
        async with ScriptedServer(lambda _: Answer(status=429)) as server, HTTPSource(server.url + "/") as source:
            with pytest.raises(StoreError, match=r"busy: HTTP 429; try again later") as caught:
                await OPERATIONS[operation](source)
            assert len(server.requests) == len(waits) + 1 == 6
        assert one_line(caught.value)
        assert caught.value.uri == server.url + "/a/"
        assert waits[-1] > waits[0]

    @pytest.mark.usefixtures("quick")
    async def test_connections_that_break_are_made_again(self, operation):
        first = iter([Raw(b"")] * 2)
        script = lambda _: next(first, Answer(INDEX, headers=HTML))  # noqa: E731
        async with ScriptedServer(script) as server, HTTPSource(server.url + "/") as source:
            await OPERATIONS[operation](source)
            assert len(server.requests) == 3

    @pytest.mark.usefixtures("quick")
    async def test_connections_that_always_break_are_given_up(self, operation):
        async with ScriptedServer(lambda _: Raw(b"")) as server, HTTPSource(server.url + "/") as source:
            with pytest.raises(StoreError, match="closed the connection") as caught:
                await OPERATIONS[operation](source)
        assert one_line(caught.value)


async def test_a_head_that_fails_by_itself_does_not_wait(waits):
    """Applications that know no HEAD answer it with errors of all kinds."""
    script = lambda request: Answer(status=500 if request.method == "HEAD" else 200)  # noqa: E731
    async with ScriptedServer(script) as server, HTTPSource(server.url + "/") as source:
        assert (await source.stat(["a"])).rows.num_rows == 1
    assert waits == []


@pytest.mark.parametrize("status", [405, 501])
async def test_a_server_without_head_is_asked_for_it_once(status):
    script = lambda request: Answer(status=status if request.method == "HEAD" else 200)  # noqa: E731
    async with ScriptedServer(script) as server, HTTPSource(server.url + "/") as source:
        for _ in range(3):
            assert (await source.stat(["a"])).rows.num_rows == 1
        assert [request.method for request in server.requests] == ["HEAD", "GET", "GET", "GET"]


@pytest.fixture
def black_hole():
    """A port that takes no more connections, and does not refuse them either."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        waiting = []
        try:
            for _ in range(3):
                client = socket.socket()
                client.setblocking(False)
                client.connect_ex(server.getsockname())
                waiting.append(client)
            yield "http://{}:{}/".format(*server.getsockname())
        finally:
            for client in waiting:
                client.close()


async def test_a_black_hole_is_told_within_ten_seconds(black_hole):
    async with HTTPSource(black_hole) as source:
        with anyio.fail_after(10), pytest.raises(StoreError, match="no connection in time") as caught:
            await source.stat(["a"])
    assert one_line(caught.value)


@pytest.mark.parametrize("operation", OPERATIONS)
class TestUnreachableServers:
    async def test_a_server_that_is_not_there(self, operation):
        with socket.socket() as reserved:
            reserved.bind(("127.0.0.1", 0))
            async with HTTPSource("http://{}:{}/".format(*reserved.getsockname())) as source:
                with anyio.fail_after(10), pytest.raises(StoreError, match="refused") as caught:
                    await OPERATIONS[operation](source)
        assert one_line(caught.value)

    async def test_a_host_without_address(self, operation):
        async with HTTPSource("http://no-such-host.invalid/") as source:
            with anyio.fail_after(10), pytest.raises(StoreError, match="cannot be reached") as caught:
                await OPERATIONS[operation](source)
        assert one_line(caught.value)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("silences", [1, 2])
async def test_a_connection_that_falls_silent_is_given_up_and_asked_once_more(monkeypatch, silences):
    monkeypatch.setattr("refscan.sources.http.session._TIMEOUT", aiohttp.ClientTimeout(total=None, sock_read=0.2))
    first = iter([Stall(INDEX, headers=HTML)] * silences)
    script = lambda _: next(first, Answer(INDEX, headers=HTML))  # noqa: E731
    async with ScriptedServer(script) as server, HTTPSource(server.url + "/") as source:
        if silences == 1:
            await source.list_page("a/")
        else:
            with pytest.raises(StoreError, match="no answer in time"):
                await source.list_page("a/")
        assert (source.requests, source.retries) == (2, 1)
