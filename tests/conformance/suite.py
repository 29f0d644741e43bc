"""What every source must do, as tests: a class for each source derives from the suites that apply to it.

It has a fixture ``store``, which fills the store behind the source without the source's help, and may narrow
``allows`` to the keys that such a store can hold.
"""

import hashlib
from bisect import bisect_right
from contextlib import AsyncExitStack
from itertools import pairwise
from typing import Protocol

import anyio
import pyarrow as pa
import pytest
from conformance.keys import KEY_SETS, ODD_KEYS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from refscan.errors import DigestMismatchError, ObjectNotFoundError
from refscan.sources.source import PAGE_SCHEMA, Page, Source
from refscan.uri import parse_ref

DATA = bytes(range(256)) * 40
# Examples share the store and the open source: none of them changes what another sees. The same test runs in each
# source's class, and what it finds there must not be replayed in another's.
SHARED = settings(
    max_examples=15,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
)
FEW = settings(SHARED, max_examples=6)


class Store(Protocol):
    """One container of objects, filled behind the source's back."""

    def put(self, key: str, data: bytes) -> str | None:
        """Store an object and return its version ID, if it gets one."""

    def delete(self, key: str) -> None:
        """Delete the newest version of an object."""

    def source(self, *, page_size: int = 1_000) -> Source:
        """Return a source of this container, not entered yet."""


async def read(source: Source, key: str, **options) -> bytes:
    async with source.open(key, **options) as body:
        return b"".join([chunk async for chunk in body.chunks])


async def stat_rows(source: Source, keys: list[str]) -> list[dict]:
    batch = source.capabilities.stat_batch
    pages = [await source.stat(keys[start : start + batch]) for start in range(0, len(keys), batch)]
    assert all(page.rows.schema == PAGE_SCHEMA for page in pages)
    return [row for page in pages for row in page.rows.to_pylist()]


async def pages_of(
    source: Source, prefix: str, *, after: str = "", until: str | None = None, by_token: bool = False
) -> list[Page]:
    """List a range to its end as the scan does, and check each page on the way."""
    pages: list[Page] = []
    token = None
    while True:
        # With a token, it is the token that counts.
        page = await source.list_page(prefix, after="" if token else after, until=until, token=token)
        keys = page.rows.column("key").to_pylist()
        assert page.rows.schema == PAGE_SCHEMA
        assert all(low < high for low, high in pairwise([after, *keys]))
        assert all(key.startswith(prefix) for key in keys)
        pages.append(page)
        if page.next_after is None or (until is not None and page.next_after >= until):
            return pages
        assert page.next_after > after
        assert all(key <= page.next_after for key in keys)
        after = page.next_after
        token = page.token if by_token else None
        assert token is not None or not by_token


async def keys_of(source: Source, prefix: str, *, after: str = "", until: str | None = None, **how) -> list[str]:
    pages = await pages_of(source, prefix, after=after, until=until, **how)
    keys = [key for page in pages for key in page.rows.column("key").to_pylist()]
    return [key for key in keys if until is None or key <= until]


