"""Listings as Azure gives them and the emulator does not, by a scripted service (``servers.azure_service``):
https://learn.microsoft.com/rest/api/storageservices/list-blobs."""

import anyio
import pytest
from conformance.suite import keys_of, pages_of
from hypothesis import given, settings
from hypothesis import strategies as st
from servers.azure_service import BlobService, Version, blob_element, error, xml_listing
from servers.scripted import Answer, ScriptedServer

from refscan.errors import AccessDeniedError, ListingOrderError, StoreError
from refscan.sources.azure import AzureSource
from refscan.sources.options import AzureOptions

pytestmark = pytest.mark.usefixtures("azure_env")
FLAT = AzureOptions(anonymous=True, hierarchical_namespace=False)
ASK = AzureOptions(anonymous=True)
FOLDERS = AzureOptions(anonymous=True, hierarchical_namespace=True)
NAMES = ["a", "b/1", "b/2", "b/3", "c&d", "z", "é"]
STARTS = ["absolute", "relative", "ignored", "refused"]


def source_of(server: ScriptedServer, options: AzureOptions = FLAT, *, page_size: int = 5_000) -> AzureSource:
    return AzureSource(f"{server.url}/account/container/", options, page_size=page_size)


def with_history(names: list[str], old: int = 3) -> list[Version]:
    return [
        Version(name, bytes(number), f"v{number}", current=number == old) for name in names for number in range(old + 1)
    ]


class TestVersions:
    @pytest.mark.parametrize("page_size", [1, 2, 3, 4, 5, 100])
    @pytest.mark.parametrize("by_token", [False, True])
    @pytest.mark.parametrize("start_from", STARTS)
    async def test_each_blob_once_with_its_newest_version(self, page_size, by_token, start_from):
        service = BlobService(with_history(NAMES), start_from=start_from)
        async with ScriptedServer(service) as server, source_of(server, page_size=page_size) as source:
            pages = await pages_of(source, "", by_token=by_token)
            assert all(page.complete for page in pages)
            rows = [row for page in pages for row in page.rows.to_pylist()]
            assert [(row["key"], row["size"], row["version_id"]) for row in rows] == [(n, 3, "v3") for n in NAMES]

    @settings(max_examples=60)
    @given(
        histories=st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=7),
        page_size=st.integers(1, 6),
        start_from=st.sampled_from(STARTS),
        arrow=st.sampled_from(["unknown", "spoken"]),
        data=st.data(),
    )
    async def test_any_history_in_pages_of_any_size(self, histories, page_size, start_from, arrow, data):
        versions = []
        for name, (old, exists) in zip(NAMES, histories, strict=False):
            versions += [Version(name, b"", f"v{number}", current=False) for number in range(old)]
            versions += [Version(name, b"x", "now")] if exists else []
        there = [version.name for version in versions if version.current]
        cut = data.draw(st.sampled_from(["", "a", "b", "b/", "b/2", "b/2\x01", "d", "z", "zz"]))
        prefix = data.draw(st.sampled_from(["", "b/", "c"]))
        service = BlobService(versions, start_from=start_from, arrow=arrow)
        async with ScriptedServer(service) as server, source_of(server, page_size=page_size) as source:
            expected = [name for name in there if name > cut and name.startswith(prefix)]
            assert await source.probe(prefix, after=cut) == next(iter(expected), None)
            assert await keys_of(source, prefix, after=cut) == expected
            assert await keys_of(source, prefix, after=cut, by_token=True) == expected

    async def test_pages_of_nothing_but_old_versions_are_passed(self):
        versions = [Version("a", b"", f"{number:03}", current=False) for number in range(50)]
        service = BlobService([*versions, Version("b", version_id="1")])
        async with ScriptedServer(service) as server, source_of(server, page_size=5) as source:
            page = await source.list_page("")
            assert page.rows.column("key").to_pylist() == ["b"]
            assert source.requests == 11

    @pytest.mark.parametrize(
        ("refusal", "complete"),
        [
            (error("FeatureNotYetSupportedForHierarchicalNamespaceAccounts", 409), True),
            (error("FeatureVersionMismatch", 409), True),
            (error("InvalidQueryParameterValue", 400), True),
            (error("AuthorizationPermissionMismatch", 403), False),
        ],
    )
    async def test_where_versions_are_refused(self, refusal, complete):
        service = BlobService(with_history(NAMES), refuses_versions=refusal, page_size=2)
        async with ScriptedServer(service) as server, source_of(server) as source:
            pages = await pages_of(source, "")
            assert {page.complete for page in pages} == {complete}
            assert [row["key"] for page in pages for row in page.rows.to_pylist()] == NAMES
            assert sum("versions" in query["include"] for query in service.lists) <= 2  # once as Arrow, once as XML

    async def test_what_is_refused_for_another_reason_is_an_error(self):
        answer = error("AuthorizationPermissionMismatch", 403)
        async with ScriptedServer(lambda _: answer) as server, source_of(server) as source:
            with pytest.raises(AccessDeniedError, match="Storage Blob Data Reader"):
                await source.list_page("")
            assert source.requests == 2

    async def test_a_later_refusal_does_not_take_the_pins_away(self):
        service = BlobService(with_history(NAMES), page_size=8)
        async with ScriptedServer(service) as server, source_of(server) as source:
            page = await source.list_page("")
            service.refuses_versions = error("AuthorizationPermissionMismatch", 403)
            with pytest.raises(AccessDeniedError):
                await source.list_page("", after=page.next_after)


