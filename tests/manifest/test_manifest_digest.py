"""Identities: of the content as W&B has it, of the pins, of a segment's rows."""

import hashlib
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from manifest_models import batch_of, cuts_of, manifests, paths, rows_of, texts

from refscan.manifest.digest import ContentDigest, PinDigest, column_digests, rows_digest
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
    digest = PinDigest()
    if rows:
        digest.update(column_digests(batch_of(rows)))
    return digest.hexdigest()


def name_of(rows: pa.Table | list[dict[str, object]]) -> str:
    """Return the name of a segment that holds some rows."""
    table = rows if isinstance(rows, pa.Table) else pa.Table.from_pylist(rows, MANIFEST_SCHEMA)
    return rows_digest(column_digests(table.combine_chunks().to_batches()[0]))


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
    assert digest_of(ContentDigest, [batch_of([])]) == digest_of(ContentDigest, [])


@given(rows=manifests.filter(bool), other=manifests.filter(bool))
def test_the_pin_digest_depends_on_all_segments_and_their_order(rows, other):
    one, two = (column_digests(batch_of(segment)) for segment in (rows, other))
    digests = set()
    for segments in ((), (one,), (one, two), (one, two, one)):
        digest = PinDigest()
        for columns in segments:
            digest.update(columns)
        digests.add(digest.hexdigest())
    assert len(digests) == 4


@given(rows=manifests.filter(bool), pin=st.none() | texts, data=st.data())
def test_another_pin_changes_the_pin_digest_alone(rows, pin, data):
    at = data.draw(st.integers(0, len(rows) - 1))
    changed = [*rows[:at], {**rows[at], "version_id": pin}, *rows[at + 1 :]]
    assert (pin_digest(changed) == pin_digest(rows)) == (pin == rows[at]["version_id"])
    assert digest_of(ContentDigest, [batch_of(changed)]) == digest_of(ContentDigest, [batch_of(rows)])


@given(one=manifests, other=manifests)
def test_pin_digests_are_equal_where_paths_digests_and_pins_are(one, other):
    pinned = [[(row["path"], row["digest"], row["version_id"]) for row in rows] for rows in (one, other)]
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


@given(rows=manifests.filter(bool), data=st.data())
@settings(max_examples=100)
def test_a_segments_name_does_not_depend_on_chunks_and_offsets(rows, data):
    name = name_of(rows)
    chunked = pa.Table.from_batches(data.draw(cuts_of(rows)), MANIFEST_SCHEMA)
    assert name_of(chunked) == name
    before, behind = data.draw(st.lists(rows_of(paths), max_size=3)), data.draw(st.lists(rows_of(paths), max_size=3))
    padded = pa.Table.from_pylist([*before, *rows, *behind], MANIFEST_SCHEMA)
    assert name_of(padded.slice(len(before), len(rows))) == name
    sliced = padded.combine_chunks().to_batches()[0].slice(len(before), len(rows))
    assert rows_digest(column_digests(sliced)) == name


@given(rows=manifests.filter(bool), data=st.data())
@settings(max_examples=100)
def test_another_value_anywhere_is_another_name(rows, data):
    at = data.draw(st.integers(0, len(rows) - 1))
    replacement = data.draw(rows_of(paths))
    column = data.draw(st.sampled_from(MANIFEST_SCHEMA.names))
    changed = [*rows[:at], {**rows[at], column: replacement[column]}, *rows[at + 1 :]]
    names = [name_of(one) for one in (rows, changed)]
    assert (names[0] == names[1]) == (rows == changed)


@pytest.mark.parametrize(
    ("column", "one", "other"),
    [("ref", None, ""), ("size", None, 0), ("last_modified", None, datetime(1970, 1, 1, tzinfo=UTC))],
)
def test_null_is_not_empty_and_not_zero(column, one, other):
    names = {name_of([{"path": "a", "digest": "d", column: value}]) for value in (one, other)}
    assert len(names) == 2


def test_texts_do_not_run_from_row_to_row():
    names = {
        name_of([{"path": p, "digest": "d"} for p in rows])
        for rows in (("ab", "c"), ("a", "bc"), ("abc",), ("abc", ""))
    }
    assert len(names) == 4


@pytest.mark.parametrize("count", [1, 3])
def test_refs_that_follow_from_paths_and_others_have_names_of_their_own(count):
    paths_ = [f"images/{number}.png" for number in range(count)]
    refs = [
        [f"s3://b/{path}" for path in paths_],
        [f"s3://c/{path}" for path in paths_],
        [f"s3://b/{path.removeprefix('images/')}" for path in paths_],
        [f"s3://b{path.removeprefix('i')}" for path in paths_],
        [f"s3://b/images/{number + 1}.png" for number in range(count)],
        paths_,
        ["s3://b/images/0.png"] * count,
        [None] * count,
    ]
    rows = [[{"path": p, "ref": r, "digest": "d"} for p, r in zip(paths_, side, strict=True)] for side in refs]
    assert len({name_of(side) for side in rows}) == len({tuple(side) for side in refs})


def test_an_e_tag_that_is_the_digest_counts():
    e_tags = ("d", "e", None, "")
    assert len({name_of([{"path": "a", "digest": "d", "e_tag": e_tag}]) for e_tag in e_tags}) == len(e_tags)