class ObjectConformance:
    """One object's facts and bytes."""

    wrong_e_tag = "0" * 32

    @pytest.fixture
    def store(self) -> Store:
        raise NotImplementedError

    @pytest.fixture
    async def source(self, store):
        async with store.source() as source:
            yield source

    def allows(self, key: str) -> bool:  # noqa: ARG002
        return True

    def test_it_is_a_source(self, store):
        source = store.source()
        assert isinstance(source, Source)
        assert source.base.endswith("/")
        assert source.requests == 0

    async def test_stat_tells_key_size_and_version(self, store, source):
        version_id = store.put("dir/file", DATA)
        (row,) = await stat_rows(source, ["dir/file"])
        assert (row["key"], row["size"], row["version_id"]) == ("dir/file", len(DATA), version_id)
        assert source.requests > 0

    async def test_stat_answers_in_the_order_given(self, store, source):
        keys = ["c", "a", "d", "b"]
        for size, key in enumerate(keys):
            store.put(key, DATA[:size])
        rows = await stat_rows(source, keys)
        assert [(row["key"], row["size"]) for row in rows] == [("c", 0), ("a", 1), ("d", 2), ("b", 3)]

    async def test_stat_leaves_missing_objects_out(self, store, source):
        store.put("there", DATA)
        rows = await stat_rows(source, ["missing", "there", "there/not"])
        assert [row["key"] for row in rows] == ["there"]

    async def test_open_reads_the_whole_object(self, store, source):
        store.put("dir/file", DATA)
        (row,) = await stat_rows(source, ["dir/file"])
        async with source.open("dir/file") as body:
            assert b"".join([chunk async for chunk in body.chunks]) == DATA
            assert (body.size, body.partial) == (len(DATA), False)
            assert (body.e_tag, body.version_id) == (row["e_tag"], row["version_id"])

    async def test_open_reads_what_stat_has_seen(self, store, source):
        store.put("file", DATA)
        (row,) = await stat_rows(source, ["file"])
        assert await read(source, "file", e_tag=row["e_tag"], version_id=row["version_id"]) == DATA

    async def test_an_empty_object_is_an_object(self, store, source):
        store.put("empty", b"")
        (row,) = await stat_rows(source, ["empty"])
        assert row["size"] == 0
        assert await read(source, "empty") == b""

    @SHARED
    @given(cuts=st.lists(st.integers(1, len(DATA) - 1), max_size=6, unique=True).map(sorted))
    async def test_neighbouring_byte_ranges_make_the_whole(self, store, source, cuts):
        store.put("file", DATA)
        parts = []
        for start, stop in pairwise([0, *cuts, len(DATA)]):
            async with source.open("file", start=start, length=stop - start) as body:
                assert (body.size, body.partial) == (len(DATA), True)
                parts.append(b"".join([chunk async for chunk in body.chunks]))
            assert len(parts[-1]) == stop - start
        assert b"".join(parts) == DATA

    async def test_a_byte_range_without_length_goes_to_the_end(self, store, source):
        store.put("file", DATA)
        assert await read(source, "file", start=len(DATA) - 3) == DATA[-3:]

    async def test_open_of_a_missing_object_says_which(self, store, source):
        store.put("missing-not", DATA)
        with pytest.raises(ObjectNotFoundError, match="missing") as caught:
            await read(source, "missing")
        assert isinstance(caught.value, FileNotFoundError)
        assert caught.value.uri == source.base + "missing"

    async def test_open_refuses_other_bytes_than_recorded(self, store, source):
        store.put("file", DATA)
        with pytest.raises(DigestMismatchError, match="file") as caught:
            await read(source, "file", e_tag=self.wrong_e_tag)
        assert caught.value.uri == source.base + "file"

    async def test_keys_of_every_kind(self, store, source):
        keys = [key for key in ODD_KEYS if self.allows(key)]
        assert len(keys) > 10
        for key in keys:
            store.put(key, key.encode())
            (row,) = await stat_rows(source, [key])
            assert (row["key"], row["size"]) == (key, len(key.encode()))
            assert await read(source, key) == key.encode(), key

    async def test_references_lead_back_to_their_keys(self, source):
        keys = [key for key in [*ODD_KEYS, "line\nfeed", "carriage\r"] if self.allows(key)]
        refs = source.refs(pa.array(keys, pa.string()))
        assert [self.key_of(source, ref) for ref in refs.to_pylist()] == keys

    async def test_every_row_gets_its_digests(self, store, source):
        for key in ("a", "b"):
            store.put(key, key.encode())
        for key in ("a", "b"):
            rows = (await source.stat([key])).rows
            refs = source.refs(rows.column("key"))
            assert (await source.digests(rows, refs)).to_pylist() == [self.digest_of(key.encode())]
            (uri_digest,) = (await source.uri_digests(rows, refs)).to_pylist()
            assert uri_digest == self.uri_digest_of(refs[0].as_py())

    def digest_of(self, data: bytes) -> str:
        """Return what W&B records for this content: the ETag, which is its MD5 for all the stores here."""
        return hashlib.md5(data).hexdigest()

    def uri_digest_of(self, ref: str) -> str:
        """Return what W&B records for this reference with ``checksum=False``."""
        return ref

    def key_of(self, source: Source, ref: str) -> str:
        """Return the key that a reference names, below the source's base."""
        assert ref.startswith(source.base)
        return parse_ref(ref).key.removeprefix(parse_ref(source.base).key)


