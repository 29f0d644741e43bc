"""What every source must do that lists by folder (``Capabilities.walked``): directory indexes, file systems.

A class for such a source derives from ``WalkedConformance`` and has the fixture ``store``, as in ``conformance.suite``.
Its ``source`` must accept ``page_size`` and may pay no heed to it.
"""

import itertools
from collections import Counter
from dataclasses import dataclass, field

import anyio
import pytest
from conformance.keys import KEY_SETS, ODD_KEYS
from conformance.suite import DATA, SHARED, ObjectConformance, stat_rows
from hypothesis import given

from refscan.sources.source import PAGE_SCHEMA, Page, Source


@dataclass
class Walked:
    """All that a walk has met."""

    rows: list[dict] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    skipped: Counter = field(default_factory=Counter)

    @property
    def keys(self) -> list[str]:
        return [row["key"] for row in self.rows]


async def pages_of_folder(source: Source, folder: str) -> list[Page]:
    """List one folder to its end, and check each page on the way."""
    pages: list[Page] = []
    token = None
    while True:
        page = await source.list_page(folder, token=token)
        assert page.rows.schema == PAGE_SCHEMA
        for key in page.rows.column("key").to_pylist():
            assert key.startswith(folder)
            assert key != folder or key.endswith("/")
        for below in page.folders:
            assert below.startswith(folder)
            assert below.endswith("/")
            assert len(below) > len(folder)
        pages.append(page)
        if page.token is None:
            return pages
        assert page.token != token
        token = page.token


async def walk(source: Source, folder: str = "") -> Walked:
    """Walk a folder and all below it; rows that want a ``stat`` get it, as the scan does it."""
    walked = Walked()
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        for page in await pages_of_folder(source, here):
            if page.complete:
                walked.rows += page.rows.to_pylist()
            else:
                walked.rows += await stat_rows(source, page.rows.column("key").to_pylist())
            walked.skipped.update(page.skipped)
            walked.folders += page.folders
            waiting += page.folders
    assert len(set(walked.keys)) == len(walked.keys)
    assert len(set(walked.folders)) == len(walked.folders)
    return walked


def folders_of(keys: list[str]) -> set[str]:
    return {key[: end + 1] for key in keys for end, letter in enumerate(key) if letter == "/"}


