"""Rows by their paths, against a list; and how little is read for them."""

import contextlib
import random

import pyarrow.parquet as pq
import pytest
from cut_manifests import Segments, cuts, group_sizes, paths
from hypothesis import example, given
from hypothesis import strategies as st
from manifest_models import listed, rows_of

from refscan.errors import StoreError
from refscan.manifest.diff import diff_manifests
from refscan.manifest.folders import list_folder
from refscan.manifest.schema import MANIFEST_SCHEMA
from refscan.manifest.seek import ManifestRows, after_prefix, columns_schema
from refscan.manifest.writer import write_parquet

manifests = st.lists(rows_of(paths), max_size=20, unique_by=lambda row: row["path"]).map(
    lambda rows: sorted(rows, key=lambda row: row["path"])
)


@given(manifests, cuts, group_sizes, paths | st.just(""), paths | st.none())
def test_rows_between_two_paths(rows, segment_cuts, group, start, stop):
    with contextlib.closing(Segments()) as segments:
        manifest = segments.rows_of(rows, segment_cuts, group)
        found = listed(manifest.between(start, stop))
        sizes = listed(manifest.between(start, stop, columns=["size"]))
    assert found == [row for row in rows if row["path"] >= start and (stop is None or row["path"] < stop)]
    assert sizes == [{"size": row["size"]} for row in found]


@given(manifests, cuts, group_sizes, st.sampled_from(["", "a", "a/", "\U0010ffff", "\ud7ff", "é"]))
def test_rows_that_begin_so(rows, segment_cuts, group, prefix):
    with contextlib.closing(Segments()) as segments:
        found = listed(segments.rows_of(rows, segment_cuts, group).beginning(prefix))
    assert found == [row for row in rows if row["path"].startswith(prefix)]


@given(manifests, cuts, group_sizes, paths)
def test_one_row_is_found_by_its_path_and_no_other(rows, segment_cuts, group, path):
    with contextlib.closing(Segments()) as segments:
        manifest = segments.rows_of(rows, segment_cuts, group)
        for wanted in [path, *(row["path"] for row in rows)]:
            found = manifest.find(wanted)
            assert found.schema == MANIFEST_SCHEMA
            assert listed([found]) == [row for row in rows if row["path"] == wanted]


def test_seeking_opens_one_segment():
    rows = [dict.fromkeys(MANIFEST_SCHEMA.names) | {"path": f"{n:05}", "digest": "d"} for n in range(5_000)]
    with contextlib.closing(Segments()) as segments:
        manifest = segments.rows_of(rows, range(0, 5_000, 100), 10)
        assert manifest.find("03333").num_rows == 1
        assert manifest.find("033330").num_rows == 0
        assert manifest.find("99999").num_rows == 0
        assert sorted(segments.located.values()) == [2]


@pytest.mark.parametrize("data", [None, b"", b"no Parquet at all"])
def test_a_segment_that_is_gone_or_damaged_is_an_error_that_names_it(data):
    with contextlib.closing(Segments()) as segments:
        row = dict.fromkeys(MANIFEST_SCHEMA.names) | {"path": "a", "digest": "d"}
        manifest, other = segments.rows_of([row]), segments.rows_of([])
        path = segments.locate(manifest.index.segments[0].name)
        path.unlink()
        if data is not None:
            path.write_bytes(data)
        for read in (
            lambda: manifest.find("a"),
            lambda: list(manifest.between()),
            lambda: list_folder(manifest, ""),
            lambda: list(diff_manifests(manifest, other)),
        ):
            with pytest.raises(StoreError, match=str(path)):
                read()


def test_a_segment_with_another_bit_in_its_data_is_an_error_or_gives_what_was_written():
    chance = random.Random(0)
    rows = [
        dict.fromkeys(MANIFEST_SCHEMA.names)
        | {"path": f"{n:05}", "digest": chance.randbytes(16).hex(), "size": chance.randrange(10**9)}
        for n in range(2_000)
    ]
    noticed = 0
    with contextlib.closing(Segments()) as segments:
        manifest = segments.rows_of(rows)
        path = segments.locate(manifest.index.segments[0].name)
        write_parquet(pq.read_table(path, schema=MANIFEST_SCHEMA), path)
        whole = path.read_bytes()
        data = len(whole) - int.from_bytes(whole[-8:-4], "little") - 8  # before the footer and its length
        for _ in range(200):
            damaged = bytearray(whole)
            damaged[chance.randrange(4, data)] ^= 1 << chance.randrange(8)
            path.write_bytes(damaged)
            try:
                assert listed(manifest.between()) == rows
            except StoreError:
                noticed += 1
    assert noticed > 150


def test_seeking_reads_few_row_groups(monkeypatch):
    read = []
    real = pq.ParquetFile.iter_batches
    monkeypatch.setattr(
        pq.ParquetFile,
        "iter_batches",
        lambda file, *sizes, **options: read.append(options.get("row_groups")) or real(file, *sizes, **options),
    )
    rows = [dict.fromkeys(MANIFEST_SCHEMA.names) | {"path": f"{n:05}", "digest": "d"} for n in range(1_000)]
    with contextlib.closing(Segments()) as segments:
        manifest = segments.rows_of(rows, group_rows=100)
        assert [row["path"] for row in listed(manifest.between("00250", "00252"))] == ["00250", "00251"]
        assert manifest.find("00777").num_rows == 1
    assert read == [[2], [7]]


def test_what_was_found_last_stays_decoded():
    rows = [dict.fromkeys(MANIFEST_SCHEMA.names) | {"path": f"{n:05}", "digest": "d"} for n in range(1_000)]
    with contextlib.closing(Segments()) as segments:
        cold = segments.rows_of(rows, group_rows=100)
        manifest = ManifestRows(cold.index, segments.locate, kept_groups=2)
        for path in ("00250", "00251", "00299", "002505"):
            assert listed([manifest.find(path)]) == [row for row in rows if row["path"] == path]
        assert sum(segments.located.values()) == 1
        for path in ("00777", "00888", "00250"):
            assert listed([manifest.find(path)]) == [row for row in rows if row["path"] == path]
        assert sum(segments.located.values()) == 4


@given(st.text(), st.text())
@example("\ud7ff", "")
@example("a\U0010ffff", "")
@example("\U0010ffff", "")
def test_what_comes_after_a_prefix(prefix, text):
    behind = after_prefix(prefix)
    if behind is None:
        assert set(prefix) <= {"\U0010ffff"}
        return
    assert prefix + text < behind
    assert text.startswith(prefix) == (prefix <= text < behind)
    behind.encode()


def test_columns_are_those_of_a_manifest():
    assert columns_schema(["size", "path"]).names == ["size", "path"]
    for wrong in (["nonsense"], ["path", "path"]):
        with pytest.raises(ValueError, match="a manifest has path, ref, digest"):
            columns_schema(wrong)
