"""Whole scans: every object once, in key order, whatever the source does to its pages."""

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scan_adversaries import (
    ByTokens,
    EmptyPages,
    Erratic,
    Handing,
    Incomplete,
    Overshooting,
    bucket,
    controls,
    key_sets,
    numbered,
    reversed_rows,
    scanned,
    scanned_into,
    scanning,
    taken,
    texts,
    truth,
)

from refscan.errors import ListingOrderError, ObjectNotFoundError
from refscan.sources.source import PAGE_SCHEMA, Capabilities, Page, page_rows

seeds = st.integers(0, 10_000)
adversaries = st.sampled_from([Erratic, Overshooting, EmptyPages, ByTokens, Incomplete])


@st.composite
def bounds_for(draw, keys) -> list[str]:
    """Draw bounds on keys, between them, and beside them all."""
    bound = st.sampled_from(sorted(keys)) | texts | controls
    return sorted(draw(st.sets(bound, max_size=12)))


@given(keys=key_sets, adversary=adversaries, seed=seeds, data=st.data())
@settings(max_examples=150)
async def test_rows_are_the_buckets_in_key_order(keys, adversary, seed, data):
    source = adversary(bucket(keys), seed=seed)
    rows, scan = await scanned(source, bounds=data.draw(bounds_for(keys)))
    assert rows == truth(source.inner)
    assert scan.receipt.objects == len(rows)


@given(keys=key_sets, adversary=adversaries, seed=seeds, data=st.data())
@settings(max_examples=50)
async def test_a_folder_holds_its_keys_and_no_neighbours(keys, adversary, seed, data):
    inner = bucket([f"{folder}{key}" for folder in ("pre", "pre/", "pre2/") for key in keys])
    bounds = sorted({"pre/" + bound for bound in data.draw(bounds_for(keys))} | data.draw(st.sets(texts, max_size=2)))
    rows, _ = await scanned(adversary(inner, seed=seed), "pre/", bounds=bounds)
    assert rows == truth(inner, "pre/")


