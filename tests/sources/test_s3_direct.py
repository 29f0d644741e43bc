"""Requests that refscan sends without the SDK: the same ones, signed alike; whatever goes wrong, the SDK judges."""

import asyncio
import datetime as dt
import ssl
from pathlib import Path

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from conformance.suite import keys_of, stat_rows
from hypothesis import given
from hypothesis import strategies as st
from servers.s3 import header, signer
from servers.scripted import Answer, Raw, Stall, listing, s3_error, versioning
from servers.tls import write_certificate

from refscan.errors import AccessDeniedError, StoreError
from refscan.sources.options import S3Options
from refscan.sources.s3 import S3Source, direct
from refscan.sources.s3.facts import facts_of_headers
from refscan.sources.s3.route import quoted_key, read_route
from refscan.sources.s3.signature import Signer

SECRET = "q7SECRETq7"
ODD = ["a//b", "a b+c%2F&?#", "é\U0001f600/~-._", "./..", "=", "key\n"]
OBJECT = {
    "ETag": '"x"',
    "x-amz-version-id": "v1",
    "Last-Modified": "Wed, 12 Oct 2009 17:50:30 GMT",
    "x-amz-storage-class": "GLACIER",
}


def is_direct(request) -> bool:
    return header(request, "user-agent") == "refscan"


def play(request):
    if request.asks_for_versioning:
        return versioning("Enabled")
    if request.lists_versions or request.lists_objects:
        return listing(["a"], versions=request.lists_versions)
    return Answer(b"data", headers=OBJECT)


def answering(answer, times: int = 1_000):
    """Answer so to what comes without the SDK, so often; to the SDK as it should be."""
    left = iter(range(times))

    def script(request):
        return answer if is_direct(request) and next(left, None) is not None else play(request)

    return script


class TestSignatures:
    @given(
        st.sampled_from(["GET", "HEAD"]),
        st.text(st.characters(exclude_categories=["Cs"])),
        st.dictionaries(st.sampled_from(["prefix", "start-after", "versions"]), st.text()),
        st.sampled_from([None, "token"]),
        st.sampled_from([None, "requester"]),
    )
    def test_they_are_the_sdks(self, method, key, parameters, token, payer):
        from urllib.parse import quote

        path = "/bucket/" + quoted_key(key)
        query = "&".join(f"{name}={quote(value, safe='')}" for name, value in sorted(parameters.items()))
        ours = Signer("KEY", SECRET, token, region="eu-west-1", service="s3")
        headers = ours.sign(method, "host:9000", path, query, payer=payer)
        request = AWSRequest(method, f"http://host:9000{path}?{query}", headers)
        del request.headers["Authorization"]
        request.context["timestamp"] = headers["x-amz-date"]
        theirs = S3SigV4Auth(Credentials("KEY", SECRET, token), "s3", "eu-west-1")
        expected = theirs.signature(theirs.string_to_sign(request, theirs.canonical_request(request)), request)
        assert headers["Authorization"].endswith(f"Signature={expected}")
        assert SECRET not in repr(ours)


class TestRoutes:
    SIGNED = "AWS4-HMAC-SHA256 Credential=KEY/20260101/eu-west-1/s3/aws4_request, SignedHeaders=host, Signature=f00"

    @pytest.mark.parametrize(
        ("url", "key", "origin", "host", "base"),
        [
            ("https://b.s3.amazonaws.com/?versioning", None, "https://b.s3.amazonaws.com", "b.s3.amazonaws.com", ""),
            ("https://b.s3.amazonaws.com:443/k", "k", "https://b.s3.amazonaws.com", "b.s3.amazonaws.com", ""),
            ("http://host:9000/b?list-type=2", None, "http://host:9000", "host:9000", "/b"),
            ("http://host:80/sub/b/a%20b/b", "a b/b", "http://host", "host", "/sub/b"),
            ("http://[::1]:9000/b/", None, "http://[::1]:9000", "[::1]:9000", "/b"),
        ],
    )
    def test_they_are_read_off_a_request(self, url, key, origin, host, base):
        route = read_route(url, {"Authorization": self.SIGNED.encode(), "X-Amz-Date": "x"}, key, anonymous=False)
        assert (route.origin, route.host, route.base, route.scope) == (origin, host, base, ("eu-west-1", "s3"))

    @pytest.mark.parametrize(
        ("headers", "anonymous"),
        [
            ({"Authorization": SIGNED, "X-Added": "by somebody"}, False),
            ({"Authorization": SIGNED, "X-Amz-S3session-Token": "x"}, False),
            ({"Authorization": SIGNED.replace("/s3/", "/s3express/")}, False),
            ({"Authorization": "AWS KEY:signature"}, False),
            ({"Authorization": SIGNED.replace("HMAC", "ECDSA-P256")}, False),
            ({}, False),
            ({"Authorization": SIGNED}, True),
        ],
    )
    def test_what_cannot_be_imitated(self, headers, anonymous):
        assert read_route("http://host/b", headers, None, anonymous=anonymous) is None


