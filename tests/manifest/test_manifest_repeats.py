"""Columns that only repeat others: found, left out, and put back as they were."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from manifest_models import batch_of, manifests, texts

from refscan.manifest.repeats import find_repeats
from refscan.manifest.schema import MANIFEST_SCHEMA


def back_and_forth(rows):
    """Return the columns that are kept, after making sure that they tell all."""
    repeats = find_repeats(rows)
    kept = rows.select(repeats.kept(MANIFEST_SCHEMA).names)
    restored = repeats.restored(kept, MANIFEST_SCHEMA)
    restored.validate(full=True)
    assert restored == rows
    return kept.schema.names


@given(rows=manifests.filter(bool), data=st.data())
def test_all_comes_back(rows, data):
    """Where all refs follow from the paths, where all but one do, and where nothing does."""
    kind = data.draw(st.sampled_from(["as they are", "all", "all but one"]))
    if kind != "as they are":
        stem, folder, cut = data.draw(texts), data.draw(texts), data.draw(st.booleans())
        for row in rows:
            key = row["path"]
            row |= {"path": folder + key, "ref": stem + (key if cut else folder + key), "e_tag": row["digest"]}
    if kind == "all but one":
        at = data.draw(st.integers(0, len(rows) - 1))
        rows[at] |= {"ref": data.draw(st.none() | texts), "e_tag": data.draw(st.none() | texts)}
    before = data.draw(st.integers(0, len(rows) - 1))
    names = back_and_forth(batch_of(rows).slice(before))
    if kind == "all":
        assert {"ref", "digest"}.isdisjoint(names)


@pytest.mark.parametrize(
    ("ref", "kept"),
    [
        ("s3://b/pre/{}", False),
        ("s3://b/img/pre/{}", False),
        ("{}", False),
        ("img/{}", False),
        ("s3://b/pre/{}x", True),
        ("s3://b/pre/", True),
    ],
)
@pytest.mark.parametrize("keys", [["a", "b"], ["é", "é\U0001f600", "\U0001f600"], ["a//b", "a/b/", "a?b#c%"]])
def test_a_ref_is_left_out_where_it_is_a_text_and_the_end_of_the_path(ref, kept, keys):
    rows = [{"path": f"img/{key}", "ref": ref.format(key), "digest": f"d{key}"} for key in keys]
    assert ("ref" in back_and_forth(batch_of(rows))) == kept


def test_columns_without_values_are_left_out():
    assert back_and_forth(batch_of([{"path": "a", "digest": "d", "size": 1}])) == ["path", "digest", "size"]


def test_an_e_tag_that_is_the_digest_is_kept_once():
    assert "digest" not in back_and_forth(batch_of([{"path": "a", "digest": "d", "e_tag": "d"}]))
    rows = [{"path": "a", "digest": "d", "e_tag": "d"}, {"path": "b", "digest": "d", "e_tag": None}]
    assert {"digest", "e_tag"} < set(back_and_forth(batch_of(rows)))
