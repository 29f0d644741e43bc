"""Sources that know one folder at a time, or list in no order: the same objects, in key order, none lost or doubled."""

import random

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scan_adversaries import COLUMNS, bucket, key_sets, scanned, scanning, truth

from refscan.errors import ListingOrderError, MaxObjectsExceededError, ObjectNotFoundError, StoreError
from refscan.sources.source import Capabilities, NoIndexError, Page, page_rows

MANY = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])


class Folders:
    """A tree that is listed by folder, each folder in an order of its own."""

    capabilities = Capabilities(ordered=False, walked=True, ranged=False)

    def __init__(self, keys, *, page_size: int = 1_000, seed: int = 0):
        self.inner = bucket(keys, page_size=page_size)
        self.base = self.inner.base
        self.requests = self.retries = 0
        self.endpoint = None
        self.under_way = self.most_under_way = 0
        self._random = random.Random(seed)
        self._page_size = page_size
        self._listings: dict[str, list[tuple[str, bool]]] = {}

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        pass

    async def stat(self, keys, *, version_id=None):
        return await self.inner.stat(keys, version_id=version_id)

    async def list_page(self, prefix, *, after="", until=None, token=None):
        assert (after, until) == ("", None)
        self.requests += 1
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        await anyio.lowlevel.checkpoint()
        self.under_way -= 1
        if prefix not in self._listings:
            self._listings[prefix] = self._folder(prefix)
        found, start = self._listings[prefix], int(token or 0)
        part = found[start : start + self._page_size]
        keys = [name for name, is_folder in part if not is_folder]
        following = str(start + self._page_size) if start + self._page_size < len(found) else None
        rows = (await self.inner.stat(keys)).rows if keys else page_rows(key=[])
        return self.page(prefix, rows, [name for name, is_folder in part if is_folder], following)

    def _folder(self, prefix):
        names = {}
        for row in truth(self.inner, prefix):
            name, slash, _ = row["key"][len(prefix) :].partition("/")
            names[prefix + name + slash] = bool(slash)
        found = list(names.items())
        self._random.shuffle(found)
        return found

    def page(self, prefix, rows, folders, token):
        del prefix
        return Page(rows, token=token, folders=folders)


# A file and a folder of one name are two things; a key that ends in "/" would be a folder without a name below.
trees = key_sets.map(lambda keys: {key for key in keys if not key.endswith("/")}).filter(bool)


@MANY
@given(keys=trees, page_size=st.integers(1, 5), seed=st.integers())
async def test_a_tree_is_walked_whole_and_in_order(keys, page_size, seed):
    source = Folders(keys, page_size=page_size, seed=seed)
    rows, scan = await scanned(source)
    assert rows == truth(source.inner)
    assert (scan.receipt.objects, scan.receipt.requests) == (len(keys), source.requests)
    (covered,) = scan.receipt.ranges
    assert (covered.after, covered.until, covered.objects) == ("", None, len(keys))


class Shuffled(Folders):
    """Lists all in one go, in no order, as directory buckets do."""

    capabilities = Capabilities(ordered=False, ranged=False)

    def _folder(self, prefix):
        found = [(row["key"], False) for row in truth(self.inner, prefix)]
        self._random.shuffle(found)
        return found


@MANY
@given(keys=key_sets, page_size=st.integers(1, 5), seed=st.integers())
async def test_an_unordered_listing_is_sorted(keys, page_size, seed):
    source = Shuffled(keys, page_size=page_size, seed=seed)
    rows, _ = await scanned(source)
    assert rows == truth(source.inner)
    assert source.most_under_way == 1, "it is listed serially"


async def test_folders_are_listed_at_once_within_bounds():
    source = Folders([f"{number // 10}/{number}" for number in range(500)])
    await scanned(source)
    assert 1 < source.most_under_way <= 8


class Bare(Folders):
    """Tells keys only, so that all want a stat."""

    def page(self, prefix, rows, folders, token):
        del prefix
        return Page(page_rows(key=rows.column("key")), token=token, folders=folders, complete=False)


async def test_incomplete_rows_are_statted():
    source = Bare([f"{number % 7}/{number % 3}/{number}" for number in range(100)])
    rows, _ = await scanned(source)
    assert rows == truth(source.inner)


async def test_a_folder_below():
    keys = ["a/1", "a/b/2", "a.txt", "ab/3"]
    source = Folders(keys)
    rows, _ = await scanned(source, "a/")
    assert [row["key"] for row in rows] == ["a/1", "a/b/2"]


async def test_too_many_objects_are_refused_early():
    source = Folders([f"{number // 10:03}/{number:04}" for number in range(2_000)])
    with pytest.raises(MaxObjectsExceededError, match="more than 50 objects"):
        await scanned(source, max_objects=50)
    assert source.requests < 40


async def test_an_empty_tree():
    with pytest.raises(ObjectNotFoundError, match="holds no objects"):
        await scanned(Folders([]))


class Odd(Folders):
    """Names folders that it should not."""

    def __init__(self, folders):
        super().__init__(["a/b"])
        self._named = folders

    def page(self, prefix, rows, folders, token):
        return Page(rows, token=token, folders=[*folders, *self._named(prefix)])


@pytest.mark.parametrize(
    ("named", "error", "text"),
    [
        (lambda prefix: [prefix], ListingOrderError, "does not lie below"),
        (lambda _: ["elsewhere"], ListingOrderError, "does not lie below"),
        (lambda prefix: [prefix + "no-slash"], ListingOrderError, "does not lie below"),
        (lambda prefix: [prefix + "loop/"], StoreError, "256 deep"),
        (lambda prefix: ["a/"] if not prefix else [], ListingOrderError, "twice"),
    ],
)
async def test_a_listing_that_leads_astray_is_an_error(named, error, text):
    with pytest.raises(error, match=text):
        await scanned(Odd(named))


class Pages(Folders):
    """One folder has a page of its own in place of an index."""

    async def list_page(self, prefix, **how):
        if prefix == "x/page/":
            raise NoIndexError(f"{prefix}: no index")
        return await super().list_page(prefix, **how)


async def test_a_folder_without_an_index_is_left_out_and_counted():
    keys = ["x/1", "x/page/2", "x/b/3"]
    rows, scan = await scanned(Pages(keys), "x/")
    assert [row["key"] for row in rows] == ["x/1", "x/b/3"]
    assert scan.receipt.skipped == {"folder_without_index": 1}
    with pytest.raises(NoIndexError):
        await scanned(Pages(keys), "x/page/")


class Still(Folders):
    def page(self, prefix, rows, folders, token):
        del token
        return Page(rows, token="0", folders=folders if prefix else [])


async def test_a_listing_that_stands_still_is_an_error():
    with pytest.raises(ListingOrderError, match="stands still"):
        await scanned(Still(["x"]))


async def test_leaving_ends_the_walk():
    source = Folders([f"{number}/x" for number in range(1_000)])
    async with scanning(source):
        pass
    asked = source.requests
    await anyio.wait_all_tasks_blocked()
    assert source.requests == asked < 1_000


def test_columns_are_those_of_the_truth():
    assert set(truth(bucket(["a"]))[0]) == set(COLUMNS)
