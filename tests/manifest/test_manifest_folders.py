"""One level of a manifest's paths, against plain Python; and how little is read for it."""

import contextlib

import pyarrow.parquet as pq
import pytest
from cut_manifests import Segments, cuts, group_sizes, paths
from hypothesis import given
from hypothesis import strategies as st

from refscan.manifest.folders import FOLDER_SCHEMA, folder_prefix, list_folder

FULL = dict.fromkeys(["version_id", "e_tag", "checksum", "last_modified", "storage_class", "ref"])
sizes = st.none() | st.integers(0, 1 << 50)
trees = st.dictionaries(paths, sizes, max_size=40)


def rows_of(tree):
    return [FULL | {"path": path, "digest": "d", "size": tree[path]} for path in sorted(tree)]


def model(tree, prefix):
    """What plain Python makes of it."""
    level = {}
    for path in filter(lambda path: path.startswith(prefix), tree):
        first, slash, _ = path[len(prefix) :].partition("/")
        level.setdefault(first + slash, []).append(tree[path])
    return [
        {
            "name": name,
            "is_folder": name.endswith("/"),
            "entries": len(level[name]),
            "size": sum(filter(None, level[name])) if any(size is not None for size in level[name]) else None,
        }
        for name in sorted(level)
    ]


@given(trees, cuts, group_sizes, st.sampled_from(["", "a/", "a//", "b/a/", "/", "\U0010ffff"]))
def test_a_level_is_that_of_a_dictionary(tree, segment_cuts, group, prefix):
    with contextlib.closing(Segments()) as segments:
        table = list_folder(segments.rows_of(rows_of(tree), segment_cuts, group), prefix)
    assert table.schema == FOLDER_SCHEMA
    assert table.to_pylist() == model(tree, prefix)


@given(trees, cuts, group_sizes, st.sampled_from(["", "a/"]), st.integers(1, 3))
def test_pages_of_a_level_make_the_level(tree, segment_cuts, group, prefix, limit):
    found, after = [], None
    with contextlib.closing(Segments()) as segments:
        rows = segments.rows_of(rows_of(tree), segment_cuts, group)
        while page := list_folder(rows, prefix, after=after, limit=limit).to_pylist():
            assert len(page) <= limit
            found += page
            after = page[-1]["name"]
    assert found == model(tree, prefix)


@given(st.text())
def test_a_folder_s_paths_begin_with_it_and_a_slash(folder):
    prefix = folder_prefix(folder)
    assert prefix.removesuffix("/") == folder.removesuffix("/")
    assert not folder or prefix.endswith("/")


@pytest.fixture
def read(monkeypatch):
    """The columns of each read, by the kind of read."""
    reads = []
    for kind in ("read_row_groups", "iter_batches", "read_row_group"):
        real = getattr(pq.ParquetFile, kind)

        def counting(file, *arguments, real=real, kind=kind, **options):
            reads.append((kind, options.get("columns")))
            return real(file, *arguments, **options)

        monkeypatch.setattr(pq.ParquetFile, kind, counting)
    return reads


def test_paths_within_one_folder_are_not_decoded(read):
    tree = {f"{folder}/{number:04}": 1 for folder in "abc" for number in range(2_000)}
    with contextlib.closing(Segments()) as segments:
        rows = segments.rows_of(rows_of(tree), range(0, 6_000, 500))
        table = list_folder(rows, "")
    assert [(row["name"], row["entries"], row["size"]) for row in table.to_pylist()] == [
        ("a/", 2_000, 2_000),
        ("b/", 2_000, 2_000),
        ("c/", 2_000, 2_000),
    ]
    assert read == [("read_row_groups", ["size"])] * 12


def test_a_page_reads_no_more_than_it_holds(read):
    tree = {f"{number:05}": 1 for number in range(20_000)}
    with contextlib.closing(Segments()) as segments:
        rows = segments.rows_of(rows_of(tree), range(0, 20_000, 1_000), 500)
        page = list_folder(rows, "", after="10200", limit=10)
    assert page.column("name").to_pylist() == [f"{number:05}" for number in range(10_201, 10_211)]
    assert read == [("iter_batches", ["path", "size"])]
    assert sum(segments.located.values()) == 1
