"""Identities: of the content as W&B has it, of the pins, of a segment's rows."""

import hashlib
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from manifest_models import batch_of, cuts_of, manifests, paths, rows_of, texts

from refscan.manifest.digest import ContentDigest, PinDigest, rows_digest
from refscan.manifest.schema import MANIFEST_SCHEMA, manifest_rows


def wandb_digest(rows) -> str:
    """Return what wandb's ``ArtifactManifestV1.digest`` computes."""
    lines = "".join(f"{row['path']}:{row['digest']}\n" for row in sorted(rows, key=lambda row: row["path"]))
    return hashlib.md5(b"wandb-artifact-manifest-v1\n" + lines.encode()).hexdigest()


def digest_of(kind, batches) -> str:
    digest = kind()
    for batch in batches:
        digest.update(batch)
    return digest.hexdigest()


def pin_digest(rows) -> str:
    return digest_of(PinDigest, [batch_of(rows)])


@given(rows=manifests, data=st.data())
@settings(max_examples=150)
def test_the_content_digest_is_wandbs_wherever_batches_are_cut(rows, data):
    assert digest_of(ContentDigest, data.draw(cuts_of(rows))) == wandb_digest(rows)


def test_the_content_digest_of_a_known_manifest():
    rows = manifest_rows(path=["a/b.txt", "\U0001f600"], digest=["0cc175b9c0f1b6a831c399e269772661", "x=="])
    lines = b"wandb-artifact-manifest-v1\na/b.txt:0cc175b9c0f1b6a831c399e269772661\n\xf0\x9f\x98\x80:x==\n"
    assert digest_of(ContentDigest, [rows]) == hashlib.md5(lines).hexdigest()


def test_the_digests_of_nothing():
    assert digest_of(ContentDigest, []) == hashlib.md5(b"wandb-artifact-manifest-v1\n").hexdigest()
    assert digest_of(PinDigest, []) == digest_of(PinDigest, [batch_of([])])


@given(rows=manifests, data=st.data())
def test_the_pin_digest_does_not_depend_on_the_cuts(rows, data):
    assert digest_of(PinDigest, data.draw(cuts_of(rows))) == pin_digest(rows)


@given(rows=manifests.filter(bool), pin=st.none() | texts, data=st.data())
def test_another_pin_changes_the_pin_digest_alone(rows, pin, data):
    at = data.draw(st.integers(0, len(rows) - 1))
    changed = [*rows[:at], {**rows[at], "version_id": pin}, *rows[at + 1 :]]
    same = (pin or "") == (rows[at]["version_id"] or "")
    assert (pin_digest(changed) == pin_digest(rows)) == same
    assert digest_of(ContentDigest, [batch_of(changed)]) == digest_of(ContentDigest, [batch_of(rows)])


@given(one=manifests, other=manifests)
def test_pin_digests_are_equal_where_paths_digests_and_pins_are(one, other):
    pinned = [[(row["path"], row["digest"], row["version_id"] or "") for row in rows] for rows in (one, other)]
    assert (pin_digest(one) == pin_digest(other)) == (pinned[0] == pinned[1])


@pytest.mark.parametrize("column", ["ref", "size", "e_tag", "checksum", "last_modified", "storage_class"])
def test_what_is_no_pin_does_not_change_the_pin_digest(column):
    given_row = {"path": "a", "digest": "d", "version_id": "1"}
    values = {"size": 7, "last_modified": datetime(2020, 1, 1, tzinfo=UTC)}
    assert pin_digest([given_row]) == pin_digest([given_row | {column: values.get(column, "x")}])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([("a", "1", "b")], [("a1", "", "b")]),
        ([("a", "1,b", "c")], [("a", "1", "b,c")]),
        ([("a,1", "2", "c")], [("a", "1,2", "c")]),
        ([("a", "", "x\n1,0,1,b,,y")], [("a", "", "x"), ("b", "", "y")]),
        ([("a", "", "x\n1,0,b,,y")], [("a", "", "x"), ("b", "", "y")]),
        ([("a", "", "x,\n1,0,1,b,,y")], [("a", "", "x"), ("b", "", "y")]),
    ],
)
def test_no_texts_run_into_each_other(one, other):
    rows = [[dict(zip(("path", "version_id", "digest"), row, strict=True)) for row in side] for side in (one, other)]
    assert pin_digest(rows[0]) != pin_digest(rows[1])


@given(rows=manifests, data=st.data())
@settings(max_examples=100)
def test_a_segments_name_does_not_depend_on_chunks_and_offsets(rows, data):
    name = rows_digest(pa.Table.from_pylist(rows, MANIFEST_SCHEMA))
    chunked = pa.Table.from_batches(data.draw(cuts_of(rows)), MANIFEST_SCHEMA)
    assert rows_digest(chunked) == name
    before, behind = data.draw(st.lists(rows_of(paths), max_size=3)), data.draw(st.lists(rows_of(paths), max_size=3))
    padded = pa.Table.from_pylist([*before, *rows, *behind], MANIFEST_SCHEMA)
    assert rows_digest(padded.slice(len(before), len(rows))) == name
    assert rows_digest(padded.combine_chunks().slice(len(before), len(rows))) == name


@given(rows=manifests.filter(bool), data=st.data())
@settings(max_examples=100)
def test_another_value_anywhere_is_another_name(rows, data):
    at = data.draw(st.integers(0, len(rows) - 1))
    replacement = data.draw(rows_of(paths))
    column = data.draw(st.sampled_from(MANIFEST_SCHEMA.names))
    changed = [*rows[:at], {**rows[at], column: replacement[column]}, *rows[at + 1 :]]
    names = [rows_digest(pa.Table.from_pylist(one, MANIFEST_SCHEMA)) for one in (rows, changed)]
    assert (names[0] == names[1]) == (rows == changed)


@pytest.mark.parametrize(
    ("column", "one", "other"),
    [("ref", None, ""), ("size", None, 0), ("last_modified", None, datetime(1970, 1, 1, tzinfo=UTC))],
)
def test_null_is_not_empty_and_not_zero(column, one, other):
    names = {
        rows_digest(pa.Table.from_pylist([{"path": "a", "digest": "d", column: value}], MANIFEST_SCHEMA))
        for value in (one, other)
    }
    assert len(names) == 2


def test_texts_do_not_run_from_row_to_row():
    names = {
        rows_digest(pa.Table.from_pylist([{"path": p, "digest": "d"} for p in rows], MANIFEST_SCHEMA))
        for rows in (("ab", "c"), ("a", "bc"), ("abc",), ("abc", ""))
    }
    assert len(names) == 4
