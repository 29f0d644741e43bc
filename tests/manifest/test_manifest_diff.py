"""What differs between two manifests, against dictionaries; and how little is read for it."""

import contextlib
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from cut_manifests import Segments, cuts, group_sizes, paths
from hypothesis import given
from hypothesis import strategies as st
from manifest_models import listed

from refscan.manifest import diff
from refscan.manifest.diff import DIFF_SCHEMA, diff_manifests

few = st.sampled_from(["1", "2"])
TIMES = [datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2)]
facts = st.fixed_dictionaries(
    {
        "digest": st.sampled_from(["1", "2", "uri"]),
        "ref": st.sampled_from(["uri", "uri2"]) | st.none(),
        "size": st.none() | st.integers(0, 2),
        "version_id": st.none() | few,
        "e_tag": st.none() | few,
        "checksum": st.none(),
        "last_modified": st.sampled_from(TIMES) | st.none(),
        "storage_class": st.none() | few,
    }
)
pools = st.lists(paths, unique=True, min_size=1, max_size=40)


@st.composite
def two_manifests(draw):
    """Two dictionaries by path that share most of their entries."""
    pool = draw(pools)
    old = {path: draw(facts) for path in pool if draw(st.integers(0, 4))}
    new = {}
    for path in pool:
        what = draw(st.integers(0, 9))
        if what < 7 and path in old:
            new[path] = old[path]
        elif what < 9:
            new[path] = draw(facts)
    return old, new


def change_of(old, new):
    """What plain Python makes of two entries of one path."""
    if old is None or new is None:
        return "removed" if new is None else "added"
    same_pin = old["version_id"] is not None and old["version_id"] == new["version_id"]
    by_uri = old["digest"] == old["ref"] and new["digest"] == new["ref"]
    sizes = None not in (old["size"], new["size"]) and old["size"] != new["size"]
    told = (old["e_tag"], old["last_modified"]) != (new["e_tag"], new["last_modified"])
    if old["digest"] != new["digest"] or sizes or (by_uri and not same_pin and told):
        return "changed"
    return "repinned" if (old["version_id"], old["ref"]) != (new["version_id"], new["ref"]) else None


def model(old, new):
    rows = []
    for path in sorted({*old, *new}):
        a, b = old.get(path), new.get(path)
        if (change := change_of(a, b)) is not None:
            row = {"change": change, "path": path}
            for name in ("digest", "size", "version_id", "ref"):
                row |= {"old_" + name: a and a[name], "new_" + name: b and b[name]}
            rows.append(row)
    return rows


def rows_of(entries):
    return [{"path": path, **entries[path]} for path in sorted(entries)]


@given(two_manifests(), cuts, cuts, group_sizes, group_sizes)
def test_a_diff_is_that_of_two_dictionaries(pair, old_cuts, new_cuts, old_group, new_group):
    old, new = pair
    with contextlib.closing(Segments()) as before, contextlib.closing(Segments()) as after:
        a = before.rows_of(rows_of(old), old_cuts, old_group)
        b = after.rows_of(rows_of(new), new_cuts, new_group)
        batches = list(diff_manifests(a, b))
    assert all(batch.schema == DIFF_SCHEMA and batch.num_rows for batch in batches)
    assert listed(batches) == model(old, new)


@given(two_manifests(), cuts, group_sizes)
def test_the_same_cuts_on_both_sides_hide_nothing(pair, both_cuts, group):
    old, new = pair
    with contextlib.closing(Segments()) as segments:
        a, b = (segments.rows_of(rows_of(entries), both_cuts, group) for entries in (old, new))
        assert listed(diff_manifests(a, b)) == model(old, new)


@pytest.mark.parametrize(
    ("digest", "old", "new", "expected"),
    [
        # Where the digest is only the URI, the ETag tells.
        ("uri", (None, "1"), (None, "2"), "changed"),
        ("uri", ("v1", "1"), ("v2", "2"), "changed"),
        ("uri", ("v1", "1"), ("v2", "1"), "repinned"),
        # A store may give a version another ETag with its metadata.
        ("uri", ("v1", "1"), ("v1", "2"), None),
        # A digest of the content wins over an ETag.
        ("1", (None, "1"), (None, "2"), None),
        ("1", ("v1", "1"), ("v2", "2"), "repinned"),
        ("1", (None, "1"), ("v2", "1"), "repinned"),
    ],
)
def test_what_tells_of_new_content(segments, digest, old, new, expected):
    row = FULL | {"path": "a", "ref": "uri", "digest": digest, "size": 1}
    one, two = (segments.rows_of([row | {"version_id": version, "e_tag": tag}]) for version, tag in (old, new))
    assert [found["change"] for found in listed(diff_manifests(one, two))] == ([expected] if expected else [])


def entry(number, digest="same"):
    return {"path": f"{number:06}", "ref": f"s3://b/{number}", "digest": digest, "size": number}


FULL = dict.fromkeys(["version_id", "e_tag", "checksum", "last_modified", "storage_class"])


@pytest.fixture
def segments():
    with contextlib.closing(Segments()) as made:
        yield made


@pytest.fixture
def decoded(monkeypatch):
    """How many rows were decoded, and which columns of them."""
    reads = []
    read = diff._Side.read

    def counting(side, columns, *first):
        rows = read(side, columns, *first)
        reads.append((rows.num_rows, sorted(columns)))
        return rows

    monkeypatch.setattr(diff._Side, "read", counting)
    return reads


def test_segments_of_one_name_are_not_opened(segments):
    rows = [entry(number) | FULL for number in range(10_000)]
    changed = [*rows]
    changed[4_321] = entry(4_321, "other") | FULL
    bounds = range(0, 10_000, 1_000)
    old, new = segments.rows_of(rows, bounds), segments.rows_of(changed, bounds)
    (difference,) = listed(diff_manifests(old, new))
    assert (difference["change"], difference["path"]) == ("changed", "004321")
    assert len(segments.located) == 2


def test_the_same_manifest_is_not_opened_at_all(segments):
    rows = segments.rows_of([entry(number) | FULL for number in range(100)], [50])
    assert list(diff_manifests(rows, rows)) == []
    assert not segments.located


def test_row_groups_of_the_same_bytes_are_not_decoded(segments, decoded):
    rows = [entry(number) | FULL for number in range(10_000)]
    changed = [*rows]
    changed[4_321] = entry(4_321, "diff") | FULL
    old, new = segments.rows_of(rows, group_rows=500), segments.rows_of(changed, group_rows=500)
    assert len(listed(diff_manifests(old, new))) == 1
    others = sorted({*diff._COMPARED} - {"digest"})
    assert decoded == [(500, ["digest"]), (500, ["digest"]), (322, others)]  # no row behind the one that differs


def test_what_no_column_of_a_diff_tells_is_not_decoded(segments, decoded):
    rows = [entry(number) | FULL for number in range(100)]
    old, new = segments.rows_of(rows), segments.rows_of([row | {"storage_class": "GLACIER"} for row in rows])
    assert list(diff_manifests(old, new)) == []
    assert decoded == []


def test_a_diff_with_nothing_is_all_of_the_other(segments):
    empty, full = segments.rows_of([]), segments.rows_of([entry(number) | FULL for number in range(5_000)], [1_234])
    for old, new, change in ((empty, full, "added"), (full, empty, "removed")):
        table = pa.Table.from_batches(diff_manifests(old, new), DIFF_SCHEMA)
        assert table.column("change").unique().to_pylist() == [change]
        assert table.num_rows == 5_000
    assert list(diff_manifests(empty, empty)) == []
