"""Google Cloud Storage where the emulator falls short of the service; each answer is as the named document says."""

import gzip
import json
import socket

import pytest
from conformance.suite import read
from servers.scripted import Answer, ScriptedServer, Stall

from refscan import (
    AccessDeniedError,
    DigestMismatchError,
    GCSOptions,
    ListingOrderError,
    ObjectNotFoundError,
    StoreError,
    scan,
)
from refscan.sources.gcs import GCSSource

SECRET = "q7SECRETq7"


def listing(*names, token=None) -> Answer:
    items = [{"name": name, "size": "1", "generation": "7", "etag": f"e-{name}"} for name in names]
    answer = {"kind": "storage#objects", "items": items} | ({"nextPageToken": token} if token else {})
    return Answer(json.dumps(answer).encode(), headers={"Content-Type": "application/json"})


def error(status: int, message: str) -> Answer:
    """As https://cloud.google.com/storage/docs/json_api/v1/status-codes shows."""
    body = {"error": {"code": status, "message": message, "errors": [{"message": message, "domain": "global"}]}}
    return Answer(json.dumps(body).encode(), status, {"Content-Type": "application/json"})


@pytest.fixture
async def scripted(gcs_env):
    servers = []

    async def start(script):
        server = ScriptedServer(script)
        await server.__aenter__()
        servers.append(server)
        gcs_env.setenv("STORAGE_EMULATOR_HOST", server.url)
        return server

    yield start
    for server in servers:
        await server.__aexit__()


class TestListings:
    async def test_it_asks_for_what_it_needs_and_no_more(self, scripted):
        server = await scripted(lambda _: listing("a"))
        async with GCSSource("bucket") as source:
            await source.list_page("pre/?#%+", after="pre/b", until="pre/y")
        (request,) = server.requests
        assert request.target.startswith("/storage/v1/b/bucket/o?")
        assert request.query == {
            "prefix": "pre/?#%+",
            "startOffset": "pre/b",
            "endOffset": "pre/y ",
            "maxResults": "5001",
            "projection": "noAcl",
            "prettyPrint": "false",
            "fields": "kind,nextPageToken,items(name,size,generation,etag,md5Hash,crc32c,updated,storageClass)",
        }
        assert b"authorization" not in request.head.lower()

    async def test_an_empty_page_with_more_behind_it_is_passed_over(self, scripted):
        """https://cloud.google.com/storage/docs/json_api/v1/objects/list: check nextPageToken, not the items."""
        pages = {None: listing(token="1"), "1": listing(token="2"), "2": listing("a", "b", token="3")}
        await scripted(lambda request: pages[request.query.get("pageToken")])
        async with GCSSource("bucket") as source:
            page = await source.list_page("")
        assert page.rows.column("key").to_pylist() == ["a", "b"]
        assert (page.next_after, page.token) == ("b", "3")

    async def test_a_token_that_leads_to_itself_is_an_error(self, scripted):
        await scripted(lambda _: listing(token="1"))
        async with GCSSource("bucket") as source:
            for asking in (source.list_page(""), source.probe("", after="")):
                with pytest.raises(ListingOrderError, match="gs://bucket/: the listing stands still"):
                    await asking

    async def test_a_page_of_nothing_but_the_bound_is_passed_over(self, scripted):
        pages = {None: listing("a", token="1"), "1": listing("b", token="2")}
        await scripted(lambda request: pages[request.query.get("pageToken")])
        async with GCSSource("bucket") as source:
            page = await source.list_page("", after="a")
        assert (page.rows.column("key").to_pylist(), page.next_after, page.token) == (["b"], "b", "2")

    async def test_the_bound_itself_is_left_out(self, scripted):
        await scripted(lambda _: listing("a", "b"))
        async with GCSSource("bucket") as source:
            assert (await source.list_page("", after="a")).rows.column("key").to_pylist() == ["b"]
            assert await source.probe("", after="a") == "b"

    async def test_a_bound_that_would_be_too_long_is_left_to_the_scan(self, scripted):
        server = await scripted(lambda _: listing("a"))
        async with GCSSource("bucket") as source:
            await source.list_page("", until="k" * 1_024)
            await source.list_page("", until="é" * 512)
            await source.list_page("", until="k" * 1_023)
        assert ["endOffset" in request.query for request in server.requests] == [False, False, True]

    async def test_folder_markers_are_skipped_and_counted(self, gcs_bucket):
        bucket = gcs_bucket()
        for key in ("folder/", "folder/a", "folder/deep/"):
            bucket.put(key, b"" if key.endswith("/") else b"x")
        async with scan(bucket.uri) as batches:
            keys = [key async for batch in batches for key in batch.column("key").to_pylist()]
        assert keys == ["folder/a"]
        assert batches.receipt.skipped == {"folder_marker": 2}
        assert batches.receipt.pinned == 1


