"""The index of a manifest, as it is stored."""

import hashlib
import json
from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from manifest_models import texts

from refscan.errors import StoreError
from refscan.manifest.index import Index, Segment

counts = st.none() | st.integers(0, 1 << 40)
segments = st.builds(Segment, texts, texts, texts, st.integers(1, 1 << 40), st.integers(1, 1 << 60), counts, counts)
indexes = st.builds(
    Index,
    texts,
    texts,
    st.integers(0, 1 << 40),
    st.integers(0, 1 << 60),
    st.lists(segments, max_size=4).map(tuple),
)


@given(indexes)
def test_what_is_dumped_is_loaded(index):
    name, data = index.dump()
    assert Index.load(data) == index
    assert name == hashlib.blake2b(data, digest_size=32).hexdigest()


@given(one=indexes, other=indexes)
def test_equal_indexes_have_equal_names_and_others_have_not(one, other):
    assert (one.dump() == other.dump()) == (one == other)
    assert (one.dump()[0] == other.dump()[0]) == (one == other)


def test_what_a_later_release_wrote_is_refused():
    _, data = Index("d", "p", 0, 0, ()).dump()
    fields = json.loads(data)
    fields["format"] += 1
    fields["unknown"] = True
    with pytest.raises(StoreError, match="later release"):
        Index.load(json.dumps(fields).encode())


@given(indexes)
def test_what_the_first_format_had_is_loaded(index):
    fields = asdict(index)
    for segment in fields["segments"]:
        del segment["files"], segment["links"]
    plain = [replace(segment, files=None, links=None) for segment in index.segments]
    loaded = Index.load(json.dumps({"format": 1, **fields}).encode())
    assert loaded == replace(index, segments=tuple(plain))