class PinnedConformance(ObjectConformance):
    """Overwritten bytes can be had by their version ID."""

    async def test_it_says_so(self, source):
        assert source.capabilities.pinned

    async def test_a_pin_reads_what_was_overwritten(self, store, source):
        first = store.put("file", b"first")
        (row,) = await stat_rows(source, ["file"])
        second = store.put("file", b"second!")
        assert row["version_id"] == first != second
        assert await read(source, "file", version_id=first, e_tag=row["e_tag"]) == b"first"
        assert await read(source, "file", version_id=second) == b"second!"
        assert await read(source, "file") == b"second!"

    async def test_a_pin_reads_what_was_deleted(self, store, source):
        version_id = store.put("file", b"first")
        store.delete("file")
        assert await read(source, "file", version_id=version_id) == b"first"
        with pytest.raises(ObjectNotFoundError):
            await read(source, "file")
        assert await stat_rows(source, ["file"]) == []

    async def test_stat_of_a_pin(self, store, source):
        first = store.put("file", b"first")
        store.put("file", b"second!")
        (row,) = (await source.stat(["file"], version_id=first)).rows.to_pylist()
        assert (row["size"], row["version_id"]) == (5, first)

    async def test_a_version_of_another_object_is_missing(self, store, source):
        store.put("file", b"first")
        other = store.put("other", b"other")
        with pytest.raises(ObjectNotFoundError, match="file"):
            await read(source, "file", version_id=other)


