"""Whole scans of S3 against a store that fails in every way it may: the same rows, in order, and each once."""

import shutil
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scan_adversaries import key_sets, taken, texts
from servers.listing import Fault, Faults, ListingServer

import refscan
from refscan.errors import StoreError
from refscan.scan.pipeline import Scan
from refscan.sources.options import S3Options
from refscan.sources.s3 import S3Source
from refscan.uri import Location

MANY = settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
FLAT = [f"train/{number:06}.png" for number in range(1_200)]

buckets = st.sampled_from(["versions", "plain", "denied"])
shares = st.sampled_from([0.0, 0.05, 0.15, 0.3])


@pytest.fixture(autouse=True)
def at_once(aws, monkeypatch):  # noqa: ARG001
    """Wait for nobody: not between attempts, and not for a connection that is silent."""
    monkeypatch.setattr("refscan.sources.s3.attempts._FIRST_DELAY", 0.0005)


def serving(keys, kind="versions", **options):
    # An object whose name ends in a slash may be a folder's; none of these is empty.
    return ListingServer(keys, versions=kind != "plain", denied=kind == "denied", **options)


def scanning(server, *, bounds=(), hands=64, resume=None, key=""):
    options = S3Options(endpoint_url=server.url, connections=hands)
    if not bounds:
        return refscan.scan(f"s3://bucket/{key}", max_objects=None, options=options, resume=resume)
    location = Location("s3", "bucket", key, None, "s3")
    return Scan(location, S3Source("bucket", options), max_objects=None, bounds=sorted(bounds), resume=resume)


async def scanned(server, **options):
    async with scanning(server, **options) as scan:
        rows = await taken(scan)
    return rows, scan


async def interrupted(server, directory: Path, batches: int, **options) -> None:
    """Take some batches and go on from what the directory holds then, as after a kill at that moment."""
    left = directory.with_name("left")
    async with scanning(server, resume=directory, **options) as scan:
        count = 0
        async for _ in scan:
            count += 1
            if count > batches:
                break
        shutil.copytree(directory, left)
    shutil.rmtree(directory)
    left.rename(directory)


def check(scan, rows, server) -> None:
    assert rows == server.rows()
    receipt = scan.receipt
    assert receipt.objects == len(rows) == sum(part.objects for part in receipt.ranges)
    assert receipt.bytes == sum(row["size"] for row in rows)
    assert receipt.pinned == (len(rows) if server.versions else 0)
    assert [part.after for part in receipt.ranges] == ["", *(part.until for part in receipt.ranges[:-1])]
    assert receipt.ranges[-1].until is None


@MANY
@given(
    keys=key_sets,
    deleted=st.sets(texts, max_size=5),
    kind=buckets,
    page_size=st.integers(1, 9),
    share=shares,
    hands=st.sampled_from([1, 2, 5, 64]),
    bounds=st.sets(texts, max_size=3),
    seed=st.integers(0, 10_000),
)
async def test_rows_are_the_buckets_whatever_fails(*, keys, deleted, kind, page_size, share, hands, bounds, seed):
    faults = Faults(share, seed=seed)
    with serving(keys, kind, deleted=deleted - keys, page_size=page_size, faults=faults) as server:
        rows, scan = await scanned(server, hands=hands, bounds=bounds)
        check(scan, rows, server)


@MANY
@given(
    keys=key_sets,
    kind=buckets,
    page_size=st.integers(1, 5),
    share=shares,
    hands=st.sampled_from([1, 3, 64]),
    bounds=st.sets(texts, max_size=2),
    stops=st.lists(st.integers(0, 12), min_size=1, max_size=3),
    seed=st.integers(0, 10_000),
)
async def test_rows_are_the_buckets_wherever_it_was_killed(*, keys, kind, page_size, share, hands, bounds, stops, seed):
    faults = Faults(share, seed=seed)
    with TemporaryDirectory() as temporary, serving(keys, kind, page_size=page_size, faults=faults) as server:
        directory = Path(temporary) / "scan"
        for stop in stops:
            await interrupted(server, directory, stop, hands=hands, bounds=bounds)
        rows, scan = await scanned(server, hands=hands, bounds=bounds, resume=directory)
        check(scan, rows, server)
        scan.discard()
        assert not directory.exists()


