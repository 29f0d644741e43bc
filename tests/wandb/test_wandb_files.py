"""Entries in a ``wandb.Artifact``, beside those that its own ``add_reference`` makes of the same files."""

import os

import pytest
import wandb
from beside import placed

from refscan.errors import (
    ArtifactError,
    InvalidURIError,
    MaxObjectsExceededError,
    ObjectNotFoundError,
    PathConflictError,
)

FILES = ["a.txt", "deep/er/b.bin", "deep/c", "with space", "ünï-雪", ".hidden", "empty", "astral-\U0001f600"]


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "tree"
    for name in FILES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"" if name == "empty" else name.encode())
    (root / "link").symlink_to(root / "a.txt")
    (root / "linked folder").symlink_to(root / "deep")
    return root


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("checksum", [True, False])
@pytest.mark.parametrize("name", [None, "n", "a/b", "a//b"])
@pytest.mark.parametrize("place", ["", "/", "/deep", "/a.txt", "/empty", "/with space", "/with%20space", "/link"])
def test_files_and_directories_are_the_same(beside, tree, place, *, name, checksum, strict):
    beside.add(f"file://{tree}{place}", name, checksum=checksum, strict=strict)
    beside.assert_same()
    assert len(beside.entries()) >= 1


def test_an_empty_name_is_the_root(beside, tree):
    beside.add(f"file://{tree}", "")
    beside.assert_same(len(FILES) + 1)


def test_references_and_files_side_by_side_are_the_same(beside, tree):
    for artifact in (beside.theirs, beside.ours):
        artifact.add_file(str(tree / "a.txt"), "stored.txt", policy="immutable")
    beside.add(f"file://{tree}/deep")
    beside.assert_same(3)


@pytest.mark.parametrize("name", ["tracked", "a/b"])
@pytest.mark.parametrize("uri", ["weird://host/path", "nfs://server/share/x"])
def test_unknown_schemes_are_the_same(beside, uri, name):
    beside.add(uri, name)
    beside.assert_same(1)


def test_an_unknown_scheme_needs_a_name_in_both(beside):
    with pytest.raises(ValueError, match="name"):
        beside.theirs.add_reference("weird://host/path")
    with pytest.raises(ArtifactError, match="name"):
        beside.add_ours("weird://host/path")


def test_a_path_without_a_scheme_is_refused_in_both(beside, tree):
    with pytest.raises(ValueError, match="file://"):
        beside.theirs.add_reference(str(tree))
    with pytest.raises(InvalidURIError, match="file://"):
        beside.add_ours(str(tree))


def test_the_same_path_twice_is_refused_in_both_and_adds_nothing(beside, tree):
    beside.add(f"file://{tree}/a.txt", "x/er/b.bin")
    with pytest.raises(ValueError, match="same path twice"):
        beside.theirs.add_reference(f"file://{tree}/deep", "x")
    before = beside.entries()
    with pytest.raises(PathConflictError):
        beside.add_ours(f"file://{tree}/deep", "x")
    assert beside.entries() == before


def test_a_finished_artifact_takes_no_more(beside, tree):
    beside.theirs.finalize()
    beside.ours.finalize()
    with pytest.raises(AttributeError, match="finalized"):
        beside.theirs.add_reference(f"file://{tree}")
    with pytest.raises(ArtifactError, match="logged"):
        beside.add_ours(f"file://{tree}")


def test_a_name_that_leads_out_is_refused_in_both(beside, tree):
    for name in ("../x", "/x"):
        with pytest.raises(ValueError, match="path"):
            beside.theirs.add_reference(f"file://{tree}/a.txt", name)
        with pytest.raises(ValueError, match="path"):
            beside.add_ours(f"file://{tree}/a.txt", name)
    with pytest.raises(ValueError, match="file"):
        beside.add_ours(f"file://{tree}/a.txt", "")


