"""A scan that is killed goes on where it was: every row once, in order, and little is asked for again."""

import os
import random
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scan_adversaries import (
    ByTokens,
    EmptyPages,
    Erratic,
    Handing,
    Incomplete,
    Overshooting,
    bucket,
    key_sets,
    numbered,
    scanned,
    scanning,
    taken,
    texts,
    truth,
)

from refscan.errors import MaxObjectsExceededError, ResumeError
from refscan.scan.journal import Journal
from refscan.scan.run_file import RunFile
from refscan.sources.source import Capabilities, page_rows

MANY = settings(max_examples=80, suppress_health_check=[HealthCheck.too_slow])


class Walked(Erratic):
    """Gives one folder at a time, in pages, in no order."""

    async def _list_page(self, prefix, after, until, token):  # noqa: ARG002
        await self._delay()
        below = [key for key in sorted(self.inner._versions) if key.startswith(prefix)]
        direct = [key for key in below if "/" not in key[len(prefix) :]]
        folders = sorted({prefix + key[len(prefix) :].split("/")[0] + "/" for key in below if key not in direct})
        direct.reverse()
        at = int(token or 0)
        page = await self.inner.stat(direct[at : at + 3])
        more = str(at + 3) if at + 3 < len(direct) else None
        return type(page)(page.rows, token=more, folders=folders if more is None else ())


def of_kind(kind, keys, seed, hands):
    inner = bucket(keys, page_size=3)
    if kind is Walked:
        return kind(inner, seed=seed, capabilities=Capabilities(ordered=False, walked=True, ranged=False))
    return kind(inner, seed=seed, capabilities=Capabilities(pinned=True, list_concurrency=hands, stat_concurrency=3))


