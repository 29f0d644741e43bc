"""Rows in any order come out in key order, each once, whatever fits in memory."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nameless_files import nameless_files
from scan_adversaries import key_sets

from refscan.errors import ListingOrderError
from refscan.scan.sorter import _BATCH_ROWS, Sorter
from refscan.sources.source import PAGE_SCHEMA, page_rows

limits = st.sampled_from([0, 2_000, 1 << 20])


def fill(sorter, keys, cuts) -> None:
    for start, stop in zip([0, *cuts], [*cuts, len(keys)], strict=True):
        sorter.add(page_rows(key=keys[start:stop], size=[len(key) for key in keys[start:stop]]))


@given(keys=key_sets, memory_limit=limits, seed=st.integers(), data=st.data())
def test_rows_come_out_in_key_order(keys, memory_limit, seed, data):
    shuffled = random.Random(seed).sample(sorted(keys), len(keys))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(keys)), max_size=8)))
    sorter = Sorter("memory://b/", memory_limit=memory_limit)
    fill(sorter, shuffled, cuts)
    batches = list(sorter.batches())
    assert all(batch.schema == PAGE_SCHEMA for batch in batches)
    assert [(row["key"], row["size"]) for batch in batches for row in batch.to_pylist()] == [
        (key, len(key)) for key in sorted(keys)
    ]


@given(keys=key_sets, memory_limit=limits, data=st.data())
def test_a_key_that_comes_twice_is_an_error(keys, memory_limit, data):
    repeated = data.draw(st.sampled_from(sorted(keys)))
    sorter = Sorter("memory://b/", memory_limit=memory_limit)
    fill(sorter, [*sorted(keys), repeated], [len(keys) // 2])
    with pytest.raises(ListingOrderError, match="twice"):
        list(sorter.batches())


def test_nothing_is_left_behind():
    before = nameless_files()
    sorter = Sorter("memory://b/", memory_limit=100)
    fill(sorter, [f"{number:05}" for number in range(999)], list(range(100, 999, 100)))
    batches = sorter.batches()
    next(batches)
    assert nameless_files() - before
    sorter.close()
    batches.close()
    assert nameless_files() == before
    sorter.close()


def test_a_key_that_ends_one_batch_and_begins_the_next_is_an_error():
    sorter = Sorter("memory://b/")
    fill(sorter, [f"{number:05}" for number in range(2 * _BATCH_ROWS)] + [f"{_BATCH_ROWS - 1:05}"], [])
    with pytest.raises(ListingOrderError, match="twice"):
        list(sorter.batches())


def test_many_small_pages_take_no_more_than_their_rows():
    sorter = Sorter("memory://b/")
    for number in range(5_000):
        sorter.add(page_rows(key=[f"{number * 7 % 5_000:05}"]))
    assert len(sorter._held) < 2_000
    keys = [key for batch in sorter.batches() for key in batch.column("key").to_pylist()]
    assert keys == [f"{number:05}" for number in range(5_000)]
