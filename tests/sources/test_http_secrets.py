"""Headers, logins and proxies: each goes where it belongs, and is shown nowhere."""

import asyncio
import base64
import re
from contextlib import suppress

import pytest
from conformance.suite import read
from hypothesis import given
from hypothesis import strategies as st
from servers.http import Resource, WebServer
from servers.scripted import Answer, ScriptedServer

from refscan.errors import AccessDeniedError, RefscanError, StoreError
from refscan.sources.http import HTTPSource
from refscan.sources.http.logins import read_netrc
from refscan.sources.options import HTTPOptions

SECRET = "q7SECRETq7"
DATA = b"content"
OPERATIONS = {
    "stat": lambda source, key="a/": source.stat([key]),
    "open": lambda source, key="a/": read(source, key),
    "list": lambda source, key="a/": source.list_page(key),
}
INDEX = Answer(b"<title>Index of /a/</title><pre><a href='b'>b</a></pre>", headers={"Content-Type": "text/html"})


def login(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def headers_of(request) -> dict[str, str]:
    lines = request.head.decode().split("\r\n")[1:]
    return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines) if name}


class TestHeaders:
    @pytest.mark.parametrize("operation", OPERATIONS)
    async def test_they_go_to_the_urls_own_host_only(self, operation):
        options = HTTPOptions(headers={"X-Token": SECRET, "authorization": f"Bearer {SECRET}", "User-Agent": "mine"})
        async with ScriptedServer(lambda _: INDEX) as other:

            def script(request):
                hops = {"/a/": "/again/", "/again/": other.url + "/a/"}
                return Answer(status=302, headers={"Location": hops[request.target]})

            async with ScriptedServer(script) as server, HTTPSource(server.url + "/", options) as source:
                with suppress(StoreError):  # the index lies elsewhere
                    await OPERATIONS[operation](source)
            assert [request.target for request in server.requests] == ["/a/", "/again/"]
            for request in server.requests:
                sent = headers_of(request)
                assert (sent["x-token"], sent["authorization"]) == (SECRET, f"Bearer {SECRET}")
                assert (sent["user-agent"], sent["accept-encoding"]) == ("mine", "identity")
            (request,) = other.requests
            assert SECRET.encode() not in request.head
            assert {"x-token", "authorization"}.isdisjoint(headers_of(request))

    async def test_another_port_is_another_host_and_so_is_the_way_back(self):
        options = HTTPOptions(headers={"X-Token": SECRET})
        async with ScriptedServer(lambda _: Answer(status=302, headers={"Location": server.url + "/back"})) as other:

            def script(request):
                if request.target == "/back":
                    return Answer(DATA)
                return Answer(status=302, headers={"Location": other.url + "/there"})

            async with ScriptedServer(script) as server, HTTPSource(server.url + "/", options) as source:
                assert await read(source, "a") == DATA
            assert ["x-token" in headers_of(request) for request in server.requests] == [True, True]
            assert ["x-token" in headers_of(request) for request in other.requests] == [False]

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 500])
    async def test_errors_do_not_show_them(self, status):
        options = HTTPOptions(headers={"X-Token": SECRET})
        answer = Answer(SECRET.encode(), status, {"Retry-After": "0", "X-Token": SECRET})
        async with ScriptedServer(lambda _: answer) as server, HTTPSource(server.url + "/", options) as source:
            for operation in OPERATIONS.values():
                try:
                    await operation(source, f"a/?sig={SECRET}")
                except RefscanError as error:
                    for shown in (str(error), repr(error), str(error.uri)):
                        assert SECRET not in shown
        assert SECRET not in repr(options)

    @pytest.mark.parametrize(
        "headers",
        [
            {"X-Token": f"{SECRET}\r\nX-Other: 1"},
            {"X-Token": f"{SECRET}\0"},
            {"X Token": SECRET},
            {"": SECRET},
            {"range": SECRET},
            {"If-Match": SECRET},
            {"Accept-Encoding": SECRET},
            {"host": SECRET},
        ],
    )
    def test_those_that_cannot_be_are_refused(self, headers):
        with pytest.raises(ValueError, match=r"HTTPOptions\(headers=\)") as caught:
            HTTPSource("http://example.com/", HTTPOptions(headers=headers))
        assert SECRET not in str(caught.value)


