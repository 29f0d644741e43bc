"""What web servers can be like: sparing with facts, refusing HEAD, leading elsewhere, breaking off."""

import gzip
import socket
from datetime import UTC, datetime

import anyio
import pyarrow as pa
import pytest
from conformance.suite import read
from servers.http import Resource, WebServer
from servers.scripted import Answer, Raw, ScriptedServer

from refscan.errors import AccessDeniedError, DigestMismatchError, ObjectNotFoundError, StoreError
from refscan.sources.http import HTTPSource
from refscan.sources.options import HTTPOptions

SECRET = "q7SECRETq7"
DATA = b"content " * 1_000


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch):
    monkeypatch.setattr("refscan.sources.retry._FIRST_DELAY", 0.001)


@pytest.fixture
async def source(web_server):
    async with HTTPSource(web_server.base) as source:
        yield source


async def facts(source: HTTPSource, key: str) -> dict:
    (row,) = (await source.stat([key])).rows.to_pylist()
    return row


async def digest(source: HTTPSource, key: str) -> str:
    rows = (await source.stat([key])).rows
    (found,) = (await source.digests(rows, source.refs(rows.column("key")))).to_pylist()
    return found


class TestFacts:
    async def test_all_of_them_in_one_request_without_the_content(self, web_server, source):
        web_server.resources["/a"] = Resource(DATA, e_tag='"abc"')
        assert await facts(source, "a") == {
            "key": "a",
            "size": len(DATA),
            "e_tag": '"abc"',
            "version_id": None,
            "checksum": None,
            "last_modified": datetime(2015, 10, 21, 7, 28, tzinfo=UTC),
            "storage_class": None,
        }
        assert [(seen.method, seen.target) for seen in web_server.seen] == [("HEAD", "/a")]
        assert source.requests == 1

    @pytest.mark.parametrize(
        ("e_tag", "expected"),
        [('"abc"', "abc"), ('W/"abc"', 'W/"abc'), ("bare", "bare"), ('"a"b"', 'a"b'), (None, None), ("", None)],
    )
    async def test_the_digest_is_the_e_tag_else_the_url(self, web_server, source, e_tag, expected):
        web_server.resources["/a"] = Resource(DATA, e_tag=e_tag)
        assert await digest(source, "a") == (expected or web_server.base + "a")

    async def test_without_content_length_the_size_is_unknown(self, web_server, source):
        web_server.resources["/a"] = Resource(DATA, chunked=True)
        assert (await facts(source, "a"))["size"] is None
        async with source.open("a") as body:
            assert body.size is None
            assert b"".join([chunk async for chunk in body.chunks]) == DATA

    @pytest.mark.parametrize("modified", [None, "", "yesterday", "99 Foo 2020"])
    async def test_a_time_that_nobody_can_read_is_none(self, web_server, source, modified):
        web_server.resources["/a"] = Resource(DATA, modified=modified)
        assert (await facts(source, "a"))["last_modified"] is None

    @pytest.mark.parametrize("status", [400, 403, 405, 500, 501])
    async def test_where_head_is_refused_get_answers_unread(self, web_server, source, status):
        web_server.resources["/a"] = Resource(DATA, e_tag='"abc"', head_status=status)
        row = await facts(source, "a")
        assert (row["size"], row["e_tag"]) == (len(DATA), '"abc"')
        assert [seen.method for seen in web_server.seen] == ["HEAD", "GET"]
        assert source.requests == 2

    @pytest.mark.parametrize("status", [404, 410])
    @pytest.mark.parametrize("head_status", [None, 405])
    async def test_what_is_not_there_has_no_facts(self, web_server, source, status, head_status):
        web_server.resources["/a"] = Resource(status=status, head_status=head_status)
        assert (await source.stat(["a"])).rows.num_rows == 0

    async def test_the_query_is_part_of_the_key(self, web_server, source):
        web_server.resources["/a?x=1&y=%20z"] = Resource(b"1")
        web_server.resources["/a"] = Resource(b"22")
        assert (await facts(source, "a?x=1&y=%20z"))["size"] == 1
        assert (await facts(source, "a"))["size"] == 2

    async def test_content_is_asked_for_as_it_is_stored(self, web_server, source):
        packed = gzip.compress(DATA)
        web_server.resources["/a"] = Resource(packed, encoding="gzip")
        # A server that packs it all the same sends a length of something else.
        assert (await facts(source, "a"))["size"] is None
        assert await read(source, "a") == packed
        assert {seen.headers["Accept-Encoding"] for seen in web_server.seen} == {"identity"}

    async def test_secrets_stay_out_of_references(self, source):
        refs = source.refs(pa.array(["a?x=1&sig=1&sv=2", "a?token=t", "plain"]))
        assert refs.to_pylist() == [source.base + "a?x=1", source.base + "a", source.base + "plain"]


