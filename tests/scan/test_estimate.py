"""Guesses of what a scan finds and costs: from few requests, and exact where those were enough."""

import pytest
from scan_adversaries import Distant, Handing, Incomplete, bucket, numbered

import refscan
from refscan.errors import ObjectNotFoundError
from refscan.sources.source import Capabilities

HANDS = Capabilities(pinned=True, list_concurrency=16)
LAYOUTS = {
    "flat": [f"train/{number:09}.png" for number in range(20_000)],
    "hex": [f"{number * 2654435761 % 2**32:08x}" for number in range(20_000)],
    "folders": [f"{number % 40:02}/{number:06}" for number in range(20_000)],
    "hot": [f"f250/{number:08}" for number in range(18_000)]
    + [f"f{number:03}/x{n}" for number in range(500) for n in range(4)],
    "times": [f"2024/{n // 1_700 % 12 + 1:02}/{n // 56 % 30 + 1:02}/{n % 24:02}-{n:05}" for n in range(20_000)],
}


async def guess(source, key="", **options):
    return await refscan.estimate(f"memory://scanned/{key}", source=source, **options)


@pytest.mark.parametrize("layout", LAYOUTS)
async def test_a_bounded_number_of_requests_tells_about_how_many_there_are(layout):
    keys = set(LAYOUTS[layout])
    source = Distant(bucket(keys, page_size=20), capabilities=HANDS)
    found = await guess(source)
    # A folder that holds nearly all of them is found late.
    times = 8 if layout == "hot" else 3
    assert len(keys) / times <= found.objects <= len(keys) * times
    assert not found.exact
    assert 128 * 20 * 0.8 <= found.seen < len(keys)
    assert source.listings <= 128 + 16 + 10
    assert found.requests == source.requests
    assert 0.3 * found.objects / 20 <= found.list_requests <= 3 * found.objects / 20 + 20
    assert found.stat_requests == 0


@pytest.mark.parametrize("count", [1, 10, 11, 300, 1_250])
async def test_few_objects_are_counted(count):
    found = await guess(Handing(numbered(count, page_size=10), capabilities=HANDS))
    assert found.exact
    assert found.objects == found.seen == count


async def test_facts_that_are_asked_for_one_by_one_cost_a_request_each():
    source = Incomplete(numbered(40), most=5, capabilities=HANDS)
    found = await guess(source)
    assert found.stat_requests == found.objects == 40
    assert source.stats == 0, "a guess asks for none of them"


async def test_a_single_object_is_one():
    found = await guess(Handing(bucket(["a"])), "a")
    assert (found.objects, found.exact, found.list_requests, found.stat_requests) == (1, True, 0, 1)


async def test_patterns_are_heeded():
    found = await guess(
        Handing(bucket([f"{n}.png" for n in range(30)] + [f"{n}.txt" for n in range(20)])), include="*.png"
    )
    assert (found.objects, found.exact) == (30, True)


async def test_nothing_there_is_told_as_by_a_scan():
    with pytest.raises(ObjectNotFoundError):
        await guess(Handing(bucket(["b/c"])), "a/")


async def test_at_least_one_request_is_needed():
    with pytest.raises(ValueError, match="max_requests"):
        await guess(Handing(bucket(["a"])), max_requests=0)


async def test_it_is_json():
    found = await guess(Handing(bucket(["a", "b"])))
    assert refscan.Estimate(**found.to_json()) == found