class TestNetrc:
    @pytest.fixture
    def netrc(self, tmp_path, monkeypatch):
        path = tmp_path / "netrc"
        monkeypatch.setenv("NETRC", str(path))
        return path

    async def test_each_host_gets_its_own(self, web_server, netrc):
        with WebServer() as other:
            place = other.base.replace("127.0.0.1", "localhost")
            web_server.resources["/a"] = Resource(status=302, location=place + "b", login=("me", "päss"))
            other.resources["/b"] = Resource(DATA, login=("you", SECRET))
            netrc.write_text(
                f"machine 127.0.0.1 login me password päss\nmachine localhost login you password {SECRET}\n"
            )
            async with HTTPSource(web_server.base) as source:
                assert await read(source, "a") == DATA

    async def test_the_default_is_not_for_where_a_redirect_leads(self, web_server, netrc):
        with WebServer() as other:
            place = other.base.replace("127.0.0.1", "localhost")
            web_server.resources["/a"] = Resource(status=302, location=place + "b", login=("me", SECRET))
            other.resources["/b"] = Resource(DATA)
            netrc.write_text(f"default login me password {SECRET}\n")
            async with HTTPSource(web_server.base) as source:
                assert await read(source, "a") == DATA
            assert "Authorization" not in other.seen[0].headers

    async def test_the_urls_own_login_wins(self, web_server, netrc):
        web_server.resources["/a"] = Resource(DATA, login=("me", "pass"))
        netrc.write_text("machine 127.0.0.1 login you password other\n")
        async with HTTPSource(web_server.base, userinfo="me:pass") as source:
            assert await read(source, "a") == DATA

    async def test_a_header_wins(self, web_server, netrc):
        web_server.resources["/a"] = Resource(DATA, login=("me", "pass"))
        netrc.write_text("machine 127.0.0.1 login you password other\n")
        async with HTTPSource(web_server.base, HTTPOptions(headers={"authorization": login("me", "pass")})) as source:
            assert await read(source, "a") == DATA

    @pytest.mark.parametrize("text", [None, "", f"machine\n{SECRET} nonsense", "\xff"])
    async def test_a_file_of_no_use_holds_no_logins(self, web_server, netrc, text):
        if text is not None:
            netrc.write_bytes(text.encode("latin-1"))
        web_server.resources["/a"] = Resource(DATA, login=("me", "pass"))
        async with HTTPSource(web_server.base) as source:
            with pytest.raises(AccessDeniedError, match="netrc") as caught:
                await source.stat(["a"])
        assert SECRET not in str(caught.value)

    def test_without_the_variable_it_is_the_homes(self, tmp_path, monkeypatch):
        monkeypatch.delenv("NETRC")
        monkeypatch.setenv("HOME", str(tmp_path))
        assert read_netrc() == {}
        (tmp_path / ".netrc").write_text("machine example.com login me password pass\n")
        (tmp_path / ".netrc").chmod(0o600)
        assert read_netrc() == {"example.com": login("me", "pass")}