class TestRedirects:
    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    @pytest.mark.parametrize("location", ["/new%20place/%C3%A9%2F?x=1", "/new place/é%2F?x=1"])
    async def test_they_are_followed(self, web_server, source, status, location):
        web_server.resources["/old"] = Resource(status=status, location=location)
        web_server.resources["/new%20place/%C3%A9%2F?x=1"] = Resource(DATA, e_tag='"abc"')
        row = await facts(source, "old")
        assert (row["key"], row["size"], row["e_tag"]) == ("old", len(DATA), '"abc"')
        assert await read(source, "old", e_tag='"abc"', start=8, length=8) == DATA[8:16]

    async def test_the_login_stays_with_its_host(self, web_server):
        with WebServer() as other:
            other.resources["/there"] = Resource(DATA)
            web_server.resources["/here"] = Resource(status=302, location=other.base + "there", login=("me", "pass"))
            async with HTTPSource(web_server.base, userinfo="me:pass") as source:
                assert (await facts(source, "here"))["size"] == len(DATA)
                assert await read(source, "here") == DATA
            assert len(other.seen) == 2
            assert all("Authorization" not in seen.headers for seen in other.seen)
            assert all("Authorization" in seen.headers for seen in web_server.seen)

    async def test_the_login_goes_along_on_its_host(self, web_server):
        web_server.resources["/here"] = Resource(status=302, location="/there")
        web_server.resources["/there"] = Resource(DATA, login=("me", "pass"))
        async with HTTPSource(web_server.base, userinfo="me:pass") as source:
            assert await read(source, "here") == DATA

    @pytest.mark.parametrize("location", ["/loop", "http://[bad", "mailto:me@example.com"])
    async def test_those_that_lead_nowhere(self, web_server, source, location):
        web_server.resources["/loop"] = Resource(status=302, location=location)
        with pytest.raises(StoreError, match="loop") as caught:
            await source.stat(["loop"])
        assert caught.value.uri == source.base + "loop"


class TestLogin:
    @pytest.mark.parametrize(
        ("userinfo", "login"),
        [
            ("me:pass", ("me", "pass")),
            ("me:p%40ss%3A%2F", ("me", "p@ss:/")),
            ("me", ("me", "")),
            ("me:pa:ss", ("me", "pa:ss")),
            ("m%C3%A9:p%C3%A4ss", ("mé", "päss")),
        ],
    )
    async def test_it_is_sent_as_it_is_meant(self, web_server, userinfo, login):
        web_server.resources["/a"] = Resource(DATA, login=login)
        async with HTTPSource(web_server.base, userinfo=userinfo) as source:
            assert (await facts(source, "a"))["size"] == len(DATA)
            assert await read(source, "a") == DATA

    async def test_netrc_has_it(self, web_server, tmp_path, monkeypatch):
        web_server.resources["/a"] = Resource(DATA, login=("me", "pass"))
        netrc = tmp_path / "netrc"
        netrc.write_text("machine 127.0.0.1 login me password pass\n")
        monkeypatch.setenv("NETRC", str(netrc))
        async with HTTPSource(web_server.base) as source:
            assert await read(source, "a") == DATA

    @pytest.mark.parametrize("userinfo", [None, f"me:{SECRET}"])
    async def test_without_it_access_is_denied(self, web_server, userinfo):
        web_server.resources["/a"] = Resource(DATA, login=("me", "pass"))
        async with HTTPSource(web_server.base, userinfo=userinfo) as source:
            for attempt in (lambda: source.stat(["a"]), lambda: read(source, "a")):
                with pytest.raises(AccessDeniedError, match="HTTP 401") as caught:
                    await attempt()
                assert SECRET not in str(caught.value)