class TestBeginningBehindAKey:
    async def test_it_is_tried_once_with_the_first_page_that_is_not_the_last(self):
        service = BlobService([Version(name) for name in NAMES], page_size=2)
        async with ScriptedServer(service) as server, source_of(server) as source:
            assert source.capabilities.ranged
            await source.list_page("b/")
            assert [query.get("startFrom") for query in service.lists] == [None, "b/2"]
            assert service.lists[1]["maxresults"] == "1"
            assert (await source.list_page("b/", after="b/1")).rows.column("key").to_pylist() == ["b/2"]
            assert service.lists[-1]["startFrom"] == "b/1"
            assert source.capabilities.ranged
            assert all("marker" not in query for query in service.lists)

    async def test_from_page_to_page_it_goes_by_markers(self):
        service = BlobService(with_history(NAMES), page_size=5)
        async with ScriptedServer(service) as server, source_of(server) as source:
            assert await keys_of(source, "") == NAMES
            # 28 versions, and the trial.
            assert source.requests == 6 + 1

    @pytest.mark.parametrize("start_from", ["relative", "ignored", "refused"])
    async def test_a_service_that_cannot_is_led_by_its_markers(self, start_from):
        service = BlobService([Version(f"p/{number:03}") for number in range(100)], start_from=start_from, page_size=10)
        async with ScriptedServer(service) as server, source_of(server) as source:
            assert await keys_of(source, "p/") == [f"p/{number:03}" for number in range(100)]
            assert not source.capabilities.ranged
            # Each page once, though only keys were given to go on behind, and one trial.
            assert source.requests == 11
            assert await keys_of(source, "p/", after="p/054") == [f"p/{number:03}" for number in range(55, 100)]
            assert source.requests == 11 + 5

    @pytest.mark.parametrize("start_from", STARTS)
    async def test_behind_a_key_that_is_not_there(self, start_from):
        service = BlobService([Version(name) for name in NAMES], start_from=start_from)
        async with ScriptedServer(service) as server, source_of(server) as source:
            assert await keys_of(source, "b/", after="b/1\x01") == ["b/2", "b/3"]
            assert await keys_of(source, "b/", after="aa") == ["b/1", "b/2", "b/3"]

    async def test_outside_the_prefix_nothing_is_asked(self):
        async with ScriptedServer(BlobService()) as server, source_of(server) as source:
            page = await source.list_page("b/", after="c")
            assert (page.rows.num_rows, page.next_after) == (0, None)
            assert await source.probe("b/", after="c") is None
            assert source.requests == 0

    async def test_probe_is_one_small_request(self):
        service = BlobService(with_history(NAMES), page_size=9)
        async with ScriptedServer(service) as server, source_of(server) as source:
            await source.list_page("")
            before = source.requests
            assert await source.probe("", after="b/2") == "b/3"
            assert source.requests == before + 1
            assert int(service.lists[-1]["maxresults"]) <= 2
            assert "versions" not in service.lists[-1]["include"]

    async def test_an_order_of_its_own_loses_nothing(self):
        """A store that compares UTF-16 has U+1F600 ahead of U+FFEE."""
        names = ["a", "\U0001f600", "\uffee", "\uffef"]
        body = {0: names[:2], 1: names[2:]}

        def script(request):
            start = request.query.get("startFrom")
            number = 1 if "marker" in request.query or start == names[1] else 0
            shown = names[1:2] if start == names[1] and request.query["maxresults"] == "1" else body[number]
            return Answer(xml_listing("".join(blob_element(Version(n)) for n in shown), "" if number else "m"))

        async with ScriptedServer(script) as server, source_of(server) as source:
            page = await source.list_page("")
            assert page.next_after == "\U0001f600"
            with pytest.raises(ListingOrderError, match="order"):
                await source.list_page("", after=page.next_after)
            assert not source.capabilities.ordered


