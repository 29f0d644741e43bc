"""The SDK's client as refscan sets it up: who parses, how much is asked for, how often, and of whom."""

import socket

import pytest
from azure.core.credentials import AzureNamedKeyCredential
from azure.core.exceptions import HttpResponseError
from conformance.suite import read
from servers.azure import ACCOUNT, KEY
from servers.azure_service import BlobService, Version, error
from servers.scripted import Answer, ScriptedServer, Stall

from refscan.errors import DigestMismatchError, ListingOrderError, ObjectNotFoundError, StoreError
from refscan.sources.azure import AzureSource
from refscan.sources.azure.client import Kept, open_client
from refscan.sources.azure.credentials import Credential
from refscan.sources.options import AzureOptions
from refscan.sources.retry import Repeats

FLAT = AzureOptions(anonymous=True, hierarchical_namespace=False)
SIGNED = Credential("key", AzureNamedKeyCredential(ACCOUNT, KEY))


@pytest.fixture
async def client(container):
    place = container()
    place.put("a/b", b"content")
    async with open_client(place.uri, SIGNED, connections=4, count=lambda: None, repeats=Repeats()) as client:
        yield client


def source_of(server: ScriptedServer, options: AzureOptions = FLAT) -> AzureSource:
    return AzureSource(f"{server.url}/account/container/", options)


class TestAnswersKept:
    """How an SDK's answer goes through its own transport is nowhere promised, so it is tried out here."""

    @pytest.mark.parametrize("method", ["list_blobs", "walk_blobs"])
    async def test_a_listing_comes_unparsed(self, client, method):
        kept = Kept()
        pages = getattr(client, method)(include=["metadata", "versions"], refscan_kept=kept).by_page()
        assert [item async for item in await anext(pages)] == []
        assert pages.continuation_token is None
        assert b"<Name>a/" in kept.body
        assert kept.headers["Content-Type"] == "application/xml"

    async def test_without_being_asked_to_it_keeps_nothing(self, client):
        assert [blob.name async for blob in client.list_blobs()] == ["a/b"]

    async def test_a_download_comes_unread_and_is_one_request(self, client):
        kept = Kept(stream=True)
        downloader = await client.get_blob_client("a/b").download_blob(refscan_kept=kept)
        assert downloader.size == 0
        assert await downloader.readall() == b""
        assert await kept.response.read() == b"content"

    async def test_facts_come_with_all_their_headers(self, client):
        kept = Kept()
        facts = await client.get_blob_client("a/b").get_blob_properties(refscan_kept=kept)
        assert facts.size == 7
        assert kept.headers["ETag"] == facts.etag

    @pytest.mark.parametrize("operation", ["get_blob_properties", "download_blob"])
    async def test_errors_are_the_sdks(self, client, operation):
        kept = Kept(stream=True)
        with pytest.raises(HttpResponseError) as caught:
            await getattr(client.get_blob_client("missing"), operation)(refscan_kept=kept)
        assert caught.value.status_code == 404
        assert (kept.body, kept.response) == (None, None)