@pytest.mark.parametrize("kind", ["versions", "plain", "denied"])
@pytest.mark.parametrize("fault", Fault)
async def test_each_fault_is_outlived(fault, kind):
    """Each request fails so with one chance in three, and up to three times; a split range's pages too."""
    keys = FLAT if kind != "denied" else FLAT[:150]
    faults = Faults(0.33, seed=7, kinds=[fault])
    with serving(keys, kind, page_size=20, faults=faults) as server:
        rows, scan = await scanned(server)
        check(scan, rows, server)
        played = Counter(request.fault for request in server.requests)
    assert played[fault] > 10
    if kind != "denied":
        assert len(scan.receipt.ranges) > 2, "the work was shared"


async def test_faults_cost_their_own_repetitions_and_no_more():
    with serving(FLAT, page_size=10) as server:
        await scanned(server)
        calm = len(server.pages)
    with serving(FLAT, page_size=10, faults=Faults(0.06, seed=3)) as server:
        rows, scan = await scanned(server)
        check(scan, rows, server)
        failed = sum(request.fault not in {None, Fault.LATE} for request in server.pages)
        assert failed > 3
        assert len(server.pages) <= 1.1 * calm + failed + 5


@pytest.mark.parametrize("hands", [1, 8])
async def test_a_page_that_never_comes_ends_the_scan_and_keeps_the_rest(hands, tmp_path):
    bound, last = "train/000700.png", "train/000900.png"

    def broken(request) -> bool:
        return request.lists and bound <= request.after < last

    with serving(FLAT, page_size=10) as server:
        await scanned(server, hands=hands)
        undisturbed = len(server.pages)
    with serving(FLAT, page_size=10, broken=broken) as server:
        with pytest.raises(StoreError) as caught:
            await scanned(server, hands=hands, resume=tmp_path / "scan")
        text = str(caught.value)
        assert text.startswith("s3://bucket/: the store is busy or broken")
        assert "while the keys behind 'train/000" in text
        assert text.count("\n") == 0
        first = [request for request in server.pages if not broken(request)]
        assert len(first) > 30
        server.broken = lambda _: False
        server.begin()
        rows, scan = await scanned(server, hands=hands, resume=tmp_path / "scan")
        check(scan, rows, server)
        assert scan.receipt.resumed
        # At most what each hand had under way is asked for again.
        assert len(first) + len(server.pages) <= 1.05 * undisturbed + 2 * hands
        if hands == 1:
            assert {request.after for request in first}.isdisjoint(request.after for request in server.pages)


async def test_what_never_comes_is_named(tmp_path):
    named = r"\(while the keys behind 'train/000499.png' were listed\)"
    with (
        serving(FLAT, "plain", page_size=10, broken=lambda request: request.after >= "train/000499.png") as server,
        pytest.raises(StoreError, match=named),
    ):
        await scanned(server, hands=1, resume=tmp_path / "scan")


async def test_what_was_statted_is_not_asked_for_again(tmp_path):
    keys = FLAT[:600]
    with serving(keys, "denied", page_size=50, faults=Faults(0.1, seed=5)) as server:
        await interrupted(server, tmp_path / "scan", 300)
        first = [request.key for request in server.requests if request.kind == "head"]
        server.begin()
        rows, scan = await scanned(server, resume=tmp_path / "scan")
        check(scan, rows, server)
        second = [request.key for request in server.requests if request.kind == "head"]
    assert len({*first}) >= 300
    assert {*first} | {*second} == {*keys}
    assert {*second}.isdisjoint(keys[:300])
    assert min(second) > keys[299]