class TestFormats:
    async def test_arrow_is_asked_for_and_read(self):
        service = BlobService(with_history(NAMES), arrow="spoken", page_size=5)
        async with ScriptedServer(service) as server, source_of(server) as source:
            assert await keys_of(source, "") == NAMES

    @pytest.mark.parametrize("arrow", ["broken", "refused"])
    async def test_without_arrow_it_is_xml(self, arrow):
        service = BlobService(with_history(NAMES), arrow=arrow)
        async with ScriptedServer(service) as server, source_of(server) as source:
            assert await keys_of(source, "") == NAMES
            assert await keys_of(source, "") == NAMES
            assert source.requests == 3

    @pytest.mark.parametrize("arrow", ["unknown", "spoken"])
    async def test_names_that_xml_cannot_hold(self, arrow):
        names = ["a%41", "b\x01", "c\uffff"]
        service = BlobService([Version(name, version_id="1") for name in names], arrow=arrow, page_size=2)
        async with ScriptedServer(service) as server, source_of(server) as source:
            assert await keys_of(source, "") == names


class TestFolderStubs:
    STUBS = (
        Version("d", metadata={"hdi_isfolder": "true"}),
        Version("d/e", metadata={"hdi_isfolder": "true"}),
        Version("d/e/f"),
        Version("g"),
    )

    @pytest.mark.parametrize("page_size", [1, 2, 3, 10])
    @pytest.mark.parametrize("start_from", ["absolute", "ignored"])
    async def test_they_are_counted_once_and_not_listed(self, page_size, start_from):
        service = BlobService(list(self.STUBS), start_from=start_from)
        async with ScriptedServer(service) as server, source_of(server, page_size=page_size) as source:
            pages = await pages_of(source, "")
            assert [row["key"] for page in pages for row in page.rows.to_pylist()] == ["d/e/f", "g"]
            assert sum(page.skipped.get("folder_marker", 0) for page in pages) == 2

    async def test_those_of_another_range_are_not_counted(self):
        async with ScriptedServer(BlobService(list(self.STUBS))) as server, source_of(server) as source:
            assert (await source.list_page("", after="", until="d")).skipped == {"folder_marker": 1}
            assert (await source.list_page("", after="d")).skipped == {"folder_marker": 1}

    async def test_stat_leaves_them_out(self):
        stubs = [*self.STUBS, Version("h", resource_type="directory")]
        async with ScriptedServer(BlobService(stubs)) as server, source_of(server) as source:
            for key in ("d", "h"):
                page = await source.stat([key])
                assert (page.rows.num_rows, page.skipped) == (0, {"folder_marker": 1})
            assert (await source.stat(["g"])).rows.num_rows == 1