class TestBusyStores:
    async def test_it_is_asked_again(self, scripted):
        answers = [error(503, "busy"), error(429, "slow down"), Answer(b"", 500), listing("a")]
        server = await scripted(lambda _: answers.pop(0))
        async with GCSSource("bucket") as source:
            assert (await source.list_page("")).rows.num_rows == 1
            assert source.requests == len(server.requests) == 4

    async def test_it_stays_busy(self, scripted, monkeypatch):
        monkeypatch.setattr("refscan.sources.retry._FIRST_DELAY", 0.001)
        server = await scripted(lambda _: error(503, "busy"))
        async with GCSSource("bucket") as source:
            with pytest.raises(StoreError, match=r"gs://bucket/: the store is busy \(HTTP 503\)"):
                await source.list_page("")
        assert len(server.requests) == 6

    async def test_a_listing_that_breaks_off_is_asked_for_again(self, scripted):
        answers = [Answer(b'{"kind"', headers={"Content-Length": "1000"}), listing("a")]
        await scripted(lambda _: answers.pop(0))
        async with GCSSource("bucket") as source:
            assert (await source.list_page("")).rows.num_rows == 1


class TestBytes:
    async def test_compressed_objects_come_as_they_are_stored(self, scripted):
        """https://cloud.google.com/storage/docs/transcoding."""
        stored = gzip.compress(b"content")
        headers = {"Content-Encoding": "gzip", "X-Goog-Stored-Content-Encoding": "gzip", "X-Goog-Generation": "7"}
        server = await scripted(lambda _: Answer(stored, headers=headers))
        async with GCSSource("bucket") as source:
            assert await read(source, "a", version_id="7") == stored
        assert b"accept-encoding: gzip" in server.requests[0].head.lower()

    async def test_a_compression_of_the_way_is_undone(self, scripted):
        headers = {"Content-Encoding": "gzip", "X-Goog-Stored-Content-Encoding": "identity"}
        await scripted(lambda _: Answer(gzip.compress(b"content" * 999), headers=headers))
        async with GCSSource("bucket") as source:
            assert await read(source, "a") == b"content" * 999

    async def test_a_compression_that_is_broken_is_an_error(self, scripted):
        headers = {"Content-Encoding": "gzip", "X-Goog-Stored-Content-Encoding": "identity"}
        await scripted(lambda _: Answer(b"no gzip", headers=headers))
        async with GCSSource("bucket") as source:
            with pytest.raises(StoreError, match="gs://bucket/a: the answer cannot be unpacked"):
                await read(source, "a")

    async def test_another_generation_than_asked_for_is_refused(self, scripted):
        await scripted(lambda _: Answer(b"x", headers={"X-Goog-Generation": "8"}))
        async with GCSSource("bucket") as source:
            with pytest.raises(DigestMismatchError, match="generation 8, not 7"):
                await read(source, "a", version_id="7")

    async def test_a_pin_counts_more_than_an_etag_that_tells_of_metadata_too(self, scripted):
        await scripted(lambda _: Answer(b"x", headers={"X-Goog-Generation": "7", "ETag": '"new"'}))
        async with GCSSource("bucket") as source:
            assert await read(source, "a", version_id="7", e_tag="old") == b"x"

    async def test_the_answer_breaks_off(self, scripted):
        await scripted(lambda _: Answer(b"half", headers={"Content-Length": "100"}))
        async with GCSSource("bucket") as source:
            with pytest.raises(StoreError, match="broke off"):
                await read(source, "a")


