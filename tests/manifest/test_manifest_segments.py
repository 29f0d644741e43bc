"""Manifests written as segments and read again."""

import hashlib
import itertools
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from manifest_models import batch_of, cuts_of, listed, manifests, paths

from refscan.errors import ListingOrderError
from refscan.manifest.bounds import LARGEST, SMALLEST
from refscan.manifest.digest import column_digests, rows_digest
from refscan.manifest.index import Index
from refscan.manifest.reader import read_manifest
from refscan.manifest.schema import MANIFEST_SCHEMA, manifest_rows
from refscan.manifest.seek import ManifestRows
from refscan.manifest.writer import write_manifest

ROWS = 150_000


class Store:
    """Segments in a directory; knows which were written, and counts how often each is looked for."""

    def __init__(self, directory: Path):
        self.directory = directory
        self.put_names: list[str] = []
        self.written: list[str] = []
        self.located: Counter[str] = Counter()

    def put(self, name: str, encode: Callable[[], pa.Buffer]) -> int:
        self.put_names.append(name)
        path = self.directory / name
        if not path.exists():
            self.written.append(name)
            path.write_bytes(encode())
        return path.stat().st_size

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


def starts_of(index: Index) -> list[int]:
    """Return the number of each segment's first row."""
    return [0, *itertools.accumulate(segment.rows for segment in index.segments)][:-1]


def test_a_large_manifest_has_several_segments(large_rows, store):
    rows, index = large_rows, write_manifest([large_rows], store.put)
    assert len(index.segments) > 5
    assert all(segment.rows >= SMALLEST for segment in index.segments[:-1])
    assert all(segment.rows <= LARGEST for segment in index.segments)
    assert [segment.name for segment in index.segments] == store.put_names == store.written
    for start, segment in zip(starts_of(index), index.segments, strict=True):
        assert (segment.first, segment.last) == (large_path(start), large_path(start + segment.rows - 1))
        assert segment.size == (store.directory / segment.name).stat().st_size
        assert segment.files == rows.column("ref").slice(start, segment.rows).null_count == 0


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
    assert max(batch.num_rows for batch in read) <= LARGEST // 2


def test_segments_do_not_depend_on_the_batches(large, store):
    rows, index, _ = large
    odd = [rows.slice(start, 70_001) for start in range(0, ROWS, 70_001)]
    assert write_manifest([batch_of([]), rows], store.put) == write_manifest(odd, store.put) == index


def with_rows(rows, start, stop, replacement):
    """Return the rows with those from ``start`` to ``stop`` replaced."""
    return [rows.slice(0, start), replacement, rows.slice(stop)]


def test_logging_the_same_again_writes_no_segment(large, monkeypatch):
    rows, index, store = large
    monkeypatch.setattr("refscan.manifest.writer.write_parquet", None)  # nothing is encoded either
    before = list(store.written)
    assert write_manifest([rows], store.put) == index
    assert store.written == before


@pytest.mark.parametrize("number", [0, 1, 8_191, 70_000, ROWS - 1])
def test_another_digest_of_one_entry_writes_one_segment(large, number):
    rows, index, store = large
    before = len(store.written)
    changed = manifest_rows(path=[large_path(number)], digest=["another"])
    now = write_manifest(with_rows(rows, number, number + 1, changed), store.put)
    assert len(store.written) == before + 1
    assert [segment.rows for segment in now.segments] == [segment.rows for segment in index.segments]


@given(number=st.integers(0, ROWS - 1), change=st.sampled_from(["added", "removed"]))
@settings(max_examples=25)
def test_an_entry_more_or_less_writes_three_segments_at_most(large, number, change):
    rows, index, _ = large
    names = {segment.name for segment in index.segments}
    written: list[str] = []
    more = manifest_rows(path=[large_path(number) + "+"], digest=["new"])
    changed = with_rows(
        rows, *((number, number + 1, more.slice(1)) if change == "removed" else (number + 1,) * 2 + (more,))
    )
    write_manifest(changed, lambda name, _: written.append(name) or 0)
    assert 1 <= len(set(written) - names) <= 3


def test_a_folder_that_grows_writes_what_is_new_and_little_more(large):
    rows, index, store = large
    count = len(store.written)
    more = manifest_rows(path=[f"train/070/0070999.jpg.{number:05}" for number in range(20_000)], digest=["d"] * 20_000)
    longer = write_manifest(with_rows(rows, 71_000, 71_000, more), store.put)
    written = set(store.written[count:])
    assert sum(segment.rows for segment in longer.segments if segment.name in written) <= 20_000 + 2 * LARGEST
    assert longer.digest != index.digest


def test_rows_at_the_end_keep_the_segments_before_them(large, store):
    rows, index, _ = large
    more = manifest_rows(path=["zzz"], digest=["new"])
    longer = write_manifest([rows, more], store.put)
    assert [s.name for s in longer.segments[:-2]] == [s.name for s in index.segments[: len(longer.segments) - 2]]
    assert longer.digest != index.digest


@pytest.mark.parametrize("count", [1, SMALLEST - 1, SMALLEST, SMALLEST + 1, 2 * SMALLEST, LARGEST + 1])
def test_any_number_of_rows_is_held(large, store, count):
    rows, _, _ = large
    index = write_manifest([rows.slice(7, count)], store.put)
    assert sum(segment.rows for segment in index.segments) == index.entry_count == count
    assert pa.Table.from_batches(read_manifest(index, store.locate)).equals(
        pa.Table.from_batches([rows.slice(7, count)])
    )


