"""How much a scan asks for: never more objects than allowed, never more at once, never far ahead of its reader."""

from dataclasses import replace

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scan_adversaries import (
    Erratic,
    Handing,
    Incomplete,
    bucket,
    numbered,
    scanned,
    scanned_into,
    scanning,
    taken,
    texts,
    truth,
)

import refscan
from refscan.errors import MaxObjectsExceededError
from refscan.sources.source import Capabilities, Page, page_rows


async def test_as_many_objects_as_allowed_pass():
    source = Handing(numbered(30, page_size=10))
    rows, _ = await scanned(source, max_objects=30)
    assert len(rows) == 30


async def test_one_object_too_many_does_not():
    with pytest.raises(MaxObjectsExceededError):
        await scanned(Handing(numbered(31, page_size=10)), max_objects=30)


async def test_the_refusal_names_the_argument_and_the_uri():
    source = numbered(4, prefix="pre/")
    with pytest.raises(ValueError, match=r"^memory://scanned/pre holds more than 3 objects; .*max_objects") as caught:
        await scanned(source, "pre", max_objects=3)
    assert type(caught.value) is MaxObjectsExceededError
    assert caught.value.uri == "memory://scanned/pre"


async def test_one_range_stops_at_the_page_that_passes_the_limit():
    source = Handing(numbered(1_000, page_size=10), capabilities=Capabilities(list_concurrency=1))
    with pytest.raises(MaxObjectsExceededError):
        await scanned(source, max_objects=25)
    assert source.listings == 3


@given(limit=st.integers(1, 120), seed=st.integers(0, 10_000))
@settings(max_examples=25)
async def test_many_ranges_stop_within_one_round_of_pages(limit, seed):
    source = Erratic(numbered(1_000), seed=seed, most=1)
    seen: list[dict[str, object]] = []
    with pytest.raises(MaxObjectsExceededError):
        await scanned_into(seen, source, max_objects=limit, bounds=[f"{n:06}" for n in range(100, 1_000, 100)])
    assert limit + 1 <= source.listings <= limit + 8
    assert len(seen) <= limit


async def test_folder_markers_do_not_count():
    source = bucket(["a/x", "b/x"])
    for marker in ("a/", "b/", "c/"):
        source.put(marker, b"")
    rows, scan = await scanned(source, max_objects=2)
    assert len(rows) == 2
    assert scan.receipt.skipped == {"folder_marker": 3}


async def test_none_lifts_the_limit_that_is_there_by_default():
    source = numbered(10_001)
    async with refscan.scan("memory://scanned/") as scan:
        with pytest.raises(MaxObjectsExceededError, match="more than 10000 objects"):
            await taken(scan)
    rows, _ = await scanned(source, max_objects=None)
    assert len(rows) == 10_001


@pytest.mark.parametrize("limit", [0, -1])
async def test_a_limit_of_nothing_is_refused(limit):
    with pytest.raises(ValueError, match="max_objects must be at least 1"):
        scanning(bucket(["a"]), max_objects=limit)


class Gated(Incomplete):
    """``stat`` answers once as many are under way as may be, and everybody had a chance to ask for more."""

    def __init__(self, inner, **options):
        super().__init__(inner, **options)
        self.statting = self.most_statting = 0
        self.all_busy = anyio.Event()

    async def _list_page(self, prefix, after, until, token):
        page = await self.inner.list_page(prefix, after=after, until=until, token=token)
        return replace(page, rows=page_rows(key=page.rows.column("key")), complete=False)

    async def _stat(self, keys, version_id):
        assert len(keys) <= self.capabilities.stat_batch
        self.statting += 1
        self.most_statting = max(self.most_statting, self.statting)
        if self.statting == self.capabilities.stat_concurrency:
            await anyio.wait_all_tasks_blocked()
            self.all_busy.set()
        await self.all_busy.wait()
        await self._delay()
        self.statting -= 1
        return await self.inner.stat(keys, version_id=version_id)


@pytest.mark.parametrize(
    ("capabilities", "at_once", "count"),
    [
        (Capabilities(), 64, 300),
        (Capabilities(stat_concurrency=5), 5, 40),
        (Capabilities(stat_batch=3, stat_concurrency=4), 4, 120),
    ],
)
async def test_objects_are_asked_for_with_bounded_concurrency_and_keep_their_order(capabilities, at_once, count):
    source = Gated(numbered(count, page_size=100), capabilities=capabilities, seed=9)
    with anyio.fail_after(60):
        rows, scan = await scanned(source)
    assert rows == truth(source.inner)
    assert source.most_statting == at_once
    assert scan.receipt.skipped == {}