def lose_tails(directory: Path, chance: random.Random) -> None:
    """Cut files off somewhere, each on its own, as a power failure may; or write rubbish behind."""
    for path in directory.iterdir():
        size = path.stat().st_size
        what = chance.random()
        if what < 0.4 and size:
            os.truncate(path, chance.randrange(size) if path.name != "journal" else chance.randrange(size // 2, size))
        elif what < 0.6:
            path.write_bytes(path.read_bytes() + bytes(chance.randrange(40)))
        elif what < 0.8:
            path.write_bytes(path.read_bytes() + chance.randbytes(20))


async def interrupted(source, directory, batches, **options):
    """Take some batches and leave, as far as the directory can tell, without a word."""
    async with scanning(source, resume=directory, **options) as scan:
        count = 0
        async for _ in scan:
            count += 1
            if count > batches:
                # What follows the copy is not seen by who goes on.
                shutil.copytree(directory, directory.with_name("left"))
                break
        else:
            shutil.copytree(directory, directory.with_name("left"))
    shutil.rmtree(directory)
    directory.with_name("left").rename(directory)


@MANY
@given(
    keys=key_sets,
    kind=st.sampled_from([Erratic, Overshooting, ByTokens, Incomplete, EmptyPages, Walked]),
    hands=st.integers(1, 20),
    bounds=st.sets(texts, max_size=3),
    stops=st.lists(st.integers(0, 12), max_size=3),
    seed=st.integers(0, 10_000),
    lossy=st.booleans(),
)
async def test_rows_are_the_buckets_wherever_it_was_killed(*, keys, kind, hands, bounds, stops, seed, lossy):
    chance = random.Random(seed)
    if kind is Walked:
        keys = {key for key in keys if not key.startswith("/") and "//" not in key and not key.endswith("/")} or {"a"}
    with TemporaryDirectory() as temporary:
        directory = Path(temporary) / "scan"
        for stop in stops:
            await interrupted(of_kind(kind, keys, seed, hands), directory, stop, bounds=sorted(bounds))
            if lossy:
                lose_tails(directory, chance)
        source = of_kind(kind, keys, seed + 1, hands)
        rows, scan = await scanned(source, resume=directory, bounds=sorted(bounds))
        assert rows == truth(source.inner)
        assert scan.receipt.objects == len(rows)
        assert sum(part.objects for part in scan.receipt.ranges) == len(keys)
        assert scan.receipt.ranges[0].after == ""
        assert scan.receipt.ranges[-1].until is None
        scan.discard()
        assert not directory.exists()


@pytest.mark.parametrize("hands", [1, 8, 32])
async def test_what_was_listed_is_not_asked_for_again(hands, tmp_path):
    can = Capabilities(pinned=True, list_concurrency=hands)
    whole = Handing(numbered(4_000, page_size=10), capabilities=can)
    await scanned(whole)
    first = Handing(numbered(4_000, page_size=10), capabilities=can)
    await interrupted(first, tmp_path / "scan", 200)
    second = Handing(numbered(4_000, page_size=10), capabilities=can)
    rows, scan = await scanned(second, resume=tmp_path / "scan")
    assert rows == truth(second.inner)
    assert scan.receipt.resumed
    assert first.listings > 150
    assert first.listings + second.listings <= 1.05 * whole.listings + hands
    assert scan.receipt.requests >= 0.95 * (first.requests + second.requests) - hands


async def test_what_was_statted_is_not_asked_for_again(tmp_path):
    can = Capabilities(stat_batch=4, stat_concurrency=5)
    whole = Incomplete(numbered(900), most=20, capabilities=can)
    await scanned(whole)
    first = Incomplete(numbered(900), most=20, capabilities=can)
    await interrupted(first, tmp_path / "scan", 150)
    second = Incomplete(numbered(900), most=20, capabilities=can)
    rows, _ = await scanned(second, resume=tmp_path / "scan")
    assert rows == truth(second.inner)
    assert first.stats > 140
    assert first.stats + second.stats < whole.stats + 45


async def test_a_scan_that_came_to_its_end_needs_no_request_but_the_first(tmp_path):
    source = Handing(numbered(500, page_size=10))
    rows, scan = await scanned(source, resume=tmp_path / "scan")
    again = Handing(numbered(500, page_size=10))
    repeated, second = await scanned(again, resume=tmp_path / "scan")
    assert repeated == rows
    assert again.listings == 0
    assert [part.objects for part in second.receipt.ranges] == [part.objects for part in scan.receipt.ranges]
    assert second.receipt.started == scan.receipt.started


async def test_it_is_not_mixed_with_another_scan(tmp_path):
    await interrupted(Handing(numbered(50, prefix="a/", page_size=10)), tmp_path / "scan", 2, key="a/")
    with pytest.raises(ResumeError, match=r"holds the scan of another reference .*'memory://scanned/a/'"):
        await scanned(Handing(numbered(50, prefix="b/", page_size=10)), "b/", resume=tmp_path / "scan")


async def test_a_login_of_the_endpoint_is_not_kept(tmp_path):
    source = Handing(numbered(50, page_size=10))
    source.endpoint = "http://ada:geheim@host:4443"
    await scanned(source, resume=tmp_path / "scan")
    kept = b"".join(path.read_bytes() for path in (tmp_path / "scan").iterdir())
    assert b"host:4443" in kept
    assert b"geheim" not in kept


async def test_a_directory_with_other_things_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("all of it")
    with pytest.raises(ResumeError, match="is not empty and holds no scan"):
        await scanned(Handing(numbered(5)), resume=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


async def test_two_at_once_do_not_share_a_directory(tmp_path):
    async with scanning(Handing(numbered(50)), resume=tmp_path / "scan") as scan:
        with pytest.raises(ResumeError, match="is used by a scan that is running"):
            await scanned(Handing(numbered(50)), resume=tmp_path / "scan")
        assert len(await taken(scan)) == 50


async def test_the_limit_counts_what_was_found_before(tmp_path):
    await interrupted(Handing(numbered(100, page_size=10)), tmp_path / "scan", 7)
    with pytest.raises(MaxObjectsExceededError):
        await scanned(Handing(numbered(100, page_size=10)), resume=tmp_path / "scan", max_objects=50)
    rows, _ = await scanned(Handing(numbered(100, page_size=10)), resume=tmp_path / "scan", max_objects=100)
    assert len(rows) == 100


async def test_a_page_that_failed_for_good_leaves_what_was_listed(tmp_path):
    class Failing(Handing):
        async def _list_page(self, prefix, after, until, token):
            if after > "000500":
                raise PermissionError("gone")
            return await super()._list_page(prefix, after, until, token)

    with pytest.raises(PermissionError):
        await scanned(
            Failing(numbered(1_000, page_size=10), capabilities=Capabilities(list_concurrency=1)),
            resume=tmp_path / "scan",
        )
    source = Handing(numbered(1_000, page_size=10))
    rows, _ = await scanned(source, resume=tmp_path / "scan")
    assert rows == truth(source.inner)
    assert source.listings < 70


async def test_a_single_object_needs_no_directory(tmp_path):
    rows, scan = await scanned(Handing(bucket(["a"])), "a", resume=tmp_path / "scan")
    assert len(rows) == 1
    assert not (tmp_path / "scan").exists()
    scan.discard()


def rows_of(number):
    return page_rows(key=[f"{number:03}{letter}" for letter in "abc"], size=[number, None, 1])


@given(cut=st.integers(0, 3_000), flipped=st.integers(0, 3_000), count=st.integers(0, 4))
def test_a_file_gives_back_its_whole_records_and_nothing_else(cut, flipped, count):
    with TemporaryDirectory() as temporary:
        path = Path(temporary) / "run"
        written = RunFile(path)
        ends = [0]
        for number in range(count):
            written.append({"number": number}, rows_of(number))
            ends.append(written.end)
        written.close()
        data = bytearray(path.read_bytes()[:cut] if path.exists() else b"")
        if flipped < len(data):
            data[flipped] ^= 0x10
        path.write_bytes(data)
        whole = sum(end <= min(len(data), flipped) for end in ends[1:])
        run = RunFile(path)
        found = list(run.recover())
        assert [record.header["number"] for record in found] == list(range(whole))
        assert all(record.rows == rows_of(number) for number, record in enumerate(found))
        run.append({"number": 9}, rows_of(9))
        assert RunFile(path).read(ends[whole]).header["number"] == 9
        run.close()


@given(cut=st.integers(0, 600), keys=st.lists(st.text(st.characters(codec="utf-8")), max_size=4))
def test_a_journal_gives_back_its_whole_lines(cut, keys):
    with TemporaryDirectory() as temporary:
        journal = Journal(Path(temporary) / "scan", {"uri": "memory://a/"}, ["m"])
        for key in keys:
            journal.split("m", key)
        journal.close()
        path = Path(temporary) / "scan" / "journal"
        data = path.read_bytes()
        first = data.index(b"\n") + 1
        path.write_bytes(data[: first + cut])
        again = Journal(Path(temporary) / "scan", {"uri": "memory://a/"})
        whole = data[: first + cut].count(b"\n") - 1
        assert again.resumed
        assert again.bounds == ["m"]
        assert again.splits == [("m", key) for key in keys[:whole]]
        again.close()
