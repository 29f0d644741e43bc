"""Entries in a ``wandb.Artifact``, beside those that its own ``add_reference`` makes of the same S3 bucket."""

import pytest
from beside import placed

from refscan.errors import MaxObjectsExceededError, ObjectNotFoundError

KEYS = {
    "data/train/cat.png": b"cat",
    "data/train/dog.png": b"dog",
    "data/train/deep/er/bird.png": b"bird",
    "data/labels.csv": b"labels",
    "data/noextension": b"plain",
    "data/with space.txt": b"space",
    "data/ünïcode-雪.txt": b"snow",
    "data/astral-\U0001f600.txt": b"astral",
    "data/per%20cent.txt": b"percent",
    "data/plus+and&amp.txt": b"and",
    "top.txt": b"top",
    "data/.hidden": b"hidden",
}
# What W&B reads of a URI up to, and what pathlib makes something else of.
ODD = {"odd/a?b.txt": b"q", "odd/c#d.txt": b"h", "odd/e//f.txt": b"s", "odd/./g.txt": b"d", "odd/plain.txt": b"p"}


@pytest.fixture(params=["versioned", "never versioned", "suspended"])
def filled(request, bucket):
    made = bucket(versioned=request.param != "never versioned")
    for key, data in KEYS.items():
        made.put(key, data)
    if request.param == "suspended":
        made.set_versioning("Suspended")
        made.put("data/labels.csv", b"new labels")
    return made


@pytest.mark.parametrize("name", [None, "images", "images/", "a/b/c", "a//b"])
@pytest.mark.parametrize(
    "place", ["data", "data/", "data/train", "data/train/deep", "data/labels.csv", "data/noextension"]
)
def test_objects_and_folders_are_the_same(beside, filled, place, name):
    beside.add(filled.uri + place, name)
    beside.assert_same()
    assert len(beside.entries()) >= 1


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("name", [None, "all"])
def test_a_whole_bucket_is_the_same_with_a_dot_in_each_key(beside, bucket, name, strict):
    made = bucket()
    for key in ("a/b.txt", "c.txt", "d.e/f"):
        made.put(key, key.encode())
    beside.add(made.uri.rstrip("/"), name, strict=strict)
    beside.assert_same(3)


def test_several_references_are_the_same(beside, filled):
    beside.add(filled.uri + "data/train", "train")
    beside.add(filled.uri + "top.txt")
    beside.add(filled.uri + "data/labels.csv", name="labels")
    beside.add(filled.uri + "data/train", "train")
    beside.assert_same(5)


def test_overwritten_objects_are_the_same(beside, bucket):
    made = bucket()
    for data in (b"1", b"22", b"333"):
        made.put("d/a", data)
    made.put("d/gone", b"x")
    made.delete("d/gone")
    beside.add(made.uri + "d")
    beside.assert_same(1)


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("name", [None, "renamed.txt"])
def test_one_object_without_a_checksum_is_the_same(beside, filled, name, strict):
    beside.add(filled.uri + "data/labels.csv", name, checksum=False, strict=strict)
    beside.assert_same(1)


def test_positional_arguments_are_those_of_the_sdk(beside, filled):
    beside.add(filled.uri + "data/labels.csv", "n", False, 7)
    beside.assert_same(1)


def test_the_entries_are_returned(beside, filled):
    found = beside.add(filled.uri + "data/train")
    assert {str(entry.path): entry for entry in found} == beside.entries("theirs")


# The rows of the README's table.


def test_a_version_that_is_asked_for_is_recorded(beside, bucket):
    made = bucket()
    first = made.put("a.txt", b"1")
    second = made.put("a.txt", b"22")
    beside.add(f"{made.uri}a.txt?versionId={first}")
    (theirs,), (ours,) = beside.entries("theirs").values(), beside.entries().values()
    assert (theirs.extra["versionID"], theirs.size) == (second, 2)  # not what was asked for
    assert (ours.extra["versionID"], ours.size, ours.ref) == (first, 1, made.uri + "a.txt")


def test_strict_takes_the_current_version_as_the_sdk_does(beside, bucket):
    made = bucket()
    first = made.put("a.txt", b"1")
    made.put("a.txt", b"22")
    beside.add(f"{made.uri}a.txt?versionId={first}", strict=True)
    beside.assert_same(1)


def test_empty_objects_are_recorded(beside, bucket):
    made = bucket()
    made.put("d/empty", b"")
    made.put("d/full", b"1")
    beside.add(made.uri + "d")
    assert set(beside.entries("theirs")) == {"full"}
    assert set(beside.entries()) == {"full", "empty"}


@pytest.mark.parametrize("place", ["d", "d/empty"])
def test_strict_drops_empty_objects(beside, bucket, place):
    made = bucket()
    made.put("d/empty", b"")
    made.put("d/full", b"1")
    beside.add(made.uri + place, strict=True)
    beside.assert_same(1 if place == "d" else 0)


def test_odd_keys_keep_their_bytes(beside, bucket):
    made = bucket()
    for key, data in ODD.items():
        made.put(key, data)
    beside.add_ours(made.uri + "odd")
    assert placed(beside.ours) == {key.removeprefix("odd/"): made.uri + key for key in ODD}
    beside.theirs.add_reference(made.uri + "odd")
    assert "e/f.txt" in beside.theirs.manifest.entries


