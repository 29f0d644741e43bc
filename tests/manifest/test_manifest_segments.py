"""Manifests written as segments and read again."""

import hashlib
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from manifest_models import batch_of, cuts_of, listed, manifests, paths

from refscan.errors import ListingOrderError
from refscan.manifest.digest import rows_digest
from refscan.manifest.index import Index
from refscan.manifest.reader import find_entry, read_manifest
from refscan.manifest.schema import MANIFEST_SCHEMA, manifest_rows
from refscan.manifest.writer import SEGMENT_ROWS, write_manifest

ROWS = 150_000


class Store:
    """Segments in a directory; counts how often each is looked for."""

    def __init__(self, directory: Path):
        self.directory = directory
        self.put_names: list[str] = []
        self.located: Counter[str] = Counter()

    def put(self, name: str, data: pa.Buffer) -> None:
        self.put_names.append(name)
        path = self.directory / name
        assert not path.exists() or path.read_bytes() == data.to_pybytes()
        path.write_bytes(data)

    def locate(self, name: str) -> Path:
        self.located[name] += 1
        return self.directory / name


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


@pytest.fixture(scope="module")
def shared_store(tmp_path_factory):
    """A directory for the examples of property tests: its files are named by their content."""
    return Store(tmp_path_factory.mktemp("segments"))


def large_path(number: int) -> str:
    return f"train/{number // 1_000:03}/{number:07}.jpg"


@pytest.fixture(scope="module")
def large_rows():
    numbers = range(ROWS)
    return manifest_rows(
        path=[large_path(number) for number in numbers],
        ref=[f"s3://bucket/images/{large_path(number)}" for number in numbers],
        digest=[f"{number * 2_654_435_761 % (1 << 32):032x}" for number in numbers],
        size=[None if number % 1_000 == 0 else number for number in numbers],
        version_id=[None if number % 3 == 0 else f"v{number}" for number in numbers],
        last_modified=pa.array([number * 1_000_003 for number in numbers], pa.int64()).cast(
            MANIFEST_SCHEMA.field("last_modified").type
        ),
        storage_class=["STANDARD"] * ROWS,
    )


@pytest.fixture(scope="module")
def large(large_rows, tmp_path_factory):
    """A manifest of several segments: its rows, its index, its store."""
    store = Store(tmp_path_factory.mktemp("large"))
    batches = [large_rows.slice(start, 1_000) for start in range(0, ROWS, 1_000)]
    return large_rows, write_manifest(batches, store.put), store


def test_a_large_manifest_has_several_segments(large):
    _, index, store = large
    assert [segment.rows for segment in index.segments] == [SEGMENT_ROWS, SEGMENT_ROWS, ROWS - 2 * SEGMENT_ROWS]
    assert [segment.name for segment in index.segments] == store.put_names
    for number, segment in enumerate(index.segments):
        start = number * SEGMENT_ROWS
        assert (segment.first, segment.last) == (large_path(start), large_path(start + segment.rows - 1))
        assert segment.size == (store.directory / segment.name).stat().st_size


def test_a_large_manifest_counts_its_entries_and_known_bytes(large):
    rows, index, _ = large
    assert index.entry_count == ROWS
    assert index.size == sum(size for size in rows.column("size").to_pylist() if size is not None)
    lines = b"".join(
        f"{path}:{digest}\n".encode()
        for path, digest in zip(rows.column("path").to_pylist(), rows.column("digest").to_pylist(), strict=True)
    )
    assert index.digest == hashlib.md5(b"wandb-artifact-manifest-v1\n" + lines).hexdigest()


def test_a_large_manifest_comes_back_as_it_was(large):
    rows, index, store = large
    read = list(read_manifest(index, store.locate))
    assert pa.Table.from_batches(read).equals(pa.Table.from_batches([rows]))
    assert all(batch.schema == MANIFEST_SCHEMA for batch in read)
    assert max(batch.num_rows for batch in read) < SEGMENT_ROWS


def test_segments_do_not_depend_on_the_batches(large, store):
    rows, index, _ = large
    odd = [rows.slice(start, 70_001) for start in range(0, ROWS, 70_001)]
    assert write_manifest([batch_of([]), rows], store.put) == write_manifest(odd, store.put) == index


def test_rows_that_do_not_change_keep_their_segments(large, store):
    rows, index, _ = large
    more = manifest_rows(path=["zzz"], digest=["new"])
    longer = write_manifest([rows.slice(0, 2 * SEGMENT_ROWS + 5), more], store.put)
    assert [s.name for s in longer.segments[:2]] == [s.name for s in index.segments[:2]]
    assert longer.segments[2].name != index.segments[2].name
    assert longer.digest != index.digest


