"""Merged runs are a dictionary of paths, whatever the runs, their cuts and their order."""

import re

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from manifest_models import batch_of, cuts_of, listed, paths

from refscan.errors import PathConflictError
from refscan.manifest.merge import conflict, merge
from refscan.manifest.schema import MANIFEST_SCHEMA

some_paths = st.sampled_from(["a", "a.txt", "a/b", "a0", "b", "\U0001f600", "\ud7ff", "\x01"]) | paths
some_refs = st.none() | st.sampled_from(["s3://b/1", "s3://b/2", "s3://c/1", "file:///x"])
some_pins = st.none() | st.sampled_from(["1", "2"])


def row(path, digest, ref, version_id):
    """Return a row whose other columns follow from its reference and its pin."""
    known = f"{ref}{version_id}"
    return {
        "path": path,
        "ref": ref,
        "digest": digest,
        "size": len(known),
        "version_id": version_id,
        "e_tag": known,
        "checksum": None,
        "last_modified": None,
        "storage_class": None,
    }


@st.composite
def runs_of(draw, digests) -> list[list[dict[str, object]]]:
    """Draw runs: rows with unique paths, sorted."""
    runs = []
    for _ in range(draw(st.integers(0, 5))):
        run_paths = sorted(draw(st.sets(some_paths, max_size=8)))
        runs.append([row(path, draw(digests(path)), draw(some_refs), draw(some_pins)) for path in run_paths])
    return runs


def rank(entry):
    """Order rows by reference and pin; what is null comes last."""
    return (entry["ref"] is None, entry["ref"] or "", entry["version_id"] is None, entry["version_id"] or "")


def model(runs):
    """Return the entries by path, and the paths in conflict with all their rows."""
    by_path = {}
    for run in runs:
        for entry in run:
            by_path.setdefault(entry["path"], []).append(entry)
    conflicts = {path: rows for path, rows in by_path.items() if len({one["digest"] for one in rows}) > 1}
    return {path: min(rows, key=rank) for path, rows in by_path.items()}, conflicts


@given(runs=runs_of(lambda path: st.just("digest of " + path)), data=st.data())
@settings(max_examples=200)
def test_one_entry_a_path_with_the_least_reference(runs, data):
    entries, _ = model(runs)
    shuffled = data.draw(st.permutations(runs))
    merged = list(merge([data.draw(cuts_of(run)) for run in shuffled]))
    assert listed(merged) == [entries[path] for path in sorted(entries)]
    assert all(batch.num_rows and batch.schema == MANIFEST_SCHEMA for batch in merged)


@given(runs=runs_of(lambda _: st.sampled_from(["one", "other"])), data=st.data())
@settings(max_examples=200)
def test_two_digests_for_a_path_are_a_conflict(runs, data):
    entries, conflicts = model(runs)
    merging = merge([data.draw(cuts_of(run)) for run in data.draw(st.permutations(runs))])
    merged = []
    if not conflicts:
        assert listed(merging) == [entries[path] for path in sorted(entries)]
        return
    with pytest.raises(PathConflictError) as caught:
        merged.extend(merging)
    first = min(conflicts)
    rows = conflicts[first]
    pairs = {
        (str(conflict(first, one["ref"], other["ref"])))
        for one in rows
        for other in rows
        if one["digest"] != other["digest"]
    }
    assert str(caught.value) in pairs
    # What came out before it is right.
    assert listed(merged) == [entries[path] for path in sorted(entries)][: len(listed(merged))]
    assert all(entry["path"] < first for entry in listed(merged))


@given(runs=runs_of(lambda _: st.sampled_from(["one", "other", "third"])), data=st.data())
def test_the_conflict_that_is_named_does_not_depend_on_the_order_of_the_runs(runs, data):
    _, conflicts = model(runs)
    # Rows that are alike up to their digest may stand in any order.
    ranks = [[rank(one) for one in rows] for rows in conflicts.values()]
    if conflicts and all(len(set(keys)) == len(keys) for keys in ranks):
        messages = set()
        for _ in range(2):
            with pytest.raises(PathConflictError) as caught:
                list(merge([data.draw(cuts_of(run)) for run in data.draw(st.permutations(runs))]))
            messages.add(str(caught.value))
        assert len(messages) == 1


@pytest.mark.parametrize(
    ("one", "other", "named"),
    [
        ("s3://b/2", "s3://b/1", ["s3://b/1", "s3://b/2"]),
        (None, "s3://b/1", ["a stored file", "s3://b/1"]),
        (None, None, ["a stored file", "a stored file"]),
    ],
)
def test_the_conflict_names_the_path_and_both_uris(one, other, named):
    runs = [[batch_of([row("p/q", "1", one, None)])], [batch_of([row("p/q", "2", other, None)])]]
    expected = re.escape(f"two entries for the path 'p/q': {named[0]} and {named[1]}; give one of them another name=")
    for order in (runs, runs[::-1]):
        with pytest.raises(PathConflictError, match=f"^{expected}$") as caught:
            list(merge(order))
        assert caught.value.uri in (one, other)
        assert (caught.value.uri is None) == (one is None and other is None)


def test_runs_are_read_as_they_are_needed():
    """The memory of a merge does not grow with its runs."""
    read = []

    def run(number):
        for start in range(100):
            read.append(number)
            yield batch_of([row(f"{start:03}-{number}", "d", None, None)])

    merging = merge([run(1), run(2)])
    for _ in range(5):
        next(merging)
    assert len(read) <= 2 * 5 + 2


def test_nothing_merges_to_nothing():
    assert list(merge([])) == []
    assert list(merge([[], [batch_of([])], iter([])])) == []


def test_a_single_run_passes_as_it_is():
    batch = batch_of([row("a", "d", None, None), row("b", "d", None, None)])
    assert [one.equals(batch) for one in merge([[batch_of([]), batch]])] == [True]


def test_many_rows_of_runs_that_interleave():
    runs = []
    for number in range(3):
        size = 20_000
        columns = {name: pa.nulls(size, MANIFEST_SCHEMA.field(name).type) for name in MANIFEST_SCHEMA.names}
        columns["path"] = pa.array([f"{start * 3 + number:07}" for start in range(size)])
        columns["digest"] = columns["path"]
        whole = pa.record_batch(list(columns.values()), schema=MANIFEST_SCHEMA)
        runs.append([whole.slice(start, 700 + number) for start in range(0, size, 700 + number)])
    merged = pa.Table.from_batches(merge(runs))
    assert merged.column("path").to_pylist() == [f"{number:07}" for number in range(60_000)]
