"""Ranges that are split while they are listed: the same rows, few requests more, and all hands at work."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scan_adversaries import (
    ByTokens,
    Distant,
    Erratic,
    Handing,
    Incomplete,
    Overshooting,
    bucket,
    key_sets,
    scanned,
    texts,
    truth,
)

from refscan.sources.source import Capabilities

HANDS = Capabilities(pinned=True, list_concurrency=16)
MANY = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])

LAYOUTS = {
    "flat": [f"train/{number:09}.png" for number in range(4_000)],
    "hex": [f"{number * 2654435761 % 2**32:08x}" for number in range(4_000)],
    "folders": [f"{number % 40:02}/{number:06}" for number in range(4_000)],
    "hot": [f"hot/{number:08}" for number in range(3_600)] + [f"f{number:03}/x" for number in range(400)],
    "times": [f"2024/{n // 300 % 12 + 1:02}/{n // 10 % 30 + 1:02}/{n % 24:02}-{n:05}" for n in range(4_000)],
    "words": sorted({f"{a}{b}{c}/{n}" for a in "abcdefgh" for b in "aeiou" for c in "nrst" for n in range(25)}),
    "deep": ["a" * 900 + f"{number:06}" for number in range(4_000)],
}


@pytest.mark.parametrize("layout", LAYOUTS)
async def test_all_layouts_are_listed_by_many_hands_in_few_requests(layout):
    keys = LAYOUTS[layout]
    source = Distant(bucket(keys, page_size=10), capabilities=HANDS)
    rows, scan = await scanned(source)
    assert rows == truth(source.inner)
    pages = -(-len(keys) // 10)
    assert source.most_under_way > 8, "the work was shared"
    assert source.listings <= 1.06 * pages + 10
    assert len(scan.receipt.ranges) > 8
    assert sum(part.objects for part in scan.receipt.ranges) == len(keys)


@pytest.mark.parametrize("layout", LAYOUTS)
async def test_a_thread_without_time_has_few_hands_and_lists_all(busy, layout):
    source = Distant(bucket(LAYOUTS[layout], page_size=10), capabilities=HANDS)
    rows, _ = await scanned(source)
    assert rows == truth(source.inner)
    assert 2 <= source.most_under_way <= 8
    assert len(busy) >= len(rows) / 10  # pages of ten, and each is told


@pytest.mark.parametrize("count", [1, 9, 10, 11, 25])
async def test_few_keys_cost_few_requests(count):
    source = Handing(bucket([f"k{number:04}" for number in range(count)], page_size=10), capabilities=HANDS)
    await scanned(source)
    pages = max(1, -(-count // 10))
    assert source.listings <= 3 * pages if count > 10 else source.listings == pages


@MANY
@given(
    keys=key_sets,
    kind=st.sampled_from([Distant, Erratic, Overshooting, ByTokens, Incomplete]),
    hands=st.integers(1, 20),
    bounds=st.sets(texts, max_size=3),
    data=st.data(),
)
async def test_rows_are_the_buckets_whatever_is_split(keys, kind, hands, bounds, data):
    page_size = data.draw(st.integers(1, 4))
    capabilities = Capabilities(pinned=True, list_concurrency=hands)
    source = kind(bucket(keys, page_size=page_size), capabilities=capabilities)
    rows, scan = await scanned(source, bounds=sorted(bounds))
    assert rows == truth(source.inner)
    assert sum(part.objects for part in scan.receipt.ranges) == len(keys)


class Busy(Distant):
    """Asks to slow down while more than a few requests are under way."""

    async def _list_page(self, prefix, after, until, token):
        busy = self.under_way > 4
        return replace(await super()._list_page(prefix, after, until, token), throttled=busy)


async def test_a_busy_store_is_asked_less():
    keys = LAYOUTS["flat"]
    calm = Distant(bucket(keys, page_size=10), capabilities=Capabilities(pinned=True, list_concurrency=64))
    await scanned(calm)
    busy = Busy(bucket(keys, page_size=10), capabilities=Capabilities(pinned=True, list_concurrency=64))
    rows, _ = await scanned(busy)
    assert rows == truth(busy.inner)
    assert busy.crowded < 0.7 * calm.crowded


async def test_a_source_that_cannot_begin_behind_a_key_is_listed_by_one():
    capabilities = Capabilities(pinned=True, ranged=False, list_concurrency=16)
    source = Handing(bucket(LAYOUTS["flat"], page_size=10), capabilities=capabilities)
    rows, _ = await scanned(source)
    assert rows == truth(source.inner)
    assert (source.most_under_way, source.listings) == (1, 400)