class TestHierarchicalNamespace:
    VERSIONS = (
        Version("a", b"1"),
        Version("b", resource_type="directory"),
        Version("b/c", b"22", resource_type="file"),
        Version("b/d", resource_type="directory", metadata={"hdi_isfolder": "true"}),
        Version("b/d/e", b"333"),
        Version("f", b"4444"),
    )

    @pytest.mark.parametrize(
        ("says", "options", "walked", "requests"),
        [(True, ASK, True, 1), (False, ASK, False, 1), (None, ASK, False, 1), (False, FOLDERS, True, 0)],
    )
    async def test_it_is_known_once_the_source_is_open(self, says, options, walked, requests):
        async with ScriptedServer(BlobService(hierarchical=says)) as server, source_of(server, options) as source:
            can = source.capabilities
            assert (can.walked, can.ordered, can.ranged, can.pinned) == (walked, not walked, not walked, not walked)
            assert source.requests == requests

    async def test_one_folder_at_a_time(self):
        service = BlobService(list(self.VERSIONS), hierarchical=True)
        async with ScriptedServer(service) as server, source_of(server, ASK) as source:
            top = await source.list_page("")
            assert top.rows.column("key").to_pylist() == ["a", "f"]
            assert (list(top.folders), top.skipped, top.token) == (["b/"], {"folder_marker": 1}, None)
            below = await source.list_page("b/")
            assert below.rows.column("key").to_pylist() == ["b/c"]
            assert (list(below.folders), below.skipped) == (["b/d/"], {"folder_marker": 1})
            assert all("versions" not in query["include"] for query in service.lists)

    @pytest.mark.parametrize("page_size", [1, 2, 3])
    @pytest.mark.parametrize("arrow", ["unknown", "spoken"])
    async def test_tokens_lead_through_a_folder(self, page_size, arrow):
        service = BlobService(list(self.VERSIONS), hierarchical=True, arrow=arrow)
        async with ScriptedServer(service) as server, source_of(server, ASK, page_size=page_size) as source:
            keys, folders, token = [], [], None
            while True:
                page = await source.list_page("", token=token, after="zzz", until="0")
                keys += page.rows.column("key").to_pylist()
                folders += page.folders
                assert (page.next_after is None) == (page.token is None)
                token = page.token
                if token is None:
                    break
            assert (keys, folders) == (["a", "f"], ["b/"])

    async def test_probe_finds_a_file(self):
        service = BlobService(list(self.VERSIONS), hierarchical=True)
        async with ScriptedServer(service) as server, source_of(server, ASK, page_size=1) as source:
            assert await source.probe("b/", after="") == "b/c"
            assert await source.probe("b/d", after="") == "b/d/e"
            assert await source.probe("nothing/", after="") is None


class TestFaults:
    async def test_a_busy_answer_is_asked_again(self):
        answers = [Answer(status=503), Answer(status=429), Answer(status=500)]
        service = BlobService([Version("a")])
        async with (
            ScriptedServer(lambda request: answers.pop() if answers else service(request)) as server,
            source_of(server) as source,
        ):
            assert await keys_of(source, "") == ["a"]
            assert source.requests == len(server.requests) == 4

    async def test_a_body_that_breaks_off_is_asked_for_again(self):
        body = xml_listing(blob_element(Version("a")))
        broken = [Answer(body[:-20], headers={"Content-Length": str(len(body))})]
        async with (
            ScriptedServer(lambda _: broken.pop() if broken else Answer(body)) as server,
            source_of(server) as source,
        ):
            assert await keys_of(source, "") == ["a"]
            assert source.requests == 2

    async def test_no_listing_is_an_error(self):
        async with ScriptedServer(lambda _: Answer(b"<html></html>")) as server, source_of(server) as source:
            with pytest.raises(StoreError, match="cannot be read") as caught:
                await source.list_page("dir/")
            assert caught.value.uri == source.base + "dir/"
            assert str(caught.value).startswith(caught.value.uri)

    async def test_many_tasks_at_once_learn_what_one_would(self):
        service = BlobService(with_history([f"{number:03}" for number in range(60)]), page_size=9)
        found = {}
        async with ScriptedServer(service) as server, source_of(server) as source, anyio.create_task_group() as group:

            async def list_behind(after: str) -> None:
                found[after] = await keys_of(source, "", after=after)

            for number in range(0, 60, 7):
                group.start_soon(list_behind, f"{number:03}")
        assert found == {
            f"{after:03}": [f"{number:03}" for number in range(after + 1, 60)] for after in range(0, 60, 7)
        }
        assert sum(query.get("maxresults") == "1" for query in service.lists) <= 1