class TestReading:
    async def test_ranges(self, web_server, source):
        web_server.resources["/a"] = Resource(DATA)
        async with source.open("a", start=10, length=5) as body:
            assert (body.partial, body.size) == (True, len(DATA))
            assert b"".join([chunk async for chunk in body.chunks]) == DATA[10:15]
        assert web_server.seen[-1].headers["Range"] == "bytes=10-14"

    async def test_a_server_without_ranges_says_so_by_sending_all(self, web_server, source):
        web_server.resources["/a"] = Resource(DATA, ranges=False)
        async with source.open("a", start=10, length=5) as body:
            assert (body.partial, body.size) == (False, len(DATA))
            assert b"".join([chunk async for chunk in body.chunks]) == DATA

    @pytest.mark.parametrize("conditions", [True, False])
    async def test_overwritten_bytes_are_refused(self, web_server, source, conditions):
        web_server.resources["/a"] = Resource(DATA, e_tag='"new"', conditions=conditions)
        with pytest.raises(DigestMismatchError, match="overwritten"):
            await read(source, "a", e_tag='"old"')
        assert web_server.seen[-1].headers["If-Match"] == '"old"'
        assert len(web_server.seen) == 1

    async def test_a_weak_e_tag_is_compared_here(self, web_server, source):
        """If-Match compares strongly (RFC 9110, 13.1.1), so that it would never hold."""
        web_server.resources["/a"] = Resource(DATA, e_tag='W/"abc"')
        assert await read(source, "a", e_tag='W/"abc"') == DATA
        with pytest.raises(DigestMismatchError, match="overwritten"):
            await read(source, "a", e_tag='W/"old"')
        assert all("If-Match" not in seen.headers for seen in web_server.seen)

    async def test_a_lost_e_tag_is_another_one(self, web_server, source):
        web_server.resources["/a"] = Resource(DATA, e_tag=None, conditions=False)
        with pytest.raises(DigestMismatchError, match="overwritten"):
            await read(source, "a", e_tag='"old"')

    @pytest.mark.parametrize("chunked", [True, False])
    async def test_a_body_that_breaks_off_is_an_error(self, web_server, source, chunked):
        web_server.resources["/a"] = Resource(DATA, breaks_at=100, chunked=chunked)
        with pytest.raises(StoreError, match="the answer broke off"):
            await read(source, "a")

    async def test_there_are_no_versions(self, web_server, source):
        web_server.resources["/a"] = Resource(DATA)
        with pytest.raises(ObjectNotFoundError, match="no versions"):
            await source.stat(["a"], version_id="1")
        with pytest.raises(DigestMismatchError, match="no versions"):
            await read(source, "a", version_id="1")

    async def test_small_bodies_that_break_off_are_asked_for_again(self):
        whole = b"content"
        ways = iter([whole[:3], whole[:5], whole])
        answers = lambda _: Answer(next(ways), headers={"Content-Length": str(len(whole)), "ETag": '"abc"'})  # noqa: E731
        async with ScriptedServer(answers) as server, HTTPSource(server.url + "/") as source:
            assert await read(source, "a", e_tag='"abc"') == whole
            assert source.requests == len(server.requests) == 3

    async def test_large_bodies_come_as_they_arrive(self, web_server, source):
        data = bytes(range(256)) * 20_000
        web_server.resources["/a"] = Resource(data)
        async with source.open("a") as body:
            chunks = [chunk async for chunk in body.chunks]
        assert b"".join(chunks) == data
        assert len(chunks) > 2

    async def test_the_readers_own_errors_stay_its_own(self, web_server, source):
        web_server.resources["/a"] = Resource(DATA)
        for error in (TimeoutError("mine"), ValueError("mine"), OSError("mine")):
            with pytest.raises(type(error), match=r"^mine$"):
                async with source.open("a"):
                    raise error

    async def test_many_at_once(self, web_server):
        for number in range(50):
            web_server.resources[f"/{number}"] = Resource(str(number).encode() * 1_000)
        found = {}
        async with (
            HTTPSource(web_server.base, HTTPOptions(connections=4)) as source,
            anyio.create_task_group() as group,
        ):

            async def fetch(number: int) -> None:
                found[number] = await read(source, str(number))

            for number in range(50):
                group.start_soon(fetch, number)
        assert found == {number: str(number).encode() * 1_000 for number in range(50)}


