"""Where objects stand in an artifact, and what identifies them."""

import base64

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scan_adversaries import bucket, key_sets, scanning, texts

from refscan.errors import InvalidPathError
from refscan.manifest.schema import MANIFEST_SCHEMA
from refscan.scan.entries import Placement, check_name
from refscan.sources.source import page_rows
from refscan.uri import Location, parse


def paths(uri: str, prefix: str | None, keys: list[str], name: str | None = None) -> list[str]:
    placement = Placement(parse(uri), prefix=prefix, name=name, checksum=True)
    return placement.paths(pa.array(keys, pa.string())).to_pylist()


@pytest.mark.parametrize(
    ("uri", "name", "expected"),
    [
        ("s3://b/k", None, "k"),
        ("s3://b/a/b/c.txt", None, "c.txt"),
        ("s3://b/a/b/c.txt", "x/y.txt", "x/y.txt"),
        ("s3://b/a//c", None, "c"),
        ("s3://b/a/\U0001f600\n", None, "\U0001f600\n"),
        ("https://h/a/b.bin?sig=1", None, "b.bin"),
        ("https://h/", "page", "page"),
        ("s3://b//", None, "/"),
        ("file:///data/a%25b", None, "a%b"),
    ],
)
def test_a_single_object_stands_under_its_last_segment_or_its_name(uri, name, expected):
    assert paths(uri, None, [parse(uri).key], name) == [expected]


@pytest.mark.parametrize("uri", ["https://h/", "https://h/?q=1"])
def test_a_single_object_without_a_last_segment_needs_a_name(uri):
    with pytest.raises(InvalidPathError, match="ends in no file name; give name="):
        Placement(parse(uri), prefix=None, name=None, checksum=True)


def test_a_folder_leaves_its_own_path_out():
    keys = ["pre/a", "pre/b/c", "pre/b//d"]
    assert paths("s3://b/pre", "pre/", keys) == ["a", "b/c", "b//d"]
    assert paths("s3://b/pre", "pre/", keys, "train/images") == [
        "train/images/a",
        "train/images/b/c",
        "train/images/b//d",
    ]


def test_a_bucket_keeps_whole_keys():
    assert paths("s3://b", "", ["a", "b/c"]) == ["a", "b/c"]
    assert paths("s3://b", "", ["a", "b/c"], "n") == ["n/a", "n/b/c"]


@given(prefix=texts.map(lambda text: text + "/"), keys=key_sets, name=st.none() | st.just("n/m"))
def test_paths_are_the_keys_behind_the_prefix_and_keep_their_order(prefix, keys, name):
    ordered = sorted(keys)
    placement = Placement(Location("s3", "b", prefix, store="s3"), prefix=prefix, name=name, checksum=True)
    # A slice, so that the values do not begin where their buffer does.
    column = pa.array(["unrelated", *(prefix + key for key in ordered)]).slice(1)
    got = placement.paths(column).to_pylist()
    assert got == [key if name is None else f"{name}/{key}" for key in ordered]
    assert got == sorted(got)


def test_an_object_of_the_folders_own_key_stands_under_its_last_segment():
    """It ends in a slash and has content, so it is no folder marker."""
    placement = Placement(parse("s3://b/data/pre/"), prefix="data/pre/", name=None, checksum=True)
    rows = page_rows(key=["data/pre/", "data/pre/a"], size=[3, 4])
    assert placement.paths(rows.column("key")).to_pylist() == ["pre/", "a"]
    assert placement.begins_oddly(rows)
    assert not placement.begins_oddly(rows.slice(1))


def test_with_a_name_it_stands_in_order():
    placement = Placement(parse("s3://b/pre/"), prefix="pre/", name="n", checksum=True)
    rows = page_rows(key=["pre/", "pre/a"], size=[3, 4])
    assert placement.paths(rows.column("key")).to_pylist() == ["n/", "n/a"]
    assert not placement.begins_oddly(rows)


@pytest.mark.parametrize("prefix", ["", None])
def test_a_bucket_or_an_object_does_not_begin_oddly(prefix):
    placement = Placement(parse("s3://b/x"), prefix=prefix, name=None, checksum=True)
    assert not placement.begins_oddly(page_rows(key=["x"]))


def test_no_rows_have_no_paths():
    assert paths("s3://b/pre", "pre/", []) == []
    assert paths("s3://b/pre", None, []) == []


@pytest.mark.parametrize("name", ["a", "a/b", "a.b/..c", "\U0001f600", " ", "..."])
def test_a_relative_path_is_a_name(name):
    assert check_name(name) == check_name(name + "/") == name


@pytest.mark.parametrize(
    "name", ["", "/", "/a", "a//b", "a//", ".", "..", "a/../b", "./a", "a/.", "\udc80", "a/\ud800"]
)
def test_what_is_no_relative_path_is_no_name(name):
    with pytest.raises(InvalidPathError, match=r"^the name "):
        check_name(name)


@pytest.mark.parametrize("checksum", [True, False])
async def test_entries_hold_what_the_page_and_the_source_say(checksum):
    source = bucket(["pre/a", "pre/b"])
    async with scanning(source, "pre") as scan:
        placement = Placement(scan.location, prefix=scan.found.prefix, name="n", checksum=checksum)
        batches = [(rows, await placement.entries(source, rows)) async for rows in scan]
    ((rows, entries),) = batches
    assert entries.schema == MANIFEST_SCHEMA
    refs = ["memory://scanned/pre/a", "memory://scanned/pre/b"]
    assert entries.column("path").to_pylist() == ["n/a", "n/b"]
    assert entries.column("ref").to_pylist() == refs
    assert entries.column("digest").to_pylist() == (rows.column("e_tag").to_pylist() if checksum else refs)
    for same in ("size", "version_id", "e_tag", "last_modified", "storage_class"):
        assert entries.column(same).equals(rows.column(same))


async def test_a_checksum_that_the_digest_repeats_is_left_out():
    md5 = base64.b64encode(b"0123456789abcdef").decode()

    class Checksums:
        def refs(self, keys):
            return keys

        async def digests(self, rows, refs):  # noqa: ARG002
            return pa.array([md5, md5, md5, md5])

    rows = page_rows(
        key=["a", "b", "c", "d"],
        checksum=[f"md5:{md5}", f"crc32:{md5[:8]}", None, f"md5:x:{md5}"],
    )
    placement = Placement(parse("s3://b/"), prefix="", name=None, checksum=True)
    entries = await placement.entries(Checksums(), rows)
    assert entries.column("checksum").to_pylist() == [None, f"crc32:{md5[:8]}", None, f"md5:x:{md5}"]