async def test_default_capabilities_ask_for_sixty_four_objects_at_once():
    assert Capabilities().stat_batch == 1
    assert Capabilities().stat_concurrency == 64


class Vanishing(Incomplete):
    """Some objects are gone between the listing and ``stat``; the source counts them itself, or leaves it."""

    def __init__(self, inner, gone, *, counts: bool, **options):
        super().__init__(inner, **options)
        self.gone = gone
        self.counts = counts

    async def _stat(self, keys, version_id):
        left = [key for key in keys if key not in self.gone]
        page = await super()._stat(left, version_id)
        counted = {"vanished": len(keys) - len(left)} if self.counts and len(left) < len(keys) else {}
        return Page(page.rows, skipped=counted)


@given(
    keys=st.sets(texts, min_size=2, max_size=30),
    counts=st.booleans(),
    batch=st.integers(1, 7),
    seed=st.integers(0, 10_000),
    data=st.data(),
)
@settings(max_examples=40)
async def test_what_vanished_since_the_listing_is_counted(keys, counts, batch, seed, data):
    gone = data.draw(st.sets(st.sampled_from(sorted(keys)), max_size=len(keys) - 1))
    capabilities = Capabilities(stat_batch=batch, stat_concurrency=3)
    source = Vanishing(bucket(keys), gone, counts=counts, seed=seed, capabilities=capabilities)
    rows, scan = await scanned(source, bounds=sorted(data.draw(st.sets(texts, max_size=3))))
    assert rows == [row for row in truth(source.inner) if row["key"] not in gone]
    assert scan.receipt.skipped == ({"vanished": len(gone)} if gone else {})
    assert scan.receipt.objects == len(keys) - len(gone)
    assert sum(part.objects for part in scan.receipt.ranges) == len(keys)


async def test_markers_that_only_stat_tells_apart_are_left_out_too():
    inner = bucket(["a/b", "c/"])
    inner.put("a/", b"")
    rows, scan = await scanned(Incomplete(inner, seed=1))
    assert [row["key"] for row in rows] == ["a/b", "c/"]
    assert scan.receipt.skipped == {"folder_marker": 1}


@pytest.mark.parametrize("stat_concurrency", [1, 4, 64])
async def test_a_scan_that_nobody_reads_stops_asking(stat_concurrency):
    source = Handing(numbered(500, page_size=1), capabilities=Capabilities(stat_concurrency=stat_concurrency))
    async with scanning(source) as scan:
        await anyio.wait_all_tasks_blocked()
        ahead = source.listings
        # The line of work, four pages of the range before it, four batches behind it, and one in each hand.
        assert ahead <= 2 * stat_concurrency + 4 + 4 + 3
        taken = 0
        async for batch in scan:
            taken += batch.num_rows
            if taken % 100 == 0 and taken < 400:
                await anyio.wait_all_tasks_blocked()
                assert source.listings <= ahead + taken
    assert taken == source.listings == 500


async def test_a_scan_that_nobody_reads_stops_asking_for_objects():
    source = Handing(numbered(1_000, page_size=10), capabilities=Capabilities(stat_concurrency=4))
    incomplete = Gated(source, capabilities=source.capabilities, seed=1)
    async with scanning(incomplete):
        await anyio.wait_all_tasks_blocked()
        assert 4 <= incomplete.stats <= 2 * 4 + 4 + 1


async def test_the_progress_of_a_scan_can_be_seen():
    seen = []

    class Watched(Gated):
        async def _stat(self, keys, version_id):
            page = await super()._stat(keys, version_id)
            seen.append(scan.concurrency)
            return page

    source = Watched(numbered(20), capabilities=Capabilities(stat_concurrency=6))
    async with scanning(source) as scan:
        assert (scan.listed, scan.objects) == (0, 0)
        rows = sum([batch.num_rows async for batch in scan])
        assert scan.listed == scan.objects == rows == 20
        assert scan.concurrency == 0
    assert max(seen) == 6