class TestRequests:
    OPTIONS = (S3Options(), S3Options(anonymous=True), S3Options(requester_pays=True), S3Options(connections=1))

    @pytest.mark.parametrize("options", OPTIONS, ids=["as it is", "anonymous", "requester pays", "one connection"])
    @pytest.mark.parametrize("key", ODD)
    async def test_they_are_those_of_the_sdk(self, scripted_s3, options, key):
        async with scripted_s3(play) as server:
            asked = []
            for answer in (s3_error("AccessDenied"), None):
                # Where all else is refused, each is the SDK's.
                server._script = answering(answer) if answer else play
                async with S3Source("bucket", options) as source:
                    await source.list_page("")
                    before = source.requests
                    del server.requests[:]
                    await source.list_page(key, after=key)
                    await source.probe(key, after=key)
                    await source.stat([key])
                    await source.stat([key], version_id="v 1")
                    sent = [request for request in server.requests if is_direct(request) != bool(answer)]
                    assert source.requests == before + len(server.requests)
                asked.append([self.essence(request) for request in sent])
        theirs, ours = asked
        assert len(ours) == 4
        assert ours == theirs

    @staticmethod
    def essence(request) -> tuple:
        return (
            request.method,
            request.target.partition("?")[0],
            request.query,
            header(request, "host"),
            header(request, "accept-encoding"),
            header(request, "x-amz-request-payer"),
            signer(request),
        )

    async def test_session_tokens_are_sent(self, aws, scripted_s3):
        aws.setenv("AWS_SESSION_TOKEN", "token")
        async with scripted_s3(play) as server, S3Source("bucket") as source:
            await source.list_page("")
        assert [header(request, "x-amz-security-token") for request in server.requests] == ["token"] * 2

    async def test_credentials_are_renewed(self, scripted_s3, tmp_path):
        import os

        told = tmp_path / "credentials.json"
        soon = (dt.datetime.now(dt.UTC) + dt.timedelta(seconds=300)).isoformat()

        def tell(key: str) -> None:
            told.write_text(
                f'{{"Version": 1, "AccessKeyId": "{key}", "SecretAccessKey": "s", "SessionToken": "t", '
                f'"Expiration": "{soon}"}}'
            )

        tell("FIRST")
        Path(os.environ["AWS_CONFIG_FILE"]).write_text(f"[profile work]\ncredential_process = cat {told}\n")
        async with scripted_s3(play) as server, S3Source("bucket", S3Options(profile="work")) as source:
            await source.list_page("")
            tell("SECOND")
            del server.requests[:]
            await source.list_page("")
        assert [(is_direct(request), signer(request).access_key) for request in server.requests] == [(True, "SECOND")]

    async def test_a_proxy_is_used(self, aws, scripted_s3):
        async with scripted_s3(play) as server:
            aws.delenv("AWS_S3_ENDPOINT_URL")
            aws.setenv("http_proxy", server.url)
            async with S3Source("bucket", S3Options(endpoint_url="http://s3.example.test")) as source:
                await source.list_page("")
                aws.setenv("http_proxy", "http://127.0.0.1:9")  # it was looked up before
                await source.list_page("")
        assert [is_direct(request) for request in server.requests] == [False, True, True]
        assert server.requests[-1].target.startswith("http://s3.example.test/bucket?")

    async def test_certificates_are_checked_as_the_sdk_does(self, aws, tmp_path):
        certificate = write_certificate(tmp_path / "server.pem")
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
        agents = []

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = await reader.readuntil(b"\r\n\r\n")
            agents.append(b"User-Agent: refscan\r\n" in head)
            body = (versioning(None) if b"versioning" in head.split(b"\r\n")[0] else listing(["a"])).body
            writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()
            writer.close()

        aws.setenv("AWS_CA_BUNDLE", str(certificate))
        async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context) as server:
            aws.setenv("AWS_S3_ENDPOINT_URL", f"https://localhost:{server.sockets[0].getsockname()[1]}")
            async with S3Source("bucket") as source:
                await source.list_page("")
                assert await source.probe("", after="") == "a"
        assert agents == [False, True, True]


