"""A reference's entries as runs: pages joined, none lost, the folder's own object apart."""

import pytest

from refscan.scan.collect import collect
from refscan.scan.pipeline import Scan
from refscan.sources.memory import MemorySource
from refscan.uri import Location


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize(("count", "page_size"), [(1, 1), (1_030, 1), (20_000, 1_000)])
async def test_pages_are_joined_and_none_is_lost(count, page_size, own):
    source = MemorySource("b", page_size=page_size)
    keys = [f"data/{number:06}" for number in range(count)]
    for key in [*(["data/"] if own else []), *keys]:
        source.put(key, b"x")
    location = Location("memory", "b", "data/", None, "memory")
    scan = Scan(location, source, max_objects=None)
    run, odd = await collect(scan, location, name=None, checksum=True)
    batches = list(run)
    assert [path for batch in batches for path in batch.column("path").to_pylist()] == [key[5:] for key in keys]
    assert [ref for batch in batches for ref in batch.column("ref").to_pylist()] == [f"memory://b/{k}" for k in keys]
    assert [row["ref"] for batch in odd for row in batch.to_pylist()] == (["memory://b/data/"] if own else [])
    assert len(batches) <= 1 + count // 1_000
