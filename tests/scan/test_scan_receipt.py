"""The receipt of a scan: its ranges tile the key space, its counts add up."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scan_adversaries import ByTokens, Erratic, Incomplete, Overshooting, bucket, key_sets, scanned, scanning, texts

from refscan.manifest.receipt import RangeReceipt


@given(
    keys=key_sets,
    kind=st.sampled_from([Erratic, Overshooting, ByTokens, Incomplete]),
    bounds=st.sets(texts, max_size=10),
    seed=st.integers(0, 10_000),
)
async def test_ranges_tile_and_counts_add_up(keys, kind, bounds, seed):
    before = datetime.now(UTC)
    source = kind(bucket(keys), seed=seed)
    rows, scan = await scanned(source, bounds=sorted(bounds))
    receipt = scan.receipt
    starts = [part.after for part in receipt.ranges]
    assert starts == sorted(set(starts))
    assert {"", *bounds} <= set(starts), "more may come while it is listed"
    assert [part.until for part in receipt.ranges] == [*starts[1:], None]
    for part in receipt.ranges:
        held = [key for key in keys if key > part.after and (part.until is None or key <= part.until)]
        assert part.objects == len(held)
    assert receipt.objects == sum(part.objects for part in receipt.ranges) == len(rows) == len(keys)
    assert receipt.bytes == sum(row["size"] for row in rows)
    assert receipt.pinned == len(keys)
    assert receipt.requests == source.requests == source.listings + source.stats
    assert receipt.skipped == {}
    assert before <= receipt.started <= receipt.ended <= datetime.now(UTC)


async def test_bytes_and_pins_are_counted_as_far_as_they_are_known():
    class Partly(Erratic):
        async def _list_page(self, prefix, after, until, token):
            page = await super()._list_page(prefix, after, until, token)
            rows = page.rows.to_pylist()
            for row in rows:
                if row["key"] == "b":
                    row["size"] = row["version_id"] = None
            return type(page)(type(page.rows).from_pylist(rows, page.rows.schema), page.next_after)

    _, scan = await scanned(Partly(bucket(["a", "b", "c"])))
    assert (scan.receipt.bytes, scan.receipt.pinned, scan.receipt.objects) == (1 + 3, 2, 3)


async def test_it_says_what_was_asked_for():
    _, scan = await scanned(bucket(["pre/a"]), "pre")
    receipt = scan.receipt
    assert (receipt.uri, receipt.prefix, receipt.version_id, receipt.name) == (
        "memory://scanned/pre",
        "pre/",
        None,
        None,
    )
    assert receipt.checksum is True
    assert receipt.ranges == (RangeReceipt("", None, 1, "pre/a", "pre/a"),)


async def test_there_is_none_before_the_end():
    async with scanning(bucket(["a", "b"], page_size=1)) as scan:
        await anext(scan)
        with pytest.raises(RuntimeError, match="once all its batches were taken"):
            _ = scan.receipt