@pytest.mark.parametrize("count", [SEGMENT_ROWS - 1, SEGMENT_ROWS, SEGMENT_ROWS + 1])
def test_a_segment_ends_where_it_is_full(large, store, count):
    rows, _, _ = large
    index = write_manifest([rows.slice(7, count)], store.put)
    assert [s.rows for s in index.segments] == [min(count, SEGMENT_ROWS)] + [1] * (count > SEGMENT_ROWS)
    assert sum(batch.num_rows for batch in read_manifest(index, store.locate)) == count


def test_a_segment_is_named_by_its_rows_and_readable_as_plain_parquet(large):
    rows, index, store = large
    table = pq.read_table(store.directory / index.segments[1].name)
    assert rows_digest(table.cast(MANIFEST_SCHEMA)) == index.segments[1].name
    assert table.column("path").to_pylist() == rows.column("path").to_pylist()[SEGMENT_ROWS : 2 * SEGMENT_ROWS]


@given(number=st.integers(-1, ROWS), change=st.sampled_from(["", "x", "\0"]))
@settings(max_examples=30)
def test_an_entry_is_found_in_a_large_manifest(large, number, change):
    rows, index, store = large
    store.located.clear()
    found = find_entry(index, store.locate, large_path(number) + change)
    assert found.schema == MANIFEST_SCHEMA
    expected = rows.slice(number, 1).to_pylist() if 0 <= number < ROWS and not change else []
    assert found.to_pylist() == expected
    assert store.located.total() <= 1


@pytest.mark.parametrize(
    ("prefix", "expected", "segments"),
    [
        ("train/", range(ROWS), {0, 1, 2}),
        ("train/065/", range(65_000, 66_000), {0, 1}),
        ("train/065/0065536", range(65_536, 65_537), {1}),
        ("train/065/0065535", range(65_535, 65_536), {0}),
        ("train/14", range(140_000, 150_000), {2}),
        ("train/000/", range(1_000), {0}),
        ("train/149/0149999.jpg", range(149_999, 150_000), {2}),
        ("train/150", range(0), set()),
        ("tr\U0001f600", range(0), set()),
        ("a", range(0), set()),
    ],
)
def test_a_prefix_reads_only_the_segments_that_may_hold_it(large, prefix, expected, segments):
    _, index, store = large
    store.located.clear()
    read = list(read_manifest(index, store.locate, prefix=prefix))
    assert [path for batch in read for path in batch.column("path").to_pylist()] == [large_path(n) for n in expected]
    assert all(batch.num_rows for batch in read)
    assert {number for number, segment in enumerate(index.segments) if segment.name in store.located} == segments


@given(rows=manifests, data=st.data())
@settings(max_examples=60)
def test_any_rows_come_back_as_they_were(shared_store, rows, data):
    index = write_manifest(data.draw(cuts_of(rows)), shared_store.put)
    assert listed(read_manifest(index, shared_store.locate)) == rows
    assert index.entry_count == len(rows)
    assert index.size == sum(row["size"] or 0 for row in rows)


@given(rows=manifests, other=st.text(st.characters(codec="utf-8"), max_size=3), data=st.data())
@settings(max_examples=60)
def test_any_prefix_and_any_entry_are_found(shared_store, rows, other, data):
    index = write_manifest([batch_of(rows)], shared_store.put)
    own = data.draw(st.sampled_from([row["path"] for row in rows])) if rows else other
    prefix = data.draw(st.sampled_from([own[:1], own[: len(own) // 2], own, own + other, other, ""]))
    read = listed(read_manifest(index, shared_store.locate, prefix=prefix))
    assert read == [row for row in rows if row["path"].startswith(prefix)]
    for path in (own, own + other, other, own[:-1]):
        found = find_entry(index, shared_store.locate, path).to_pylist()
        assert found == [row for row in rows if row["path"] == path]


@given(rows=st.lists(paths, min_size=2, max_size=6), data=st.data())
def test_rows_that_do_not_ascend_are_refused(rows, data):
    batches = data.draw(cuts_of([{"path": path, "digest": "d"} for path in rows]))
    stored: list[str] = []
    if rows == sorted(set(rows)):
        assert write_manifest(batches, lambda name, _: stored.append(name)).entry_count == len(rows)
    else:
        with pytest.raises(ListingOrderError, match="do not ascend"):
            write_manifest(batches, lambda name, _: stored.append(name))
        assert stored == []


def test_a_manifest_of_nothing(store):
    for batches in ([], [batch_of([])]):
        index = write_manifest(batches, store.put)
        empty = hashlib.md5(b"wandb-artifact-manifest-v1\n").hexdigest()
        assert index == Index(empty, index.pin_digest, 0, 0, ())
        assert list(read_manifest(index, store.locate)) == []
        assert find_entry(index, store.locate, "a").to_pylist() == []
    assert store.put_names == []
