import re

import pytest
from conformance.suite import ConnectionConformance, PinnedConformance, SourceConformance, keys_of
from conformance.walked import WalkedConformance
from servers.azure_service import BlobService
from servers.scripted import ScriptedServer, Stall

from refscan.errors import ListingOrderError
from refscan.sources.azure import AzureSource
from refscan.sources.azure.endpoint import blob_endpoints
from refscan.sources.options import AzureOptions
from refscan.sources.source import Capabilities
from refscan.uri import parse_ref

# https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata: no
# segment may be a dot or end with one, for HTTP clients and servers take them out of a path; at most 1,024 characters.
_DOTS = re.compile(r"(^|/)[^/]*\.(/|$)")
# What XML cannot hold, the service sends percent-encoded, and the emulator fails at: it answers HTTP 500 ever after.
_NO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
# The emulator takes a backslash for a slash.
_BACKSLASH = re.compile(r"\\")
# The emulator sorts names by their UTF-16, in which these come before U+E000; the test below has them.
_BEYOND_UTF16 = re.compile("[\U00010000-\U0010ffff]")


class AzureStore:
    def __init__(self, container) -> None:
        self.container = container
        self.put = container.put
        self.delete = container.delete

    def source(self, *, page_size: int = 1_000) -> AzureSource:
        return AzureSource(self.container.uri, page_size=page_size)


class TestContainer(SourceConformance):
    @pytest.fixture
    def store(self, container):
        return AzureStore(container())

    def allows(self, key: str) -> bool:
        return not (_DOTS.search(key) or _NO_XML.search(key) or _BACKSLASH.search(key) or _BEYOND_UTF16.search(key))

    def key_of(self, source, ref: str) -> str:
        location = parse_ref(ref, blob_endpoints=blob_endpoints(AzureOptions()))
        assert location.base == source.base
        return location.key

    async def test_every_row_gets_its_digests(self, store, source):
        store.put("a%b", b"x")
        rows = (await source.stat(["a%b"])).rows
        refs = source.refs(rows.column("key"))
        e_tag = store.container.client.get_blob_client("a%b").get_blob_properties().etag
        assert (await source.digests(rows, refs)).to_pylist() == [e_tag.strip('"')]
        assert (await source.uri_digests(rows, refs)).to_pylist() == [store.container.uri + "a%25b"]

    @pytest.mark.parametrize("page_size", [1, 2, 5])
    async def test_another_order_is_never_taken_for_this_one(self, store, page_size):
        keys = ["a", "\uffee", "\U0001f600", "b"]
        for key in keys:
            store.put(key, b"x")
        async with store.source(page_size=page_size) as source:
            with pytest.raises(ListingOrderError) as caught:
                await keys_of(source, "")
            assert caught.value.uri == store.container.uri
            can = source.capabilities
            assert (can.ordered, can.ranged, can.walked) == (False, False, False)
            found, token = [], None
            while not found or token:
                page = await source.list_page("", after="zzz", until="zzzz", token=token)
                found += page.rows.column("key").to_pylist()
                token = page.token
            assert sorted(found) == sorted(keys)

    async def test_it_says_so(self, source):
        """The emulator cannot begin behind a key; that shows with the first page that is not the last."""
        assert source.capabilities == Capabilities(pinned=True, list_concurrency=64)

    @pytest.mark.usefixtures("tree")
    async def test_it_says_what_it_found_out(self, store):
        async with store.source(page_size=3) as source:
            await source.list_page("")
            assert not source.capabilities.ranged
            assert source.requests == 3  # of the account, a page, and a trial


class ServiceStore:
    def __init__(self, service: BlobService, url: str) -> None:
        self.put = service.put
        self.delete = service.delete
        self.base = f"{url}/account/container/"

    def source(self, *, page_size: int = 1_000) -> AzureSource:
        return AzureSource(self.base, AzureOptions(anonymous=True), page_size=page_size)


class OfService:
    """What the emulator lacks, by a scripted service."""

    hierarchical = False
    arrow = "unknown"

    @pytest.fixture
    async def store(self, azure_env):
        service = BlobService(hierarchical=self.hierarchical, arrow=self.arrow)
        async with ScriptedServer(service) as server:
            azure_env.setenv("AZURE_STORAGE_BLOB_ENDPOINT", f"{server.url}/account")
            yield ServiceStore(service, server.url)

    def allows(self, key: str) -> bool:
        return not _DOTS.search(key)

    def key_of(self, source, ref: str) -> str:
        location = parse_ref(ref, blob_endpoints=blob_endpoints(AzureOptions()))
        assert location.base == source.base
        return location.key

    async def test_every_row_gets_its_digests(self, store, source):
        store.put("a%b", b"x")
        rows = (await source.stat(["a%b"])).rows
        refs = source.refs(rows.column("key"))
        assert (await source.digests(rows, refs)).to_pylist() == ["0x000000000000001"]
        assert (await source.uri_digests(rows, refs)).to_pylist() == [source.base + "a%25b"]


class TestVersions(OfService, PinnedConformance, SourceConformance):
    pass


class TestArrow(OfService, PinnedConformance, SourceConformance):
    arrow = "spoken"


class TestHierarchicalNamespace(OfService, WalkedConformance):
    hierarchical = True


@pytest.mark.parametrize("operation", ["list", "probe", "open"])
class TestAzureConnections(ConnectionConformance):
    @pytest.fixture
    async def stalling(self, azure_env):  # noqa: ARG002  no credentials
        async with ScriptedServer(lambda _: Stall(b"<?xml version='1.0'?><EnumerationResults>")) as server:
            options = AzureOptions(anonymous=True, hierarchical_namespace=False)
            yield AzureSource(f"{server.url}/account/container/", options), server