class WalkedConformance(ObjectConformance):
    """Listings by folder, and all else that a source of many objects does."""

    TREE = ("a.txt", "a/b", "a0", "dir/1", "dir/2/x", "dir/2/y", "dir/20", "dir2/1", "foo/1", "foo/2", "foobar", "zz")
    numbers = itertools.count()

    @pytest.fixture
    def tree(self, store):
        for size, key in enumerate(reversed(self.TREE)):
            store.put(key, DATA[:size])
        return store

    async def test_it_says_so(self, source):
        assert source.capabilities.listed
        assert source.capabilities.walked
        assert not source.capabilities.ordered

    @pytest.mark.usefixtures("tree")
    async def test_a_walk_meets_every_object_once(self, source):
        walked = await walk(source)
        assert sorted(walked.keys) == list(self.TREE)
        assert set(walked.folders) == folders_of(list(self.TREE))
        assert not walked.skipped.total()

    @pytest.mark.usefixtures("tree")
    async def test_a_page_holds_what_lies_directly_in_its_folder(self, source):
        pages = await pages_of_folder(source, "dir/")
        keys = [key for page in pages for key in page.rows.column("key").to_pylist()]
        assert sorted(keys) == ["dir/1", "dir/20"]
        assert [folder for page in pages for folder in page.folders] == ["dir/2/"]

    @pytest.mark.usefixtures("tree")
    @pytest.mark.parametrize("folder", ["foo/", "dir/", "dir/2/"])
    async def test_a_walk_of_a_folder_leaves_its_namesakes_out(self, source, folder):
        walked = await walk(source, folder)
        assert sorted(walked.keys) == [key for key in self.TREE if key.startswith(folder)]

    @pytest.mark.parametrize("page_size", [1, 2, 5])
    async def test_tokens_lead_through_all_pages(self, tree, page_size):
        async with tree.source(page_size=page_size) as source:
            assert sorted((await walk(source)).keys) == list(self.TREE)

    @pytest.mark.usefixtures("tree")
    @pytest.mark.parametrize("folder", ["nothing/", "foo/1/", "zzz/", "fo/", "dir/3/"])
    async def test_what_is_no_folder_gives_an_empty_last_page(self, source, folder):
        page = await source.list_page(folder)
        assert (page.rows.num_rows, page.next_after, page.token, list(page.folders)) == (0, None, None, [])
        assert page.rows.schema == PAGE_SCHEMA

    async def test_an_empty_store_gives_an_empty_last_page(self, source):
        page = await source.list_page("")
        assert (page.rows.num_rows, page.next_after, page.token, list(page.folders)) == (0, None, None, [])

    @pytest.mark.usefixtures("tree")
    async def test_after_and_until_are_not_looked_at(self, source):
        page = await source.list_page("", after="zz", until="a")
        assert sorted(page.rows.column("key").to_pylist()) == ["a.txt", "a0", "foobar", "zz"]

    async def test_odd_keys_are_met(self, store):
        keys = sorted(key for key in ODD_KEYS if self.allows(key))
        for key in keys:
            store.put(key, b"x")
        async with store.source(page_size=7) as source:
            assert sorted((await walk(source)).keys) == keys

    @SHARED
    @given(keys=KEY_SETS)
    async def test_trees_of_any_shape_are_met(self, store, source, keys):
        # A folder for each example: an emptied folder may stay, and stand where the next example has a file.
        tree = f"tree {next(self.numbers)}/"
        folders = folders_of(keys)
        keys = sorted(tree + key for key in keys if self.allows(key) and key + "/" not in folders)
        for key in keys:
            store.put(key, key.encode())
        walked = await walk(source, tree)
        assert sorted(walked.keys) == keys
        assert {row["key"]: row["size"] for row in walked.rows} == {key: len(key.encode()) for key in keys}

    async def test_only_the_newest_of_each_object_is_met(self, tree):
        for turn in range(3):
            for key in ("a.txt", "dir/1", "zz"):
                tree.put(key, DATA[: 100 + turn])
        async with tree.source(page_size=3) as source:
            assert len((await walk(source)).keys) == len(self.TREE)
            # The same source sees what happens behind its back.
            for key in ("a/b", "dir2/1", "zz"):
                tree.delete(key)
            tree.put("dir/2/z", DATA[:7])
            sizes = {row["key"]: row["size"] for row in (await walk(source)).rows}
        assert sorted(sizes) == sorted({*self.TREE, "dir/2/z"} - {"a/b", "dir2/1", "zz"})
        assert (sizes["a.txt"], sizes["dir/1"], sizes["dir/2/z"]) == (102, 102, 7)

    @pytest.mark.usefixtures("tree")
    async def test_listing_and_stat_tell_the_same(self, source):
        listed = {row["key"]: row for row in (await walk(source)).rows}
        for seen in await stat_rows(source, list(self.TREE)):
            row = listed.pop(seen["key"])
            for fact in ("size", "e_tag", "version_id", "checksum", "storage_class"):
                assert row[fact] == seen[fact], fact
            # HTTP dates, which HEAD has, know seconds only.
            assert row["last_modified"].replace(microsecond=0) == seen["last_modified"].replace(microsecond=0)
        assert listed == {}

    @pytest.mark.usefixtures("tree")
    async def test_a_folder_is_no_object(self, source):
        assert await stat_rows(source, ["dir", "dir/2", "foo/"]) == []

    async def test_many_tasks_use_it_at_once(self, tree):
        async with tree.source(page_size=2) as source, anyio.create_task_group() as group:
            found = {}

            async def walk_it(turn: int) -> None:
                found[turn] = sorted((await walk(source)).keys)

            for turn in range(12):
                group.start_soon(walk_it, turn)
        assert found == {turn: list(self.TREE) for turn in range(12)}
