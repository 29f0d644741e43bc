"""Sorted rows in memory or on disk: the same rows, and no file left behind."""

import gc
import tempfile

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scan_adversaries import key_sets, texts

from refscan.scan.spool import Spool
from refscan.sources.source import PAGE_SCHEMA, page_rows

limits = st.sampled_from([0, 400, 1 << 20])


@pytest.fixture
def directory(monkeypatch, tmp_path):
    """Where spools put their files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "spools"))
    (tmp_path / "spools").mkdir()
    return tmp_path / "spools"


def spooled(batches, *, memory_limit: int) -> Spool:
    spool = Spool(PAGE_SCHEMA, "key", memory_limit=memory_limit)
    for batch in batches:
        spool.append(batch)
    spool.seal()
    return spool


@st.composite
def batches_of(draw, keys) -> list[pa.RecordBatch]:
    """Draw where the rows of a sorted set of keys are cut into batches; some are empty, all are slices."""
    ordered = sorted(keys)
    rows = page_rows(key=ordered, size=[n if n % 3 else None for n in range(len(ordered))])
    cuts = sorted(draw(st.lists(st.integers(0, len(ordered)), max_size=6)))
    return [rows.slice(a, b - a) for a, b in zip([0, *cuts], [*cuts, len(ordered)], strict=True)]


def rows_of(batches) -> list[dict[str, object]]:
    return [row for batch in batches for row in batch.to_pylist()]


@given(keys=key_sets, memory_limit=limits, data=st.data())
def test_what_went_in_comes_out_any_number_of_times(keys, memory_limit, data):
    batches = data.draw(batches_of(keys))
    spool = spooled(batches, memory_limit=memory_limit)
    assert rows_of(spool) == rows_of(spool) == rows_of(batches)
    assert spool.rows == len(keys)
    assert (spool.first, spool.last) == (min(keys), max(keys))
    assert all(batch.schema == PAGE_SCHEMA and batch.num_rows for batch in spool)
    spool.close()


@given(keys=key_sets, memory_limit=limits, data=st.data())
def test_between_gives_the_batches_that_may_hold_the_range(keys, memory_limit, data):
    batches = data.draw(batches_of(keys))
    bound = st.sampled_from(sorted(keys)) | texts | st.just("")
    first, last = data.draw(bound), data.draw(bound | st.none())
    spool = spooled(batches, memory_limit=memory_limit)
    expected = []
    for batch in batches:
        held = batch.column("key").to_pylist()
        if held and held[-1] >= first and (last is None or held[0] <= last):
            expected.append(held)
    assert [batch.column("key").to_pylist() for batch in spool.between(first, last)] == expected
    spool.close()


@given(keys=key_sets, memory_limit=limits, data=st.data())
def test_find_gives_the_one_row_or_none(keys, memory_limit, data):
    batches = data.draw(batches_of(keys))
    wanted = data.draw(st.sampled_from(sorted(keys)) | texts)
    spool = spooled(batches, memory_limit=memory_limit)
    found = spool.find(wanted)
    expected = [row for row in rows_of(batches) if row["key"] == wanted]
    assert ([] if found is None else found.to_pylist()) == expected
    spool.close()


def test_rows_in_the_memory_limit_make_no_file(directory):
    spool = spooled([page_rows(key=["a", "b"])], memory_limit=1 << 20)
    assert list(directory.iterdir()) == []
    spool.close()


def test_rows_past_the_memory_limit_are_in_one_file(directory):
    spool = spooled([page_rows(key=[f"{n:09}" for n in range(s, s + 10)]) for s in range(0, 100, 10)], memory_limit=300)
    assert len(list(directory.iterdir())) == 1
    assert spool._held == []
    spool.close()


def test_closing_removes_the_file_and_forgets_the_rows(directory):
    spool = spooled([page_rows(key=["a"])], memory_limit=0)
    assert len(list(directory.iterdir())) == 1
    spool.close()
    assert list(directory.iterdir()) == []
    assert spool.rows == 0
    spool.close()


def test_closing_before_it_is_sealed_removes_the_file(directory):
    spool = Spool(PAGE_SCHEMA, "key", memory_limit=0)
    spool.append(page_rows(key=["a"]))
    spool.close()
    assert list(directory.iterdir()) == []


@pytest.mark.parametrize("sealed", [True, False])
def test_the_garbage_collector_removes_the_file(directory, sealed):
    spool = Spool(PAGE_SCHEMA, "key", memory_limit=0)
    spool.append(page_rows(key=["a"]))
    if sealed:
        spool.seal()
    assert len(list(directory.iterdir())) == 1
    del spool
    gc.collect()
    assert list(directory.iterdir()) == []


def test_the_file_stays_as_long_as_its_rows_are_read(directory):
    spool = spooled([page_rows(key=["a"]), page_rows(key=["b"])], memory_limit=0)
    reading = iter(spool)
    first = next(reading)
    del spool
    gc.collect()
    assert len(list(directory.iterdir())) == 1
    assert rows_of([first, *reading]) == rows_of([page_rows(key=["a"]), page_rows(key=["b"])])
    del reading
    gc.collect()
    assert list(directory.iterdir()) == []
    assert first.column("key").to_pylist() == ["a"]


def test_a_spool_of_nothing(directory):
    spool = spooled([page_rows(key=[])], memory_limit=0)
    assert list(spool) == []
    assert spool.find("a") is None
    assert spool.rows == 0
    assert list(directory.iterdir()) == []