@pytest.mark.usefixtures("azure_env")
class TestRequests:
    SERVICE = (Version("old", b"1", "v1", current=False), Version("old", b"22", "v2"), Version("empty"))

    async def test_listing_stat_and_open_are_one_request_each(self):
        async with ScriptedServer(BlobService(list(self.SERVICE))) as server, source_of(server) as source:
            await source.list_page("")
            await source.stat(["old"])
            assert await read(source, "old") == b"22"
            assert await read(source, "empty") == b""
            assert await read(source, "old", start=1, length=1) == b"2"
            assert source.requests == len(server.requests) == 5
            methods = [request.method for request in server.requests]
            assert methods == ["GET", "HEAD", "GET", "GET", "GET"]
            ranges = [b"x-ms-range" in request.head.lower() for request in server.requests]
            assert ranges == [False, False, False, False, True]

    async def test_open_asks_for_the_version_and_the_etag(self):
        async with ScriptedServer(BlobService(list(self.SERVICE))) as server, source_of(server) as source:
            assert await read(source, "old", version_id="v1", e_tag="0x8DC704A1B2C3D4E") == b"1"
            assert server.requests[0].query["versionid"] == "v1"
            assert b'If-Match: "0x8DC704A1B2C3D4E"' in server.requests[0].head

    async def test_pins(self):
        async with ScriptedServer(BlobService(list(self.SERVICE))) as server, source_of(server) as source:
            (row,) = (await source.stat(["old"], version_id="v1")).rows.to_pylist()
            assert (row["size"], row["version_id"]) == (1, "v1")
            assert (await source.stat(["old"])).rows.column("version_id").to_pylist() == ["v2"]
            async with source.open("old") as body:
                assert body.version_id == "v2"
            with pytest.raises(ObjectNotFoundError, match="old"):
                await read(source, "old", version_id="v3")
            page = await source.stat(["old"], version_id="v3")
            assert (page.rows.num_rows, page.skipped) == (0, {"vanished": 1})

    @pytest.mark.parametrize(
        "answer",
        [
            error("InvalidQueryParameterValue", 400),
            error("BlobNotFound", 404),
            Answer(b"current", headers={"ETag": '"0x1"'}),
            Answer(b"current", headers={"ETag": '"0x1"', "x-ms-version-id": "v9"}),
        ],
    )
    async def test_never_other_bytes_than_those_of_the_pin(self, answer):
        async with ScriptedServer(lambda _: answer) as server, source_of(server) as source:
            with pytest.raises(ObjectNotFoundError, match="version"):
                await read(source, "key", version_id="v1")
            assert (await source.stat(["key"], version_id="v1")).skipped == {"vanished": 1}

    @pytest.mark.parametrize("answer", [error("ConditionNotMet", 412), Answer(b"new", headers={"ETag": '"0x2"'})])
    async def test_never_other_bytes_than_those_of_the_etag(self, answer):
        async with ScriptedServer(lambda _: answer) as server, source_of(server) as source:
            with pytest.raises(DigestMismatchError, match="overwritten"):
                await read(source, "key", e_tag="0x1")

    @pytest.mark.parametrize("status", [429, 500, 503])
    async def test_a_busy_store_is_asked_again(self, status):
        answers = [Answer(status=status)] * 2
        service = BlobService(list(self.SERVICE))
        async with (
            ScriptedServer(lambda request: answers.pop() if answers else service(request)) as server,
            source_of(server) as source,
        ):
            assert await read(source, "old") == b"22"
            assert source.requests == 3

    async def test_redirects_are_not_followed(self):
        async with ScriptedServer(lambda _: Answer(b"<EnumerationResults/>")) as other:
            elsewhere = Answer(status=307, headers={"Location": f"{other.url}/account/container?comp=list"})
            async with ScriptedServer(lambda _: elsewhere) as server:
                options = AzureOptions(sas_token="sv=1&sig=SECRET", hierarchical_namespace=False)
                async with source_of(server, options) as source:
                    with pytest.raises(StoreError, match="redirects"):
                        await source.list_page("")
            assert other.requests == []

    async def test_logins_of_netrc_are_not_sent(self, tmp_path, azure_env):
        netrc = tmp_path / "netrc"
        netrc.write_text("default login someone password something\n")
        netrc.chmod(0o600)
        azure_env.setenv("NETRC", str(netrc))
        async with ScriptedServer(BlobService()) as server, source_of(server) as source:
            await source.list_page("")
            assert b"authorization" not in server.requests[0].head.lower()

    async def test_a_proxy_of_the_environment_is_used(self, azure_env):
        async with ScriptedServer(BlobService([Version("a")])) as proxy:
            azure_env.setenv("HTTP_PROXY", proxy.url)
            async with AzureSource("http://account.test/account/container/", FLAT) as source:
                assert (await source.list_page("")).rows.num_rows == 1
            assert proxy.requests[0].target.startswith("http://account.test/account/container?")

    async def test_a_marker_that_leads_to_itself_is_an_error(self):
        body = b'<?xml version="1.0" encoding="utf-8"?><EnumerationResults><Blobs /><NextMarker>m</NextMarker>'
        answer = Answer(body + b"</EnumerationResults>", headers={"Content-Type": "application/xml"})
        async with ScriptedServer(lambda _: answer) as server, source_of(server) as source:
            for asking in (source.list_page(""), source.probe("", after="")):
                with pytest.raises(ListingOrderError, match="/account/container/: the listing stands still"):
                    await asking

    async def test_a_proxy_that_is_not_there(self, azure_env):
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            azure_env.setenv("HTTP_PROXY", f"http://me:q7SECRETq7@127.0.0.1:{unused.getsockname()[1]}")
            async with AzureSource("http://account.test/account/container/", FLAT) as source:
                with pytest.raises(StoreError, match="proxy cannot be reached; check HTTPS_PROXY") as caught:
                    await source.list_page("")
        assert "q7SECRETq7" not in str(caught.value)

    async def test_a_download_is_read_as_it_comes(self):
        size = 64 << 20
        body = bytes(1 << 20)

        async with ScriptedServer(lambda _: Stall(body, size)) as server, source_of(server) as source:
            async with source.open("key") as opened:
                assert opened.size == size
                got = 0
                async for chunk in opened.chunks:
                    got += len(chunk)
                    if got == len(body):
                        break
            # The answer never ends, so whoever waited for its end would wait still.
            await server.abandoned.wait()

    async def test_outside_its_with_it_says_so(self):
        with pytest.raises(RuntimeError, match="async with"):
            await AzureSource("https://a.blob.core.windows.net/c/", FLAT).stat(["key"])
