"""Entries in a ``wandb.Artifact``, beside those that its own ``add_reference`` makes of the same Google bucket."""

import pytest
from beside import placed

from refscan.errors import MaxObjectsExceededError, ObjectNotFoundError

KEYS = [
    "data/train/cat.png",
    "data/train/deep/bird.png",
    "data/labels.csv",
    "data/ünïcode-雪 x.txt",
    "data/per%20cent",
    "top",
]


@pytest.fixture(autouse=True)
def google_login(gcs, monkeypatch):  # noqa: ARG001
    """Give the SDK a project: with an emulator it asks for no credentials."""
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "test")


@pytest.fixture(params=[True, False])
def filled(request, gcs_bucket):
    made = gcs_bucket(versioned=request.param)
    for key in KEYS:
        made.put(key, key.encode())
    made.put("data/empty", b"")
    made.put("data/labels.csv", b"new")
    return made


@pytest.mark.parametrize("name", [None, "images", "a//b"])
@pytest.mark.parametrize("place", ["data", "data/", "data/train", "data/labels.csv", "data/empty", "top"])
def test_objects_and_folders_are_the_same(beside, filled, place, name):
    beside.add(filled.uri + place, name)
    beside.assert_same()
    assert len(beside.entries()) >= 1


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("name", [None, "one.txt"])
def test_one_object_without_a_checksum_is_the_same(beside, filled, name, strict):
    beside.add(filled.uri + "data/labels.csv", name, checksum=False, strict=strict)
    beside.assert_same(1)


@pytest.mark.parametrize("strict", [False, True])
def test_a_generation_that_is_asked_for_is_the_same(beside, gcs_bucket, strict):
    made = gcs_bucket()
    first = made.put("d/a.txt", b"1")
    made.put("d/a.txt", b"22")
    beside.add(f"{made.uri}d/a.txt#{first}", strict=strict)
    beside.assert_same(1)
    (entry,) = beside.entries().values()
    assert (entry.size, entry.extra) == (1, {"versionID": int(first)})


# The rows of the README's table.


def test_odd_keys_keep_their_bytes(beside, gcs_bucket):
    made = gcs_bucket()
    keys = ["d/a?b", "d/c#d", "d/e//f"]
    for key in keys:
        made.put(key, key.encode())
    beside.add_ours(made.uri + "d")
    assert placed(beside.ours) == {key.removeprefix("d/"): made.uri + key for key in keys}


@pytest.mark.parametrize("name", [None, "n"])
def test_strict_collapses_odd_keys(beside, gcs_bucket, name):
    made = gcs_bucket()
    for key in ("d/a?b", "d/c#d", "d/e//f"):
        made.put(key, key.encode())
    beside.add(made.uri + "d", name, strict=True)
    beside.assert_same(3)


def test_an_object_that_ends_in_a_slash_is_recorded(beside, gcs_bucket):
    made = gcs_bucket()
    made.put("d/a/", b"content")
    made.put("d/b", b"1")
    beside.add(made.uri + "d")
    assert set(beside.entries("theirs")) == {"b"}
    assert placed(beside.ours) == {"a/": made.uri + "d/a/", "b": made.uri + "d/b"}


def test_strict_drops_objects_that_end_in_a_slash(beside, gcs_bucket):
    made = gcs_bucket()
    made.put("d/a/", b"content")
    made.put("d/b", b"1")
    beside.add(made.uri + "d", strict=True)
    beside.assert_same(1)


def test_a_prefix_is_a_folder(beside, gcs_bucket):
    made = gcs_bucket()
    made.put("pre/a", b"1")
    made.put("pre2/b", b"2")
    beside.add(made.uri + "pre")
    assert placed(beside.theirs) == {"a": made.uri + "pre/a", "b": made.uri + "pre"}
    assert placed(beside.ours) == {"a": made.uri + "pre/a"}


@pytest.mark.parametrize("strict", [False, True])
def test_more_than_max_objects_is_refused(beside, filled, strict):
    beside.theirs.add_reference(filled.uri + "data", max_objects=2)
    assert len(beside.theirs.manifest) == 2
    with pytest.raises(MaxObjectsExceededError):
        beside.add_ours(filled.uri + "data", max_objects=2, strict=strict)


@pytest.mark.parametrize("strict", [False, True])
def test_nothing_there_is_an_error(beside, filled, strict):
    beside.theirs.add_reference(filled.uri + "nothing")
    assert len(beside.theirs.manifest) == 0
    with pytest.raises(ObjectNotFoundError):
        beside.add_ours(filled.uri + "nothing", strict=strict)


def test_a_folder_without_a_checksum_is_its_objects(beside, filled):
    beside.add(filled.uri + "data/train", checksum=False)
    assert placed(beside.theirs) == {"data/train": filled.uri + "data/train"}
    assert set(beside.entries()) == {"cat.png", "deep/bird.png"}
