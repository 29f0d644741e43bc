"""Large objects come in parts, from servers that know ranges and from those that do not."""

import random

import pytest
from servers.http import Resource

from refscan import DigestMismatchError, MemorySource
from refscan.download.fetch import PART_SIZE


@pytest.fixture(scope="module")
def large():
    """Content of two parts and a bit, without a period that a misplaced part could hide in."""
    block = random.Random(1).randbytes(1_000_003)
    return (block * (2 * PART_SIZE // len(block) + 2))[: 2 * PART_SIZE + 12_345]


async def test_a_large_object_comes_in_parts(memory, log, tmp_path, large, files_below):
    source = memory({"large": large, "exactly": large[:PART_SIZE]})
    version = await log(source.base)
    source.put("large", b"overwritten")
    source.requests = 0
    report = await version.fetch(tmp_path / "root")
    assert source.requests == 3 + 1
    assert (report.fetched, report.bytes) == (2, len(large) + PART_SIZE)
    assert files_below(tmp_path / "root") == {"large": large, "exactly": large[:PART_SIZE]}
    again = await version.fetch(tmp_path / "root")
    assert (again.fetched, again.kept) == (0, 2)


@pytest.mark.parametrize("ranges", [True, False])
async def test_a_large_resource_of_a_web_server(web_server, log, tmp_path, large, ranges):
    data = large[: PART_SIZE + 4_321]
    web_server.resources["/large"] = Resource(data, e_tag='"1"', ranges=ranges)
    version = await log(f"{web_server.base}large")
    web_server.seen.clear()
    await version.download(tmp_path / "root")
    assert (tmp_path / "root" / "large").read_bytes() == data
    assert [seen.method for seen in web_server.seen] == ["GET", "GET"]
    assert sorted(seen.headers["Range"] for seen in web_server.seen) == [
        f"bytes=0-{PART_SIZE - 1}",
        f"bytes={PART_SIZE}-{PART_SIZE + 4_320}",
    ]


@pytest.mark.parametrize("e_tag", ['"2"', None])
async def test_a_large_resource_that_was_overwritten_leaves_nothing(web_server, log, tmp_path, large, e_tag):
    data = large[: PART_SIZE + 4_321]
    web_server.resources["/large"] = Resource(data, e_tag=e_tag and '"1"')
    version = await log(f"{web_server.base}large")
    web_server.resources["/large"] = Resource(data[:-1], e_tag=e_tag)
    with pytest.raises(DigestMismatchError, match=f"{web_server.base}large"):
        await version.download(tmp_path / "root")
    assert list((tmp_path / "root").iterdir()) == []


async def test_a_large_object_that_is_missing_may_be(log, tmp_path, large, files_below):
    source = MemorySource("large-and-missing")
    source.put("large", large[: PART_SIZE + 1])
    version = await log(source.base)
    MemorySource("large-and-missing")
    report = await version.fetch(tmp_path / "root", allow_missing_references=True)
    assert (report.fetched, report.missing) == (0, 1)
    assert files_below(tmp_path / "root") == {}
    with pytest.raises(FileNotFoundError, match="memory://large-and-missing/large"):
        await version.download(tmp_path / "root")