@pytest.mark.parametrize("name", [None, "n"])
def test_strict_collapses_odd_keys(beside, bucket, name):
    made = bucket()
    for key, data in ODD.items():
        made.put(key, data)
    beside.add(made.uri + "odd", name, strict=True)
    beside.assert_same(len(ODD))


def test_two_keys_that_collapse_into_one_are_two(beside, bucket):
    made = bucket()
    made.put("d/a//b", b"1")
    made.put("d/a/b", b"2")
    with pytest.raises(ValueError, match="same path twice"):
        beside.theirs.add_reference(made.uri + "d")
    beside.add_ours(made.uri + "d")
    assert set(beside.entries()) == {"a//b", "a/b"}


def test_a_key_with_a_question_mark_or_hash_is_a_key(beside, bucket):
    made = bucket()
    for key in ("a", "a?b", "a#b"):
        made.put(key, key.encode())
    for key in ("a?b", "a#b"):
        beside.add_ours(made.uri + key)
    assert placed(beside.ours) == {key: made.uri + key for key in ("a?b", "a#b")}


@pytest.mark.parametrize("mark", ["?b", "#b"])
def test_strict_ends_a_key_there(beside, bucket, mark):
    made = bucket()
    for key in ("a", "a" + mark):
        made.put(key, key.encode())
    beside.add(made.uri + "a" + mark, strict=True)
    beside.assert_same(1)


def test_a_prefix_is_a_folder(beside, bucket):
    made = bucket()
    made.put("pre/a", b"1")
    made.put("pre2/b", b"2")
    with pytest.raises(ValueError, match="subpath"):
        beside.theirs.add_reference(made.uri + "pre")
    beside.add_ours(made.uri + "pre")
    assert placed(beside.ours) == {"a": made.uri + "pre/a"}


def test_a_whole_bucket_keeps_its_folders(beside, bucket):
    made = bucket()
    for key in ("deep/README", "deep/a.txt"):
        made.put(key, key.encode())
    beside.add(made.uri)
    assert placed(beside.theirs) == {"README": made.uri.rstrip("/"), "deep/a.txt": made.uri + "deep/a.txt"}
    assert placed(beside.ours) == {key: made.uri + key for key in ("deep/README", "deep/a.txt")}


def test_strict_takes_an_object_for_the_bucket_as_the_sdk_does(beside, bucket):
    made = bucket()
    for key in ("deep/README", "deep/a.txt"):
        made.put(key, key.encode())
    beside.add(made.uri, strict=True)
    beside.assert_same(2)


@pytest.mark.parametrize("name", [".", ""])
def test_strict_keeps_the_folders_where_the_root_is_named(beside, bucket, name):
    made = bucket()
    for key in ("deep/README", "README", "deep//er/x"):
        made.put(key, key.encode())
    beside.add(made.uri, name, strict=True)
    beside.assert_same(3)


@pytest.mark.parametrize("strict", [False, True])
def test_more_than_max_objects_is_refused(beside, bucket, strict):
    made = bucket()
    for key in ("d/a", "d/b", "d/c"):
        made.put(key, key.encode())
    beside.theirs.add_reference(made.uri + "d", max_objects=2)
    assert len(beside.theirs.manifest) == 2
    with pytest.raises(MaxObjectsExceededError):
        beside.add_ours(made.uri + "d", max_objects=2, strict=strict)
    assert len(beside.ours.manifest) == 0


def test_a_folder_without_a_checksum_is_its_objects(beside, bucket):
    made = bucket()
    for key in ("d/a", "d/b"):
        made.put(key, key.encode())
    beside.add(made.uri + "d", checksum=False)
    assert placed(beside.theirs) == {"d": made.uri + "d"}
    assert placed(beside.ours) == {"a": made.uri + "d/a", "b": made.uri + "d/b"}
    assert all(e.digest == e.ref and e.extra == {} and e.size is None for e in beside.entries().values())


@pytest.mark.parametrize("name", [None, "n"])
@pytest.mark.parametrize("place", ["d", "d/", "d/a//b", "", "nothing"])
def test_strict_asks_nobody_without_a_checksum(beside, bucket, place, name):
    beside.add(bucket().uri + place, name, checksum=False, strict=True)
    beside.assert_same(1)


@pytest.mark.parametrize("strict", [False, True])
def test_nothing_there_is_an_error(beside, bucket, strict):
    made = bucket()
    made.put("d/a", b"1")
    beside.theirs.add_reference(made.uri + "nothing")
    assert len(beside.theirs.manifest) == 0
    with pytest.raises(ObjectNotFoundError):
        beside.add_ours(made.uri + "nothing", strict=strict)


def test_a_folder_marker_is_not_the_folder(beside, bucket):
    made = bucket()
    made.put("d/", b"")
    made.put("d/a", b"1")
    beside.add(made.uri + "d/")
    assert len(beside.theirs.manifest) == 0
    assert placed(beside.ours) == {"a": made.uri + "d/a"}