class TestErrors:
    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (400, StoreError),
            (401, AccessDeniedError),
            (403, AccessDeniedError),
            (407, AccessDeniedError),
            (404, ObjectNotFoundError),
            (410, ObjectNotFoundError),
            (429, StoreError),
            (500, StoreError),
            (503, StoreError),
        ],
    )
    async def test_each_status_has_its_class(self, web_server, source, status, kind):
        web_server.resources[f"/a?x=1&token={SECRET}"] = Resource(status=status)
        attempts = [lambda: read(source, f"a?x=1&token={SECRET}")]
        if kind is not ObjectNotFoundError:
            attempts.append(lambda: source.stat([f"a?x=1&token={SECRET}"]))
        for attempt in attempts:
            with pytest.raises(kind) as caught:
                await attempt()
            assert type(caught.value) is kind
            assert str(caught.value).startswith(f"{source.base}a?x=1: ")
            assert str(status) in str(caught.value)
            assert caught.value.uri == f"{source.base}a?x=1"

    async def test_a_server_that_is_not_there(self):
        with socket.socket() as reserved:
            reserved.bind(("127.0.0.1", 0))
            base = f"http://127.0.0.1:{reserved.getsockname()[1]}/"
            async with HTTPSource(base, userinfo=f"me:{SECRET}") as source:
                for attempt in (lambda: source.stat(["a?sig=1"]), lambda: read(source, "a?sig=1")):
                    with pytest.raises(StoreError, match="cannot be reached") as caught:
                        await attempt()
                    assert str(caught.value).startswith(base + "a: ")
                    assert SECRET not in str(caught.value)

    async def test_a_server_that_speaks_no_tls(self, web_server):
        async with HTTPSource(web_server.base.replace("http:", "https:")) as source:
            with pytest.raises(StoreError, match=r"TLS failed|cannot be reached"):
                await source.stat(["a"])

    async def test_a_server_that_speaks_no_http(self):
        greeting = Raw(b"220 mail.example.com ESMTP\r\n")
        async with ScriptedServer(lambda _: greeting) as server, HTTPSource(server.url + "/") as source:
            with pytest.raises(StoreError, match="not HTTP that can be read; check host and port"):
                await source.stat(["a"])

    @pytest.mark.parametrize(
        "base", ["http://127.0.0.1:99999/", "http://127.0.0.1:port/", "http://[::1/", "http://a..b/"]
    )
    async def test_a_host_that_cannot_be(self, base):
        async with HTTPSource(base) as source:
            with pytest.raises(StoreError) as caught:
                await source.stat(["a"])
        assert caught.value.uri == base + "a"

    async def test_a_negative_length_is_no_length(self):
        answer = Answer(headers={"Content-Length": "-5"})
        async with ScriptedServer(lambda _: answer) as server, HTTPSource(server.url + "/") as source:
            with pytest.raises(StoreError, match="not HTTP that can be read"):
                await source.stat(["a"])

    @pytest.mark.parametrize(
        "headers",
        [
            {"Content-Length": "9223372036854775808"},
            {"Content-Length": "1", "Last-Modified": "Wed, 21 Oct 2015 07:28:00 +99999999999999"},
            {"Content-Length": "1", "Last-Modified": "Wed, 21 Oct 99999999999 07:28:00 GMT"},
        ],
    )
    async def test_numbers_beyond_all_bounds_are_left_out(self, headers):
        answer = Raw("\r\n".join(["HTTP/1.1 200 OK", *map(": ".join, headers.items()), "", ""]).encode())
        async with ScriptedServer(lambda _: answer) as server, HTTPSource(server.url + "/") as source:
            (row,) = (await source.stat(["a"])).rows.to_pylist()
        assert row["last_modified"] is None
        assert row["size"] in (None, 1)

    async def test_a_wait_beyond_all_bounds_is_none(self):
        answers = [Answer(status=503, headers={"Retry-After": "Wed, 21 Oct 2015 07:28:00 +99999999999999"}), Answer()]
        async with ScriptedServer(lambda _: answers.pop(0)) as server, HTTPSource(server.url + "/") as source:
            assert (await source.stat(["a"])).rows.num_rows == 1

    async def test_it_must_be_entered(self, web_server):
        with pytest.raises(RuntimeError, match="async with"):
            await HTTPSource(web_server.base).stat(["a"])
