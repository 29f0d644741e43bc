"""The reader of W&B manifests, beside ``json``: any document, any size of blocks, any damage."""

import io
import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refscan.errors import ArtifactError
from refscan.wandb.manifest_json import read_entries

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6) | st.sampled_from(
    ['"', "\\", '\\"', "{", "}", "a,b", "\U0001f600"]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda v: st.lists(v, max_size=2) | st.dictionaries(texts, v, max_size=2),
    max_leaves=4,
)
contents = st.dictionaries(texts, st.dictionaries(texts, values, max_size=3), max_size=6)
headers = st.dictionaries(texts.filter(lambda text: text not in ("version", "contents")), values, max_size=2)


def read(data, block=1 << 20):
    found = {}
    for entries in read_entries(io.BytesIO(data), "m.json", block=block):
        found |= entries
    return found


@given(
    contents=contents,
    before=headers,
    after=headers,
    indent=st.sampled_from([None, 1]),
    ascii_only=st.booleans(),
    block=st.integers(1, 40),
    first=st.booleans(),
)
def test_any_document_is_read_as_json_reads_it(*, contents, before, after, indent, ascii_only, block, first):
    after = {name: value for name, value in after.items() if name not in before}
    version = {"version": 1}
    document = (version if first else {}) | before | {"contents": contents} | after | version
    data = json.dumps(document, indent=indent, ensure_ascii=ascii_only).encode()
    found = read(data, block)
    assert found == contents
    assert list(found) == list(contents)


@given(contents=contents, cut=st.integers(0, 10_000), block=st.integers(1, 40))
def test_a_document_that_breaks_off_is_refused(contents, cut, block):
    data = json.dumps({"version": 1, "contents": contents}).encode()
    with pytest.raises(ArtifactError, match=r"m\.json is (damaged|no W&B manifest)"):
        read(data[: cut % len(data)], block)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "begin"),
        (b"[]", "begin"),
        (b"{}", "begin"),
        (b"nonsense", "begin"),
        (b'{"version": 1}', "no version or no contents"),
        (b'{"contents": {}}', "no version or no contents"),
        (b'{"version": 2, "contents": {}}', "version 2"),
        (b'{"version": 1, "contents": []}', "no object"),
        (b'{"version": 1, "contents": {"a": 1}}', "'a' is no object"),
        (b'{"version": 1, "version": 1, "contents": {}}', "new name"),
        (b'{"version": 1, "contents": {"a": {},}}', "[Ee]xpect"),
        (b'{"version": 1, "contents": {"a" {}}}', "delimiter"),
        (b'{"version": 1, "contents": {"a": {"digest": "\xff"}}}', "UTF-8"),
        (b'{"version": 1, "contents": {"a": {]}}', "damaged"),
        (b'{"version": 1, "contents": {}} more', "behind its end"),
        (b'{"version": 1 "contents": {}}', "',' or '}'"),
    ],
)
@pytest.mark.parametrize("block", [3, 1 << 20])
def test_damage_is_one_line_that_says_what(data, why, block):
    with pytest.raises(ArtifactError, match=why) as raised:
        read(data, block)
    assert "\n" not in str(raised.value)


def test_a_path_twice_in_a_block_is_damage():
    with pytest.raises(ArtifactError, match="a path stands there twice"):
        read(b'{"version": 1, "contents": {"a": {}, "a": {}}}')


def test_memory_does_not_grow_with_the_entries():
    class Endless(io.RawIOBase):
        """A manifest of so many entries, made as it is read."""

        def __init__(self, entries):
            self._parts = self._made(entries)

        def _made(self, entries):
            yield b'{"version": 1, "contents": {'
            for index in range(entries):
                yield b'%s"f/%08d": {"digest": "%032d", "ref": "s3://b/f/%08d", "size": 1}' % (
                    b"," if index else b"",
                    index,
                    index,
                    index,
                )
            yield b"}}"

        def read(self, size):
            found = []
            while sum(map(len, found)) < size and (part := next(self._parts, None)) is not None:
                found.append(part)
                if len(found) == 100:
                    break
            return b"".join(found)

    def peak(entries):
        tracemalloc.start()
        count = sum(len(some) for some in read_entries(Endless(entries), "m.json", block=10_000))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert count == entries
        return peak

    peak(100)
    assert peak(20_000) < 2 * peak(2_000)