class TestErrors:
    @pytest.mark.parametrize(
        ("answer", "kind", "text"),
        [
            (error(404, "The specified bucket does not exist."), ObjectNotFoundError, "no such bucket"),
            (
                error(403, "x@y does not have storage.objects.list access to the bucket."),
                AccessDeniedError,
                "the permission storage.objects.list is needed",
            ),
            (
                error(401, "Anonymous caller does not have storage.objects.list access."),
                AccessDeniedError,
                "GOOGLE_APPLICATION_CREDENTIALS",
            ),
            (error(401, "Invalid Credentials"), AccessDeniedError, "gcloud auth application-default login"),
            (
                error(400, "Bucket is a requester pays bucket but no user project provided."),
                AccessDeniedError,
                r"GCSOptions\(user_project=…\)",
            ),
            (error(400, "Invalid argument."), StoreError, r"HTTP 400 \(Invalid argument.\)"),
            (Answer(b"<html>\nhere\n</html>"), StoreError, "a listing that cannot be read"),
            (Answer(b"<html>\nnothing here\n</html>", 405), StoreError, "HTTP 405"),
        ],
    )
    async def test_one_line_that_says_what_to_do(self, scripted, answer, kind, text):
        await scripted(lambda _: answer)
        async with GCSSource("bucket") as source:
            with pytest.raises(kind, match=text) as caught:
                await source.list_page("pre/")
        assert caught.value.uri == "gs://bucket/pre/"
        assert str(caught.value).startswith("gs://bucket/pre/: ")
        assert "\n" not in str(caught.value)

    async def test_a_missing_bucket_of_a_single_object(self, scripted):
        await scripted(lambda _: error(404, "The specified bucket does not exist."))
        async with GCSSource("bucket") as source:
            with pytest.raises(ObjectNotFoundError, match="no such bucket"):
                await source.stat(["a"])

    async def test_a_missing_object_whose_bucket_has_the_word_in_its_name(self, scripted):
        """The message of https://cloud.google.com/storage/docs/json_api/v1/objects/get names both."""
        await scripted(lambda _: error(404, "No such object: my-bucket/bucket"))
        async with GCSSource("my-bucket") as source:
            assert (await source.stat(["bucket"])).skipped == {"vanished": 1}
            with pytest.raises(ObjectNotFoundError, match="no such object or generation"):
                await read(source, "bucket")

    async def test_a_folder_of_a_bucket_that_is_called_bucket(self, scripted):
        missing = error(404, "No such object: my-bucket/folder")
        await scripted(lambda request: missing if "/o/" in request.target else listing("folder/a"))
        async with scan("gs://my-bucket/folder") as batches:
            assert [key async for batch in batches for key in batch.column("key").to_pylist()] == ["folder/a"]

    async def test_a_proxy_that_is_not_there(self, gcs_env):
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            gcs_env.setenv("https_proxy", f"http://me:{SECRET}@127.0.0.1:{unused.getsockname()[1]}")
            options = GCSOptions(endpoint_url="https://storage.invalid", anonymous=True)
            async with GCSSource("bucket", options) as source:
                with pytest.raises(StoreError, match="proxy cannot be reached; check HTTPS_PROXY") as caught:
                    await source.list_page("")
        assert SECRET not in str(caught.value)

    async def test_nobody_listens(self, gcs_env):
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            gcs_env.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{unused.getsockname()[1]}")
            async with GCSSource("bucket") as source:
                with pytest.raises(StoreError, match=r"cannot be reached \(127.0.0.1:\d+\); check STORAGE_EMULATOR"):
                    await source.list_page("")

    async def test_an_endpoint_that_is_no_url(self):
        with pytest.raises(StoreError, match="gs://bucket/"):
            async with GCSSource("bucket", GCSOptions(endpoint_url="http://[::1", anonymous=True)) as source:
                await source.list_page("")


