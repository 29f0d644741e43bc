"""The last version as the map of the next scan: ranges of like size from the first request, and nothing is missed."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

import refscan
from refscan.manifest.cuts import cuts
from refscan.manifest.index import Index, Segment

KEYS = [f"data/{number:08}" for number in range(120_000)]


def bucket(keys):
    source = refscan.MemorySource("b", page_size=1_000)
    for key in keys:
        source.put(key, b"x")
    return source


def opened(tmp_path):
    return refscan.init(project="p", registry=tmp_path / "registry")


async def logged(run, keys, name=None, uri="memory://b/data/"):
    artifact = refscan.Artifact("a", "dataset")
    receipt = await artifact.add_reference(uri, name, max_objects=None, source=bucket(keys))
    return await run.log_artifact(artifact), receipt


@pytest.mark.parametrize("name", [None, "images"])
async def test_a_scan_begins_with_the_ranges_of_the_last_version(tmp_path, name):
    async with opened(tmp_path) as run:
        _, first = await logged(run, KEYS, name)
        version, second = await logged(run, KEYS, name)
    assert not version.created
    assert first.splits == len(first.ranges) - 1, "the first one had no bounds"
    assert len(second.ranges) >= 4
    objects = [part.objects for part in second.ranges]
    assert max(objects) < 3 * sum(objects) / len(objects)
    assert second.requests <= 120 + len(second.ranges) + 3


async def test_what_came_since_is_found_wherever_it_stands(tmp_path):
    new = ["data/", "data/!first", "data/00000000x", "data/00050000-between", "data/zz/last"]
    new += [f"data/5/{number}" for number in range(9)]
    async with opened(tmp_path) as run:
        await logged(run, KEYS)
        version, receipt = await logged(run, [*KEYS[:60_000], *KEYS[60_500:], *new])
    assert version.entry_count == len(KEYS) - 500 + len(new)
    assert receipt.objects == version.entry_count
    paths = [path for batch in version.batches() for path in batch.column("path").to_pylist()]
    assert {key.removeprefix("data/") or "data/" for key in new} <= set(paths)


async def test_another_reference_takes_no_bounds_from_it(tmp_path):
    async with opened(tmp_path) as run:
        await logged(run, KEYS, "one")
        _, receipt = await logged(run, KEYS[:50], "two")
    assert len(receipt.ranges) == 1


@pytest.mark.parametrize(("few", "parts"), [(50, 1), (90_000, 4)])
async def test_what_else_the_artifact_holds_cuts_nothing(tmp_path, few, parts):
    """A reference at the root takes no bounds from those that stand in folders of their own."""
    receipts = []
    async with opened(tmp_path) as run:
        for _ in range(2):
            artifact = refscan.Artifact("a", "dataset")
            receipts.append(
                await artifact.add_reference("memory://b/data/", max_objects=None, source=bucket(KEYS[:few]))
            )
            for name in ("000/more", "images"):
                await artifact.add_reference("memory://b/data/", name, max_objects=None, source=bucket(KEYS))
            await run.log_artifact(artifact)
    ranges = receipts[1].ranges
    assert all(part.objects for part in ranges)
    assert receipts[1].requests <= few // 1_000 + len(ranges) + 3
    assert len(ranges) >= parts


segments = st.lists(st.tuples(st.text(min_size=1), st.integers(1, 40_000)), max_size=30, unique_by=lambda one: one[0])


@given(segments=segments, most=st.integers(1, 70), folder=st.sampled_from(["", "a", "images"]))
def test_cuts_ascend_lie_inside_and_are_not_many(segments, most, folder):
    paths = sorted((folder + "/" if folder and number % 3 else "") + path for number, (path, _) in enumerate(segments))
    made = tuple(Segment("x", path, path, rows, 1) for path, (_, rows) in zip(sorted({*paths}), segments, strict=False))
    rows = sum(segment.rows for segment in made)
    found = cuts(Index("", "", rows, 0, made), prefix="pre/", name=folder or None, most=most)
    assert found == sorted(set(found))
    assert len(found) < most
    assert all(key.startswith("pre/") and len(key) > 4 for key in found)
    assert len(found) <= rows // 15_000


def test_parts_hold_about_as_many_rows():
    made = tuple(Segment("x", f"{number:04}", f"{number:04}~", 10_000, 1) for number in range(1_000))
    found = cuts(Index("", "", 10**7, 0, made), prefix="", name=None, most=64)
    assert len(found) == 63
    numbers = [0, *map(int, found), 1_000]
    assert all(15 <= b - a <= 17 for a, b in itertools.pairwise(numbers))