@pytest.mark.parametrize("count", [1, 999, 1_000, 1_001, 2_000])
async def test_pages_that_end_where_the_listing_ends(count):
    source = Handing(numbered(count), capabilities=Capabilities(list_concurrency=1))
    rows, _ = await scanned(source)
    assert rows == truth(source.inner)
    assert source.listings == -(-count // 1_000)


async def test_a_range_whose_bound_ends_a_page_is_not_asked_for_more():
    class WithoutUntil(Handing):
        async def _list_page(self, prefix, after, until, token):  # noqa: ARG002
            return await super()._list_page(prefix, after, None, token)

    source = WithoutUntil(numbered(20, page_size=5))
    rows, _ = await scanned(source, bounds=["000004", "000014"])
    assert rows == truth(source.inner)
    assert source.listings == 4


async def test_batches_have_the_page_schema_and_none_is_empty():
    async with scanning(EmptyPages(numbered(50), seed=4)) as scan:
        batches = [batch async for batch in scan]
    assert all(batch.schema == PAGE_SCHEMA and batch.num_rows > 0 for batch in batches)


async def test_the_keys_that_trap_a_walk_by_folders():
    rows, _ = await scanned(bucket(["a0", "a/b", "a.txt"], page_size=1))
    assert [row["key"] for row in rows] == ["a.txt", "a/b", "a0"]


async def test_all_ranges_are_listed_though_they_outnumber_the_workers():
    source = Erratic(numbered(200), seed=1)
    bounds = [f"{number:06}" for number in range(5, 200, 5)]
    rows, scan = await scanned(source, bounds=bounds)
    assert rows == truth(source.inner)
    assert len(scan.receipt.ranges) == 40
    assert 1 < source.most_under_way <= 8


async def test_a_range_that_ends_long_before_its_turn_is_kept_until_then():
    """The first range waits at a gate until the others are listed, far past what they may hold in memory."""
    gate = anyio.Event()

    class FirstRangeLast(Handing):
        async def _list_page(self, prefix, after, until, token):
            page = await super()._list_page(prefix, after, until, token)
            if not after:
                await gate.wait()
            elif page.next_after is None:
                gate.set()
            return page

    source = FirstRangeLast(numbered(100, page_size=2))
    rows, _ = await scanned(source, bounds=["000009"])
    assert rows == truth(source.inner)


@given(keys=key_sets, seed=seeds, data=st.data())
@settings(max_examples=60)
async def test_a_source_that_ignores_where_to_begin_is_listed_by_its_tokens(keys, seed, data):
    source = ByTokens(bucket(keys), seed=seed)
    rows, _ = await scanned(source, bounds=data.draw(bounds_for(keys)))
    assert rows == truth(source.inner)


async def test_listing_by_tokens_begins_anew_once():
    source = ByTokens(numbered(100), seed=3, capabilities=Capabilities(list_concurrency=1))
    rows, _ = await scanned(source)
    assert rows == truth(source.inner)
    assert source.begun == 3  # The first page, the second that was the first again, and the first by token.


class Shuffled(Handing):
    """Pages whose own rows are out of order."""

    async def _list_page(self, prefix, after, until, token):
        page = await super()._list_page(prefix, after, until, token)
        return Page(reversed_rows(page.rows), page.next_after, page.token)


class PagesBackwards(Handing):
    """Sorted pages that lead backwards through the keys: by tokens, and behind whatever key."""

    keys = ("5", "6"), ("3", "4"), ("1", "2")

    async def _list_page(self, prefix, after, until, token):  # noqa: ARG002
        number = int(token or 0)
        keys = self.keys[number]
        more = number + 1 < len(self.keys)
        return Page(page_rows(key=keys), keys[-1] if more else None, str(number + 1) if more else None)


class OnePageForEver(Handing):
    """Neither a key nor a token leads past the first page."""

    async def _list_page(self, prefix, after, until, token):  # noqa: ARG002
        page = await super()._list_page(prefix, "", None, None)
        return Page(page.rows, page.next_after, "again")


class NoTokens(OnePageForEver):
    """Ignores where to begin, and has no tokens either."""

    async def _list_page(self, prefix, after, until, token):
        page = await super()._list_page(prefix, after, until, token)
        return Page(page.rows, page.next_after)


@pytest.mark.parametrize("bounds", [(), ("000003",), ("000002", "000005")])
@pytest.mark.parametrize("broken", [Shuffled, PagesBackwards, OnePageForEver, NoTokens])
async def test_a_listing_out_of_order_is_an_error(broken, bounds):
    source = broken(numbered(10, page_size=4))
    with pytest.raises(ListingOrderError, match=r"^memory://scanned/: ") as caught:
        await scanned(source, bounds=bounds)
    assert caught.value.uri == "memory://scanned/"
    assert source.closed == 1


class EmptyForEver(Handing):
    """Pages without rows that promise more behind the key that was asked for."""

    async def _list_page(self, prefix, after, until, token):  # noqa: ARG002
        return Page(page_rows(key=[]), next_after=after or "a", token="t")


class EmptyAfterTheFirstPage(Handing):
    """Ignores where to begin; its tokens lead to a page without rows that leads to itself."""

    async def _list_page(self, prefix, after, until, token):  # noqa: ARG002
        if token:
            return Page(page_rows(key=[]), next_after="000003", token="stuck")
        page = await super()._list_page(prefix, "", until, None)
        return Page(page.rows, page.next_after, "stuck")


class Backwards(Handing):
    """Says after the first page that the next one begins before it."""

    async def _list_page(self, prefix, after, until, token):
        page = await super()._list_page(prefix, after, until, token)
        return Page(page.rows, next_after="000001" if after else page.next_after)


@pytest.mark.parametrize("broken", [EmptyForEver, EmptyAfterTheFirstPage, Backwards])
async def test_a_listing_that_stands_still_is_an_error(broken):
    with pytest.raises(ListingOrderError, match=r"memory://scanned/: the listing stands still at ") as caught:
        await scanned(broken(numbered(10, page_size=4)))
    assert caught.value.uri == "memory://scanned/"


class RowsBehindTheNextPage(Handing):
    """Says that the next page begins before the last row of this one, so that the row comes twice."""

    async def _list_page(self, prefix, after, until, token):
        page = await super()._list_page(prefix, after, until, token)
        return Page(page.rows, page.next_after and page.rows.column("key")[-2].as_py())


class StatBackwards(Incomplete):
    """Answers ``stat`` in another order than it was asked."""

    async def _stat(self, keys, version_id):
        page = await super()._stat(keys, version_id)
        return Page(reversed_rows(page.rows))


class StatTwice(Incomplete):
    """Answers ``stat`` of one batch with the batch before it, too."""

    before = ()

    async def _stat(self, keys, version_id):
        before, self.before = self.before, keys
        return await super()._stat([*before, *keys], version_id)


@pytest.mark.parametrize("broken", [RowsBehindTheNextPage, StatBackwards, StatTwice])
async def test_no_row_leaves_out_of_order_or_twice(broken):
    source = broken(numbered(10, page_size=4), capabilities=Capabilities(stat_batch=4, stat_concurrency=1))
    rows: list[dict[str, object]] = []
    with pytest.raises(ListingOrderError, match=r"memory://scanned/: the store does not list in key order"):
        await scanned_into(rows, source)
    keys = [row["key"] for row in rows]
    assert keys == sorted(set(keys))


async def test_folder_markers_are_left_out_and_counted_once():
    inner = bucket(["a", "a/b", "c/d"], page_size=2)
    for marker in ("a/", "c/", "c/e//"):
        inner.put(marker, b"")
    inner.put("f/", b"content")
    inner.put("empty", b"")
    source = Overshooting(inner, seed=2)
    rows, scan = await scanned(source, bounds=["a/", "b", "c/d"])
    assert [row["key"] for row in rows] == ["a", "a/b", "c/d", "empty", "f/"]
    assert scan.receipt.skipped == {"folder_marker": 3}


async def test_a_bucket_of_markers_holds_nothing_to_reference():
    inner = bucket([])
    inner.put("x/", b"")
    with pytest.raises(ObjectNotFoundError, match=r"holds no objects; skipped: 1 folder_marker$"):
        await scanned(inner)


async def test_one_scan_after_another_of_one_source():
    source = Erratic(numbered(30), seed=5)
    first, _ = await scanned(source)
    second, _ = await scanned(source)
    assert first == second == truth(source.inner)
    assert (source.opened, source.closed) == (2, 2)


async def test_two_scans_of_one_source_at_once():
    source = Erratic(numbered(60), seed=6)
    async with scanning(source, bounds=["000020"]) as one, scanning(source) as other:
        results: list[list] = [[], []]

        async def take(number, scan):
            results[number] = await taken(scan)

        async with anyio.create_task_group() as group:
            group.start_soon(take, 0, one)
            group.start_soon(take, 1, other)
    assert results[0] == results[1] == truth(source.inner)