class Proxy:
    """A small real proxy: tunnels for TLS, and plain requests handed on.

    Attributes:
        heads: What clients sent first.
        login: Asks for it, as ``user:password``.
    """

    def __init__(self, *, login: str | None = None) -> None:
        self.heads: list[str] = []
        self.login = login
        self._connections: set[asyncio.Task] = set()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.place = "{}:{}".format(*self._server.sockets[0].getsockname())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await asyncio.gather(*self._connections)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(asyncio.current_task())
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.heads.append(head)
            asked = f"Proxy-Authorization: Basic {base64.b64encode((self.login or '').encode()).decode()}\r\n"
            if self.login and asked not in head:
                writer.write(b"HTTP/1.1 407 Login\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            else:
                await self._hand_on(head, reader, writer)
        await _close(writer)

    async def _hand_on(self, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        method, target = head.split(" ")[:2]
        host, _, path = target.removeprefix("http://").partition("/")
        upstream_reader, upstream = await asyncio.open_connection(*host.split(":"))
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        else:
            head = re.sub(r"\r\nProxy-[^\r]*", "", head.replace(target, "/" + path, 1))
            upstream.write(head.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n").encode())
        # Either side may end it: what is read from one that is closed is nothing.
        await asyncio.gather(_pump(upstream_reader, writer), _pump(reader, upstream))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    await _close(writer)


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


class TestProxies:
    @pytest.mark.parametrize("word", ["http://{}", "{}", "http://{}/"])
    async def test_plain_requests_go_through_it(self, web_server, monkeypatch, word):
        web_server.resources["/a"] = Resource(DATA, login=("me", "pass"))
        async with Proxy() as proxy:
            monkeypatch.setenv("http_proxy", word.format(proxy.place))
            async with HTTPSource(web_server.base, userinfo="me:pass") as source:
                assert await read(source, "a") == DATA
            assert proxy.heads[0].startswith(f"GET {web_server.base}a HTTP/1.1\r\n")
            assert "me:pass" not in proxy.heads[0]

    @pytest.mark.parametrize("password", [SECRET, "p@ss:w/rd", "päss"])
    async def test_it_gets_its_login_and_nobody_else_does(self, web_server, monkeypatch, password):
        web_server.resources["/a"] = Resource(DATA)
        async with Proxy(login=f"you:{password}") as proxy:
            escaped = "".join(f"%{byte:02X}" for byte in password.encode())
            monkeypatch.setenv("HTTP_PROXY", f"http://you:{escaped}@{proxy.place}")
            async with HTTPSource(web_server.base) as source:
                assert await read(source, "a") == DATA
        assert not any("proxy-authorization" in map(str.lower, seen.headers) for seen in web_server.seen)

    async def test_tls_goes_through_a_tunnel(self, web_server, monkeypatch):
        """The server behind it speaks no TLS, which only a tunnel that reached it can tell."""
        async with Proxy(login=f"you:{SECRET}") as proxy:
            monkeypatch.setenv("https_proxy", f"http://you:{SECRET}@{proxy.place}")
            async with HTTPSource(web_server.base.replace("http:", "https:"), userinfo=f"me:{SECRET}") as source:
                with pytest.raises(StoreError, match="TLS failed") as caught:
                    await source.stat(["a"])
            (head,) = proxy.heads
            assert head.startswith(f"CONNECT {web_server.host} HTTP/1.1\r\n")
            assert login("me", SECRET) not in head
        assert SECRET not in str(caught.value)

    async def test_no_proxy_for_excepted_hosts(self, web_server, monkeypatch):
        web_server.resources["/a"] = Resource(DATA)
        async with Proxy() as proxy:
            monkeypatch.setenv("http_proxy", f"http://{proxy.place}")
            monkeypatch.setenv("no_proxy", "127.0.0.1")
            async with HTTPSource(web_server.base) as source:
                assert await read(source, "a") == DATA
            assert proxy.heads == []

    @pytest.mark.parametrize("scheme", ["http", "https"])
    async def test_one_that_wants_another_login_says_so(self, web_server, monkeypatch, scheme):
        async with Proxy(login="you:other") as proxy:
            monkeypatch.setenv(f"{scheme}_proxy", f"http://you:{SECRET}@{proxy.place}")
            async with HTTPSource(web_server.base.replace("http", scheme)) as source:
                for operation in OPERATIONS.values():
                    with pytest.raises(AccessDeniedError, match=r"the proxy asks for a login \(HTTP 407\)") as caught:
                        await operation(source)
                    assert SECRET not in repr(caught.value)

    @pytest.mark.parametrize("scheme", ["http", "https"])
    async def test_one_that_is_not_there_says_so(self, web_server, monkeypatch, scheme):
        async with Proxy() as proxy:
            place = proxy.place
        monkeypatch.setenv(f"{scheme}_proxy", f"http://you:{SECRET}@{place}")
        async with HTTPSource(web_server.base.replace("http", scheme)) as source:
            with pytest.raises(StoreError, match=r"its proxy cannot be reached: .*refused") as caught:
                await source.stat(["a"])
        assert SECRET not in repr(caught.value)
        assert caught.value.__suppress_context__

    async def test_those_of_other_kinds_are_refused(self, web_server, monkeypatch):
        monkeypatch.setenv("http_proxy", f"socks5://you:{SECRET}@127.0.0.1:1080")
        async with HTTPSource(web_server.base) as source:
            with pytest.raises(StoreError, match="socks5") as caught:
                await source.stat(["a"])
        assert SECRET not in str(caught.value)


@given(e_tag=st.text(st.sampled_from('"W/ab-\xe9'), max_size=6))
async def test_digests_are_those_of_the_wandb_sdk(e_tag):
    """Its handler strips the quotes on both sides, and takes the URL where there is no ETag."""
    import pyarrow as pa

    from refscan.sources.source import page_rows

    source = HTTPSource("http://example.com/")
    rows = page_rows(key=["a"], e_tag=[e_tag or None])
    refs = source.refs(pa.array(["a"]))
    assert (await source.digests(rows, refs)).to_pylist() == [e_tag.strip('"') if e_tag else "http://example.com/a"]


async def test_e_tags_of_any_bytes_are_read_and_compared():
    answer = Answer(DATA, headers={"ETag": '"\xe9\xff"'})
    async with ScriptedServer(lambda _: answer) as server, HTTPSource(server.url + "/") as source:
        (row,) = (await source.stat(["a"])).rows.to_pylist()
        assert await read(source, "a", e_tag=row["e_tag"]) == DATA