WRONG = {
    "denied": s3_error("AccessDenied"),
    "not found": s3_error("NoSuchKey", status=404),
    "bad request": s3_error("InvalidRequest", status=400),
    "broken": Answer(b"<html>Bad gateway</html>", 502),
    "redirect": Answer(b"", 302, {"Location": "http://127.0.0.1:9/"}),
    "a page": Answer(b"<!DOCTYPE html><html>Sign in</html>"),
    "an error in a success": s3_error("InternalError", status=200),
    "nothing": Answer(b""),
    "half": Answer(listing(["a"]).body[:-30]),
    "cut off": Answer(listing(["a"], versions=True).body, headers={"Content-Length": "100000"}),
    "no HTTP": Raw(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "closed": Raw(b""),
}


class TestTheSDKJudges:
    @pytest.mark.parametrize("wrong", WRONG)
    async def test_what_goes_wrong_is_asked_again(self, scripted_s3, wrong):
        async with scripted_s3(answering(WRONG[wrong])) as server, S3Source("bucket") as source:
            await source.list_page("")
            page = await source.list_page("")
            assert page.rows.column("key").to_pylist() == ["a"]
            assert await source.probe("", after="") == "a"
            (row,) = await stat_rows(source, ["a"])
            assert (row["e_tag"], row["version_id"], row["storage_class"]) == ("x", "v1", "GLACIER")
            assert source.throttled == 0
        assert any(map(is_direct, server.requests))

    async def test_what_never_succeeds_is_left_alone(self, scripted_s3):
        async with scripted_s3(answering(WRONG["denied"])) as server, S3Source("bucket") as source:
            for _ in range(20):
                await source.list_page("")
        assert sum(map(is_direct, server.requests)) == 5

    async def test_what_fails_at_times_is_not(self, scripted_s3):
        turn = iter(range(1_000))

        def script(request):
            return WRONG["closed"] if is_direct(request) and next(turn) % 6 < 4 else play(request)

        async with scripted_s3(script) as server, S3Source("bucket") as source:
            for _ in range(20):
                await source.list_page("")
            del server.requests[:]
            for _ in range(6):
                await source.list_page("")
        assert any(map(is_direct, server.requests))

    @pytest.mark.parametrize("operation", ["list", "stat"])
    async def test_errors_are_the_sdks(self, scripted_s3, operation):
        refused = [False]

        def script(request):
            return s3_error("AccessDenied") if refused[0] else play(request)

        async with scripted_s3(script), S3Source("bucket") as source:
            await source.list_page("")
            refused[0] = True
            with pytest.raises(AccessDeniedError, match="the permission s3:") as caught:
                await (source.probe("", after="") if operation == "list" else source.stat(["a"]))
        assert "\n" not in str(caught.value)

    async def test_a_bucket_that_moves_is_followed(self, scripted_s3):
        home = ["us-east-1"]

        def script(request):
            if signer(request).region == home[0]:
                return play(request)
            return Answer(b"", 301, {"x-amz-bucket-region": home[0]})

        async with scripted_s3(script) as server, S3Source("bucket") as source:
            await source.list_page("")
            home[0] = "eu-central-1"
            await source.list_page("")
            del server.requests[:]
            await source.list_page("")
            await source.stat(["a"])
        assert [(is_direct(request), signer(request).region) for request in server.requests] == [
            (True, "eu-central-1")
        ] * 2

    @pytest.mark.parametrize("operation", ["list", "stat"])
    async def test_a_listing_that_cannot_be_read_is_an_error(self, scripted_s3, operation):
        odd = Answer(b"<ListVersionsResult><Version></ListVersionsResult>", headers={"ETag": "x"})
        async with scripted_s3(lambda r: odd if r.lists_versions else play(r)), S3Source("bucket") as source:
            if operation == "list":
                with pytest.raises(StoreError, match="cannot be read"):
                    await source.list_page("")
            await source.stat(["a"])


class TestSilence:
    def test_it_is_not_listened_to_for_long(self):
        assert 10 <= direct._LONGEST_SILENCE <= 20

    @pytest.mark.parametrize("body", [b"", listing(["a"], versions=True).body[:100]], ids=["headers", "half a page"])
    async def test_a_stuck_connection_is_abandoned_and_its_page_asked_again(self, monkeypatch, scripted_s3, body):
        monkeypatch.setattr(direct, "_LONGEST_SILENCE", 0.2)
        async with scripted_s3(answering(Stall(body), 1)) as server, S3Source("bucket") as source:
            page = await source.list_page("")
            assert page.rows.column("key").to_pylist() == ["a"]
            await server.abandoned.wait()
            assert [is_direct(request) for request in server.requests if request.lists_versions] == [True, False]
            # One such connection is no reason to ask the SDK for ever.
            await source.list_page("")
            assert is_direct(server.requests[-1])


class TestThrottled:
    @pytest.mark.parametrize(
        "busy",
        [s3_error("SlowDown", status=503), Answer(b"", 429), Answer(b"", 503, {"Retry-After": "1"})],
        ids=["SlowDown", "429", "Retry-After"],
    )
    async def test_it_is_counted_and_asked_again(self, scripted_s3, busy):
        async with scripted_s3(answering(busy, 2)) as server, S3Source("bucket") as source:
            await source.list_page("")
            assert source.throttled == 1
            assert await source.probe("", after="") == "a"
            assert source.throttled == 2
            assert await source.probe("", after="") == "a"
            assert source.throttled == 2
            assert source.requests == len(server.requests) == 6

    async def test_through_the_sdk_too(self, scripted_s3):
        answers = iter(
            [s3_error("SlowDown", status=503), s3_error("SlowDown", status=400), s3_error("InternalError", status=500)]
        )

        async with scripted_s3(lambda request: next(answers, None) or play(request)), S3Source("bucket") as source:
            assert await source.probe("", after="") == "a"
            assert source.throttled == 2


class TestStat:
    async def test_many_keys_are_one_batch_in_order(self, bucket):
        place = bucket()
        keys = [f"key {number}" for number in range(16)]
        pins = {key: place.put(key, bytes(number)) for number, key in enumerate(keys)}
        place.put("folder", b"", ContentType="application/x-directory")
        async with S3Source(place.name) as source:
            await source.list_page("")
            asked = [*reversed(keys[8:]), "folder", "gone", *keys[:6]]
            assert source.capabilities.stat_batch >= len(asked)
            page = await source.stat(asked)
            rows = page.rows.to_pylist()
            listed = (await source.list_page("key")).rows.to_pylist()
        assert dict(page.skipped) == {"folder_marker": 1, "vanished": 1}
        assert [row["key"] for row in rows] == [*reversed(keys[8:]), *keys[:6]]
        assert [row["version_id"] for row in rows] == [pins[row["key"]] for row in rows]
        by_key = {row["key"]: row for row in listed}
        assert [{**row, "last_modified": None} for row in rows] == [
            {**by_key[row["key"]], "last_modified": None} for row in rows
        ]

    async def test_both_ways_tell_the_same(self, scripted_s3):
        found = []
        for script in (play, answering(WRONG["denied"])):
            async with scripted_s3(script), S3Source("bucket") as source:
                await source.list_page("")
                found.append((await source.stat(["a", "b"])).rows)
        assert found[0] == found[1]
        assert found[0].column("last_modified")[0].as_py() == dt.datetime(2009, 10, 12, 17, 50, 30, tzinfo=dt.UTC)

    @given(st.datetimes(timezones=st.just(dt.UTC)).filter(lambda moment: moment.year >= 1000))
    def test_dates(self, moment):
        from email.utils import format_datetime

        moment = moment.replace(microsecond=0)
        headers = {"content-length": "1", "etag": "x", "last-modified": format_datetime(moment, usegmt=True)}
        found = facts_of_headers("key", headers).last_modified
        assert dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=found) == moment

    @pytest.mark.parametrize(
        "odd",
        [
            {"Content-Length": ""},
            {"Content-Length": "-1"},
            {"Content-Length": "٣"},
            {"ETag": ""},
            {"Last-Modified": ""},
            {"Last-Modified": "Wed, 31 Feb 2009 17:50:30 GMT"},
            {"Last-Modified": "Wed, 12 Okt 2009 17:50:30 GMT"},
            {"Last-Modified": "Wed, 12 Oct 2009 17:50:30 CET"},
            {"Last-Modified": "Monday, 12-Oct-09 17:50:30 GMT"},
        ],
    )
    def test_headers_that_are_not_quite_right_are_left_to_the_sdk(self, odd):
        right = {"Content-Length": "1", **OBJECT}
        assert facts_of_headers("key", {name.lower(): value for name, value in right.items()}) is not None
        assert facts_of_headers("key", {name.lower(): value for name, value in (right | odd).items()}) is None


async def test_nothing_secret_is_shown_or_logged(aws, scripted_s3, caplog):
    aws.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    aws.setenv("AWS_SESSION_TOKEN", SECRET)
    caplog.set_level("DEBUG")
    for name in ("botocore", "aiobotocore"):
        caplog.set_level("WARNING", name)  # the SDK's own
    async with scripted_s3(answering(WRONG["closed"], 1)), S3Source("bucket") as source:
        assert await keys_of(source, "") == ["a"]
        await source.stat(["a"])
        shown = repr(vars(source)) + repr(vars(source._direct)) + caplog.text
    assert SECRET not in shown
    assert "Signature=" not in shown