def test_a_path_that_the_sdk_takes_for_a_drive_is_refused_in_both(beside, tmp_path):
    os.makedirs(tmp_path / "d")
    (tmp_path / "d" / "C:x").write_text("1")
    with pytest.raises(ValueError, match="path"):
        beside.theirs.add_reference(f"file://{tmp_path}/d")
    with pytest.raises(ValueError, match="'C:x'"):
        beside.add_ours(f"file://{tmp_path}/d")


# The rows of the README's table.


def test_names_with_marks_of_uris_are_escaped_so_that_the_sdk_reads_them(beside, tmp_path):
    names = ["a%20b", "c?d", "e#f"]
    os.makedirs(tmp_path / "d")
    for name in names:
        (tmp_path / "d" / name).write_text(name)
    beside.add(f"file://{tmp_path}/d")
    assert beside.ours.digest == beside.theirs.digest
    assert {entry.ref.rpartition("/")[2] for entry in beside.entries("theirs").values()} == set(names)
    for path, entry in beside.entries().items():
        assert wandb.util.local_file_uri_to_path(entry.ref) == str(tmp_path / "d" / path)


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("place", ["a?b#c", "a?b#c/d", "a?b#c/"])
def test_marks_of_uris_in_the_uri_itself_are_escaped_too(beside, tmp_path, place, strict):
    (tmp_path / "a?b#c").mkdir()
    (tmp_path / "a?b#c" / "d").write_text("1")
    uri = f"file://{tmp_path}/{place}"
    with pytest.raises(ValueError, match="must be a valid file"):
        beside.theirs.add_reference(uri)
    (entry,) = beside.add_ours(uri, strict=strict)
    assert wandb.util.local_file_uri_to_path(entry.ref) == str(tmp_path / "a?b#c" / "d")


def test_strict_writes_such_names_as_they_are(beside, tmp_path):
    os.makedirs(tmp_path / "d")
    for name in ("a%20b", "c?d", "e#f"):
        (tmp_path / "d" / name).write_text(name)
    beside.add(f"file://{tmp_path}/d", strict=True)
    beside.assert_same(3)


@pytest.mark.parametrize("strict", [False, True])
def test_more_than_max_objects_is_refused(beside, tree, strict):
    with pytest.raises(ValueError, match="Exceeded"):
        beside.theirs.add_reference(f"file://{tree}", max_objects=2)
    with pytest.raises(MaxObjectsExceededError):
        beside.add_ours(f"file://{tree}", max_objects=2, strict=strict)


@pytest.mark.parametrize("strict", [False, True])
def test_an_empty_directory_is_an_error(beside, tmp_path, strict):
    os.makedirs(tmp_path / "d")
    beside.theirs.add_reference(f"file://{tmp_path}/d")
    assert len(beside.theirs.manifest) == 0
    with pytest.raises(ObjectNotFoundError):
        beside.add_ours(f"file://{tmp_path}/d", strict=strict)


@pytest.mark.parametrize("strict", [False, True])
def test_a_dangling_link_is_left_out(beside, tmp_path, strict):
    os.makedirs(tmp_path / "d")
    (tmp_path / "d" / "a").write_text("1")
    (tmp_path / "d" / "gone").symlink_to(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError):
        beside.theirs.add_reference(f"file://{tmp_path}/d")
    beside.add_ours(f"file://{tmp_path}/d", strict=strict)
    assert placed(beside.ours) == {"a": f"file://{tmp_path}/d/a"}


def test_what_the_sdk_only_tracks_and_refscan_reads_is_read(beside):
    from refscan.sources.memory import MemorySource

    store = MemorySource("box")
    store.put("d/a", b"1")
    beside.add("memory://box/d", "n")
    assert placed(beside.theirs) == {"n": "memory://box/d"}
    assert placed(beside.ours) == {"n/a": "memory://box/d/a"}


def test_strict_tracks_it_as_the_sdk_does(beside):
    beside.add("memory://box/d", "n", strict=True)
    beside.assert_same(1)