class SourceConformance(ObjectConformance):
    """Listings, and all else that a source of many objects does."""

    TREE = ("a.txt", "a/b", "a0", "dir/1", "dir/2/x", "dir/2/y", "dir/20", "dir2/1", "foo/1", "foo/2", "foobar", "zz")

    @pytest.fixture
    def tree(self, store):
        for size, key in enumerate(reversed(self.TREE)):
            store.put(key, DATA[:size])
        return store

    async def test_it_says_so(self, source):
        assert source.capabilities.listed
        assert source.capabilities.ordered
        assert source.capabilities.ranged

    @pytest.mark.usefixtures("tree")
    async def test_keys_come_in_the_order_of_their_bytes(self, source):
        assert await keys_of(source, "") == list(self.TREE)
        assert self.TREE[:3] == ("a.txt", "a/b", "a0")

    @pytest.mark.parametrize("objects", [3, 4, 6, 7])
    async def test_full_pages_and_one_key_more(self, store, objects):
        keys = [f"key/{number}" for number in range(objects)]
        for key in keys:
            store.put(key, b"")
        async with store.source(page_size=3) as source:
            pages = await pages_of(source, "key/")
            assert [key for page in pages for key in page.rows.column("key").to_pylist()] == keys
            assert pages[0].rows.num_rows == 3
            assert len([page for page in pages if page.rows.num_rows]) == -(-objects // 3)

    @pytest.mark.parametrize("page_size", [1, 2, 5])
    async def test_tokens_lead_through_all_pages(self, tree, page_size):
        async with tree.source(page_size=page_size) as source:
            assert await keys_of(source, "", by_token=True) == list(self.TREE)

    @pytest.mark.usefixtures("tree")
    async def test_a_folder_leaves_its_namesakes_out(self, source):
        assert await keys_of(source, "foo/") == ["foo/1", "foo/2"]
        assert await keys_of(source, "foo") == ["foo/1", "foo/2", "foobar"]
        assert await keys_of(source, "dir/2") == ["dir/2/x", "dir/2/y", "dir/20"]

    @pytest.mark.usefixtures("tree")
    @pytest.mark.parametrize("prefix", ["nothing/", "foo/1/", "zzz"])
    async def test_an_empty_prefix_gives_an_empty_last_page(self, source, prefix):
        page = await source.list_page(prefix)
        assert (page.rows.num_rows, page.next_after, page.token) == (0, None, None)
        assert page.rows.schema == PAGE_SCHEMA

    async def test_an_empty_store_gives_an_empty_last_page(self, source):
        page = await source.list_page("")
        assert (page.rows.num_rows, page.next_after, page.token) == (0, None, None)

    @pytest.mark.usefixtures("tree")
    async def test_behind_the_last_key_is_nothing(self, source):
        page = await source.list_page("", after="zz")
        assert (page.rows.num_rows, page.next_after) == (0, None)

    @FEW
    @given(
        bounds=st.lists(
            st.sampled_from([*TREE, "a", "a/", "a/a", "dir/2/", "dir/2/xx", "e", "~", "\U0001f600"]), unique=True
        ),
        page_size=st.integers(1, 6),
        prefix=st.sampled_from(["", "dir/", "dir", "foo"]),
    )
    async def test_neighbouring_ranges_make_the_whole(self, tree, bounds, page_size, prefix):
        async with tree.source(page_size=page_size) as source:
            ranges = pairwise(["", *sorted(bounds), None])
            parts = [await keys_of(source, prefix, after=after, until=until) for after, until in ranges]
            assert [key for part in parts for key in part] == [key for key in self.TREE if key.startswith(prefix)]

    @pytest.mark.usefixtures("tree")
    @SHARED
    @given(
        after=st.sampled_from(["", *TREE, "a", "a/", "dir/2/", "dir3", "~"]),
        prefix=st.sampled_from(["", "dir/", "foo"]),
    )
    async def test_probe_finds_the_next_key(self, source, after, prefix):
        expected = next((key for key in self.TREE if key > after and key.startswith(prefix)), None)
        assert await source.probe(prefix, after=after) == expected

    @FEW
    @given(keys=KEY_SETS, page_size=st.integers(1, 5), data=st.data())
    async def test_keys_of_every_kind_are_listed_in_order(self, store, keys, page_size, data):
        folder = f"example-{id(keys)}-{store.put('count', b'')}/"
        keys = sorted(folder + key for key in keys if self.allows(folder + key))
        keys = [key for key in keys if not any(other.startswith(key + "/") for other in keys)]
        for key in keys:
            store.put(key, DATA[: len(key)])
        cut = data.draw(st.sampled_from(["", *keys]))
        try:
            async with store.source(page_size=page_size) as source:
                assert await keys_of(source, folder) == keys
                assert await keys_of(source, folder, after=cut) == keys[bisect_right(keys, cut) :]
        finally:
            for key in keys:
                store.delete(key)

    async def test_odd_keys_are_listed_in_order(self, store):
        keys = sorted(key for key in ODD_KEYS if self.allows(key))
        for key in keys:
            store.put(key, b"x")
        async with store.source(page_size=7) as source:
            assert await keys_of(source, "") == keys
            for prefix in ("pinned?", "per%", "é", "\U0001f600", " "):
                assert await keys_of(source, prefix) == [key for key in keys if key.startswith(prefix)]

    async def test_only_the_newest_of_each_object_is_listed(self, tree):
        for turn in range(4):
            for key in ("a.txt", "dir/1", "zz"):
                tree.put(key, DATA[: 100 + turn])
        tree.delete("a/b")
        tree.delete("dir2/1")
        tree.delete("zz")
        kept = [key for key in self.TREE if key not in ("a/b", "dir2/1", "zz")]
        async with tree.source(page_size=3) as source:
            assert await keys_of(source, "") == kept
            sizes = {row["key"]: row["size"] for row in await self.listed_facts(source)}
            assert (sizes["a.txt"], sizes["dir/1"]) == (103, 103)

    @pytest.mark.usefixtures("tree")
    async def test_listing_and_stat_tell_the_same(self, source):
        listed = await self.listed_facts(source)
        assert [row["key"] for row in listed] == list(self.TREE)
        for row, seen in zip(listed, await stat_rows(source, list(self.TREE)), strict=True):
            for fact in ("key", "size", "e_tag", "version_id", "checksum", "storage_class"):
                assert row[fact] == seen[fact], fact
            # HTTP dates, which HEAD has, know seconds only.
            assert row["last_modified"].replace(microsecond=0) == seen["last_modified"].replace(microsecond=0)

    async def listed_facts(self, source: Source) -> list[dict]:
        """Return the rows of a listing; incomplete ones are statted, as the scan does."""
        rows = []
        for page in await pages_of(source, ""):
            if page.complete:
                rows += page.rows.to_pylist()
            else:
                rows += await stat_rows(source, page.rows.column("key").to_pylist())
        return rows

    async def test_many_tasks_use_it_at_once(self, tree):
        async with tree.source(page_size=2) as source, anyio.create_task_group() as group:
            found = {}

            async def list_behind(after: str) -> None:
                found[after] = await keys_of(source, "", after=after)

            for after in ("", *self.TREE):
                group.start_soon(list_behind, after)
        assert found == {after: [key for key in self.TREE if key > after] for after in ("", *self.TREE)}


class ConnectionConformance:
    """What is given up is given up on the wire too.

    The fixture ``stalling`` gives a source and the server behind it, which begins each answer and never ends it;
    ``OPERATIONS`` names what to do with the source.
    """

    async def list(self, source: Source) -> None:
        await source.list_page("")

    async def probe(self, source: Source) -> None:
        await source.probe("", after="a")

    async def open(self, source: Source) -> None:
        await read(source, "key")

    async def test_cancelling_in_mid_answer_closes_the_connection(self, stalling, operation):
        source, server = stalling
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(source)
            with anyio.fail_after(60):
                async with anyio.create_task_group() as group:
                    group.start_soon(getattr(self, operation), source)
                    await server.stalled.wait()
                    assert not server.abandoned.is_set()
                    group.cancel_scope.cancel()
                # The source is still open: it is the cancelling that closes, not the end of the session.
                await server.abandoned.wait()