class TestCredentials:
    """https://cloud.google.com/docs/authentication/application-default-credentials."""

    @pytest.fixture
    def login(self, gcs_env, tmp_path):
        """Write an authorized user's file, whose tokens come from the server given."""

        def write(server, name="login.json"):
            path = tmp_path / name
            text = {"type": "authorized_user", "client_id": "c", "client_secret": SECRET, "refresh_token": SECRET}
            path.write_text(json.dumps(text | {"token_uri": server.url + "/token"}))
            gcs_env.delenv("STORAGE_EMULATOR_HOST", raising=False)
            return path

        return write

    @staticmethod
    def script(request):
        if request.target == "/token":
            return Answer(
                b'{"access_token": "t0ken", "expires_in": 3600}', headers={"Content-Type": "application/json"}
            )
        return listing("a")

    @pytest.mark.parametrize("how", ["variable", "option", "gcloud"])
    async def test_a_token_is_sent(self, scripted, login, gcs_env, tmp_path, how):
        server = await scripted(self.script)
        path = login(server, "application_default_credentials.json")
        options = {"endpoint_url": server.url}
        if how == "variable":
            gcs_env.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
        elif how == "gcloud":
            gcs_env.setenv("CLOUDSDK_CONFIG", str(tmp_path))
        options |= {"service_account_file": path} if how == "option" else {}
        async with GCSSource("bucket", GCSOptions(**options)) as source:
            await source.list_page("")
        sent = [b"Bearer t0ken" in request.head for request in server.requests if request.target != "/token"]
        assert sent == [how == "option"], "over plain HTTP a login goes only where it is meant to go"

    async def test_anonymous_sends_none(self, scripted, login, gcs_env):
        server = await scripted(self.script)
        gcs_env.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(login(server)))
        async with GCSSource("bucket", GCSOptions(endpoint_url=server.url, anonymous=True)) as source:
            await source.list_page("")
        assert [b"authorization" in request.head.lower() for request in server.requests] == [False]

    async def test_the_payer_is_named(self, scripted):
        server = await scripted(lambda _: listing("a"))
        async with GCSSource("bucket", GCSOptions(user_project="payer")) as source:
            await source.list_page("")
        assert server.requests[0].query["userProject"] == "payer"

    async def test_a_login_of_netrc_is_never_sent(self, scripted, gcs_env, tmp_path):
        server = await scripted(lambda _: listing("a"))
        (tmp_path / "netrc").write_text(f"default login someone password {SECRET}\n")
        gcs_env.setenv("NETRC", str(tmp_path / "netrc"))
        async with GCSSource("bucket") as source:
            await source.list_page("")
        assert b"authorization" not in server.requests[0].head.lower()

    async def test_a_file_that_is_not_there(self, gcs_env, tmp_path):
        gcs_env.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "missing.json"))
        with pytest.raises(AccessDeniedError, match=r"missing.json cannot be read.*gcloud auth") as caught:
            async with GCSSource("bucket"):
                pytest.fail("it must not open")
        assert str(caught.value).startswith("gs://bucket/: no usable credentials")

    async def test_an_emulators_name_makes_no_other_endpoint_anonymous(self, gcs_env, tmp_path):
        gcs_env.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:1")
        gcs_env.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "missing.json"))
        with pytest.raises(AccessDeniedError, match=r"missing.json cannot be read"):
            async with GCSSource("bucket", GCSOptions(endpoint_url="https://127.0.0.1:1")):
                pytest.fail("it must not open")

    async def test_credentials_that_are_refused(self, scripted, login):
        server = await scripted(lambda _: Answer(b'{"error": "invalid_grant"}', 400))
        options = GCSOptions(service_account_file=login(server), endpoint_url=server.url)
        with pytest.raises(AccessDeniedError, match="token server answered HTTP 400") as caught:
            async with GCSSource("bucket", options):
                pytest.fail("it must not open")
        assert SECRET not in str(caught.value)

    async def test_a_token_server_that_never_answers(self, scripted, login, monkeypatch):
        monkeypatch.setattr("refscan.sources.gcs.client._TOKEN_TIMEOUT", 0.2)
        server = await scripted(lambda _: Stall(b"{"))
        options = GCSOptions(service_account_file=login(server), endpoint_url=server.url)
        with pytest.raises(AccessDeniedError, match="TimeoutError"):
            async with GCSSource("bucket", options):
                pytest.fail("it must not open")


async def test_an_emulators_name_may_lack_its_scheme(scripted, gcs_env):
    server = await scripted(lambda _: listing("a"))
    gcs_env.setenv("STORAGE_EMULATOR_HOST", server.url.removeprefix("http://"))
    async with GCSSource("bucket") as source:
        assert (await source.list_page("")).rows.num_rows == 1
