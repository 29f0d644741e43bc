"""Entries cut into stretches of keys: each once, in its container, ascending, and a bounded number held."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refscan import AzureOptions
from refscan.download import stretch as module
from refscan.download.history_join import RULES
from refscan.download.stretch import Cutter, Folder
from refscan.manifest.schema import manifest_rows

ARN = "s3://arn:aws:s3:us-east-1:123456789012:accesspoint/"
BLOB = "https://account.blob.core.windows.net/"
LOCAL = "http://127.0.0.1:10000/devstoreaccount1/"
BASES = ["s3://b/", "s3://b2/", "gs://b/", f"{ARN}one/", f"{ARN}two/", f"{BLOB}c/", f"{BLOB}d/", f"{LOCAL}c/"]
OTHERS = [None, "https://example.com/", "file:///x/", "refscan://p/n:v0/", "ipfs://", "http://127.0.0.1:10000/"]
OPTIONS = (AzureOptions(endpoint_url="http://127.0.0.1:10000/devstoreaccount1"),)
KEYS = ["a", "a//b", "a/b?c#d", "é", "\U00010000", "\ue000", "line\nbreak", "b/1", "b/2", "b/20", "c d", "z/"]
ESCAPES = str.maketrans({"%": "%25", "?": "%3F", "#": "%23"})


def cut(cutter, batches):
    stretches, rest = [], []
    for batch in batches:
        ready, others = cutter.take(batch)
        stretches += ready
        rest += others.column("ref").to_pylist()
        assert cutter._held <= module._MOST_HELD
    return stretches + list(cutter.rest()), rest


def ref(base, key):
    return None if base is None else base + (key.translate(ESCAPES) if base.startswith("http") else key)


@pytest.fixture(autouse=True, scope="module")
def small_stretches():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MOST_ENTRIES", 3)
        patch.setattr(module, "_MOST_HELD", 7)
        yield


@given(
    st.lists(st.lists(st.tuples(st.sampled_from([*BASES, *BASES, *OTHERS]), st.sampled_from(KEYS)), max_size=9)),
    st.lists(st.sampled_from(["", "b/", "b/2", "a", "z"])),
)
def test_every_entry_is_in_one_stretch(batches, prefixes):
    folders = {"s3://b/": [Folder(prefix, 1.0) for prefix in prefixes]}
    rows = [[ref(*place) for place in batch] for batch in batches]
    made = [manifest_rows(path=[str(n) for n in range(len(refs))], ref=refs, digest=["x"] * len(refs)) for refs in rows]
    stretches, rest = cut(Cutter(folders, RULES, OPTIONS), made)
    found = []
    for stretch in stretches:
        keys = stretch.rows.column("key").to_pylist()
        assert keys == sorted(keys)
        assert 0 < len(keys) <= 3
        assert stretch.after < keys[0]
        assert all(key.startswith(stretch.prefix) for key in keys)
        assert stretch.folder is None or all(key.startswith(stretch.folder.prefix) for key in keys)
        found += [(stretch.container.base, key) for key in keys]
        for key, uri in zip(keys, stretch.rows.column("ref").to_pylist(), strict=True):
            assert uri == ref(stretch.container.base, key)
    assert sorted(found) == sorted(place for batch in batches for place in batch if place[0] in BASES)
    assert sorted(map(str, rest)) == sorted(
        str(ref(*place)) for batch in batches for place in batch if place[0] in OTHERS
    )


def test_folders_in_folders_are_one():
    cutter = Cutter({"s3://b/": [Folder("a/", 1.0), Folder("a/b/", 5.0), Folder("a/", 7.0)]}, RULES, ())
    assert cutter._folders == {"s3://b/": [Folder("a/", 7.0)]}


def test_containers_passed_over_and_uris_that_are_none():
    refs = ["s3://b/a", "s3://c/a", "s3:///a", "S3://b/a"]
    rows = manifest_rows(path=["1", "2", "3", "4"], ref=refs, digest=["x"] * 4)
    stretches, rest = cut(Cutter({}, RULES, (), passed={"s3://b/"}), [rows])
    assert [stretch.container.base for stretch in stretches] == ["s3://c/"]
    assert rest == ["s3://b/a", "s3:///a", "S3://b/a"]


def test_a_stretch_begins_behind_the_one_before():
    refs = [f"s3://b/{key}" for key in "abcdefg"]
    rows = manifest_rows(path=list("abcdefg"), ref=refs, digest=["x"] * 7)
    stretches, _ = cut(Cutter({}, RULES, ()), [rows, rows.slice(0, 3)])
    found = [(stretch.after, stretch.first, stretch.last) for stretch in stretches]
    assert found == [("", "a", "c"), ("c", "d", "f"), ("", "a", "c"), ("c", "g", "g")]
    assert isinstance(stretches[0].rows, pa.RecordBatch)
