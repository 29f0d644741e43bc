"""Sorted rows in memory or on disk: the same rows, and no file left behind."""

import gc
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nameless_files import nameless_files
from scan_adversaries import key_sets, texts

from refscan.manifest.schema import MANIFEST_SCHEMA, manifest_rows
from refscan.scan.spool import Spool
from refscan.sources.source import PAGE_SCHEMA, page_rows

limits = st.sampled_from([0, 400, 1 << 20])


@pytest.fixture
def files():
    """Return how many files without a name were opened since and are open."""
    before = nameless_files()
    return lambda: len(nameless_files() - before)


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


def test_rows_in_the_memory_limit_make_no_file(files):
    spool = spooled([page_rows(key=["a", "b"])], memory_limit=1 << 20)
    assert files() == 0
    spool.close()


def test_rows_past_the_memory_limit_are_in_one_file(files):
    spool = spooled([page_rows(key=[f"{n:09}" for n in range(s, s + 10)]) for s in range(0, 100, 10)], memory_limit=300)
    assert files() == 1
    assert spool._held == []
    spool.close()


def test_closing_removes_the_file_and_forgets_the_rows(files):
    spool = spooled([page_rows(key=["a"])], memory_limit=0)
    assert files() == 1
    spool.close()
    assert files() == 0
    assert spool.rows == 0
    spool.close()


def test_closing_before_it_is_sealed_removes_the_file(files):
    spool = Spool(PAGE_SCHEMA, "key", memory_limit=0)
    spool.append(page_rows(key=["a"]))
    spool.close()
    assert files() == 0


@pytest.mark.parametrize("sealed", [True, False])
def test_the_garbage_collector_removes_the_file(files, sealed):
    spool = Spool(PAGE_SCHEMA, "key", memory_limit=0)
    spool.append(page_rows(key=["a"]))
    if sealed:
        spool.seal()
    assert files() == 1
    del spool
    gc.collect()
    assert files() == 0


def test_the_file_stays_as_long_as_its_rows_are_read(files):
    spool = spooled([page_rows(key=["a"]), page_rows(key=["b"])], memory_limit=0)
    reading = iter(spool)
    first = next(reading)
    del spool
    gc.collect()
    assert files() == 1
    assert rows_of([first, *reading]) == rows_of([page_rows(key=["a"]), page_rows(key=["b"])])
    del reading
    gc.collect()
    assert files() == 0
    assert first.column("key").to_pylist() == ["a"]


def test_a_spool_of_nothing(files):
    spool = spooled([page_rows(key=[])], memory_limit=0)
    assert list(spool) == []
    assert spool.find("a") is None
    assert spool.rows == 0
    assert files() == 0


def test_a_killed_process_leaves_no_file(tmp_path):
    code = """if True:
        import os, signal, sys, tempfile
        from refscan.scan.spool import Spool
        from refscan.sources.source import PAGE_SCHEMA, page_rows
        tempfile.tempdir = sys.argv[1]
        spool = Spool(PAGE_SCHEMA, "key", memory_limit=0)
        spool.append(page_rows(key=["a"]))
        spool.append(page_rows(key=["b"]))
        spool.seal()
        assert [b.column("key").to_pylist() for b in spool] == [["a"], ["b"]]
        os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert list(tmp_path.iterdir()) == []


def test_what_is_being_read_outlives_the_spool():
    spool = spooled([page_rows(key=["a"]), page_rows(key=["b"])], memory_limit=0)
    reading = iter(spool)
    first = next(reading)
    spool.close()
    assert rows_of([first, *reading]) == rows_of([page_rows(key=["a"]), page_rows(key=["b"])])
    assert list(spool) == []


def test_a_sealed_spool_takes_no_more_rows():
    spool = spooled([page_rows(key=["a"])], memory_limit=0)
    with pytest.raises(RuntimeError, match="sealed"):
        spool.append(page_rows(key=["b"]))
    spool.close()


def test_several_threads_read_at_once():
    keys = [f"{number:06}" for number in range(20_000)]
    rows = page_rows(key=keys)
    spool = spooled([rows.slice(start, 100) for start in range(0, len(keys), 100)], memory_limit=0)
    read = lambda _: [key for batch in spool for key in batch.column("key").to_pylist()]  # noqa: E731
    with ThreadPoolExecutor(4) as threads:
        assert all(found == keys for found in threads.map(read, range(8)))
    spool.close()


def entries(numbers, *, ref="s3://b/x/{}", e_tag="{}", digest="{}") -> pa.RecordBatch:
    def column(text):
        return [None if text is None else text.format(f"{number:04}") for number in numbers]

    return manifest_rows(
        path=column("x/{}"), ref=column(ref), digest=column(digest), e_tag=column(e_tag), size=list(numbers)
    )


def test_batches_that_keep_different_columns_come_out_as_they_were():
    batches = [
        entries(range(10)),
        entries(range(10, 20), ref=None),
        entries(range(20, 30), e_tag=None),
        entries(range(30, 40), digest="other {}"),
        entries(range(40, 50), ref="s3://b/q?{}"),
        entries(range(50, 60)),
    ]
    spool = Spool(MANIFEST_SCHEMA, "path", memory_limit=0)
    for batch in batches:
        spool.append(batch)
    spool.seal()
    assert list(spool) == batches
    assert spool.find("x/0045") == batches[4].slice(5, 1)
    spool.close()


def test_what_only_repeats_is_not_on_disk():
    def stored(rows) -> int:
        spool = Spool(MANIFEST_SCHEMA, "path", memory_limit=0)
        spool.append(rows)
        spool.seal()
        size = spool._file.stream.seek(0, 2)
        spool.close()
        return size

    numbers = range(1_000)
    assert stored(entries(numbers)) < stored(entries(numbers, e_tag="e{}")) - 8_000
    assert stored(entries(numbers)) < stored(entries(numbers, ref="s3://b/x{}/")) - 10_000