def test_a_segment_is_named_by_its_rows_and_readable_as_plain_parquet(large):
    rows, index, store = large
    start, segment = starts_of(index)[1], index.segments[1]
    table = pq.read_table(store.directory / segment.name)
    read = table.cast(MANIFEST_SCHEMA).combine_chunks().to_batches()[0]
    assert rows_digest(column_digests(read)) == segment.name
    assert table.to_pylist() == rows.slice(start, segment.rows).to_pylist()


def test_the_columns_of_a_segment_have_plain_types_and_known_encodings(large):
    _, index, store = large
    with pq.ParquetFile(store.directory / index.segments[0].name) as file:
        assert file.schema_arrow.equals(MANIFEST_SCHEMA)
        group = file.metadata.row_group(0)
        used = {encoding for at in range(group.num_columns) for encoding in group.column(at).encodings}
    known = {"PLAIN", "RLE", "RLE_DICTIONARY", "DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY", "DELTA_BINARY_PACKED"}
    assert used <= known


def test_typical_entries_take_few_bytes_besides_their_etags(tmp_path):
    count, random = 100_000, np.random.default_rng(3)
    etags = pa.array([random.bytes(16).hex() for _ in range(count)])
    keys = [f"images/{number // 1_000:04}/{number:08}.jpg" for number in range(count)]
    seconds = 1_700_000_000 + np.sort(random.integers(0, count // 20, count))
    rows = manifest_rows(
        path=keys,
        ref=[f"s3://bucket/{key}" for key in keys],
        digest=etags,
        e_tag=etags,
        size=pa.array(random.lognormal(11, 1, count).astype(np.int64)),
        last_modified=pa.array(seconds * 1_000_000).cast(MANIFEST_SCHEMA.field("last_modified").type),
        storage_class=["STANDARD"] * count,
    )
    store = Store(tmp_path)
    index = write_manifest([rows], store.put)
    of_etags = 0
    for segment in index.segments:
        group = pq.read_metadata(tmp_path / segment.name).row_group(0)
        columns = [group.column(at) for at in range(group.num_columns)]
        of_etags += sum(c.total_compressed_size for c in columns if c.path_in_schema in ("digest", "e_tag"))
    total = sum(segment.size for segment in index.segments) + len(index.dump()[1])
    assert total / count <= 25 + 16  # one ETag of 16 bytes left out of the count
    assert (total - of_etags) / count <= 6


def test_entries_that_are_stored_or_linked_are_counted(store):
    refs = [None, "s3://b/refscan://", "refscan://p/n:v0/x", None, "refscan://p/n:v1/y", "a"]
    index = write_manifest([manifest_rows(path=list("abcdef"), ref=refs, digest=["d"] * 6)], store.put)
    assert [(segment.files, segment.links) for segment in index.segments] == [(2, 2)]
    none = write_manifest([manifest_rows(path=["a"], digest=["d"])], store.put)
    assert [(segment.files, segment.links) for segment in none.segments] == [(1, 0)]


@given(number=st.integers(-1, ROWS), change=st.sampled_from(["", "x", "\0"]))
@settings(max_examples=30)
def test_an_entry_is_found_in_a_large_manifest(large, number, change):
    rows, index, store = large
    store.located.clear()
    found = ManifestRows(index, store.locate).find(large_path(number) + change)
    assert found.schema == MANIFEST_SCHEMA
    expected = rows.slice(number, 1).to_pylist() if 0 <= number < ROWS and not change else []
    assert found.to_pylist() == expected
    assert store.located.total() <= 1


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("train/", range(ROWS)),
        ("train/065/", range(65_000, 66_000)),
        ("train/065/0065536", range(65_536, 65_537)),
        ("train/14", range(140_000, 150_000)),
        ("train/000/", range(1_000)),
        ("train/149/0149999.jpg", range(149_999, 150_000)),
        ("train/150", range(0)),
        ("tr\U0001f600", range(0)),
        ("a", range(0)),
    ],
)
def test_a_prefix_reads_only_the_segments_that_may_hold_it(large, prefix, expected):
    _, index, store = large
    store.located.clear()
    read = list(read_manifest(index, store.locate, prefix=prefix))
    assert [path for batch in read for path in batch.column("path").to_pylist()] == [large_path(n) for n in expected]
    assert all(batch.num_rows for batch in read)
    assert set(store.located) == {
        segment.name
        for start, segment in zip(starts_of(index), index.segments, strict=True)
        if expected and start < expected.stop and start + segment.rows > expected.start
    }


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
        found = ManifestRows(index, shared_store.locate).find(path).to_pylist()
        assert found == [row for row in rows if row["path"] == path]


@given(rows=st.lists(paths, min_size=2, max_size=6), data=st.data())
def test_rows_that_do_not_ascend_are_refused(rows, data):
    batches = data.draw(cuts_of([{"path": path, "digest": "d"} for path in rows]))
    stored: list[str] = []
    if rows == sorted(set(rows)):
        assert write_manifest(batches, lambda name, _: stored.append(name) or 0).entry_count == len(rows)
    else:
        with pytest.raises(ListingOrderError, match="do not ascend"):
            write_manifest(batches, lambda name, _: stored.append(name) or 0)
        assert stored == []


def test_a_manifest_of_nothing(store):
    for batches in ([], [batch_of([])]):
        index = write_manifest(batches, store.put)
        empty = hashlib.md5(b"wandb-artifact-manifest-v1\n").hexdigest()
        assert index == Index(empty, index.pin_digest, 0, 0, ())
        assert list(read_manifest(index, store.locate)) == []
        assert ManifestRows(index, store.locate).find("a").to_pylist() == []
    assert store.put_names == []
