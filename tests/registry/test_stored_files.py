"""``add_file``, ``add_dir``, ``new_file``: stored with the registry, by content, as they were when they were added."""

import hashlib
import os
import shutil
from pathlib import Path

import pytest

import refscan
from refscan import Artifact, InvalidPathError, ObjectNotFoundError, PathConflictError


def entries(artifact):
    artifact.draft.seal()
    return {row["path"]: row for batch in artifact.draft.batches() for row in batch.to_pylist()}


def files_below(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture
def artifact():
    return Artifact("data", type="dataset")


async def download(artifact, root):
    async with refscan.init(project="demo") as run:
        version = await run.log_artifact(artifact)
    await version.download(root)
    return files_below(root)


async def test_a_file_lands_under_its_name_or_another(artifact, tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "model.h5").write_bytes(b"weights")
    await artifact.add_file(tmp_path / "checkpoints" / "model.h5")
    await artifact.add_file(str(tmp_path / "checkpoints" / "model.h5"), name="models/best.h5")
    assert await download(artifact, tmp_path / "root") == {"model.h5": b"weights", "models/best.h5": b"weights"}


async def test_a_relative_path_is_below_the_working_directory(artifact, tmp_path, monkeypatch):
    (tmp_path / "a?b#c%20.txt").write_bytes(b"1")
    monkeypatch.chdir(tmp_path)
    await artifact.add_file("a?b#c%20.txt")
    assert await download(artifact, tmp_path / "root") == {"a?b#c%20.txt": b"1"}


async def test_a_directory_lands_at_the_root_or_under_a_name(artifact, tmp_path):
    (tmp_path / "images" / "deep").mkdir(parents=True)
    (tmp_path / "images" / "cat.png").write_bytes(b"cat")
    (tmp_path / "images" / "deep" / "empty").write_bytes(b"")
    await artifact.add_dir(tmp_path / "images")
    await artifact.add_dir(f"{tmp_path}/images/", name="pictures")
    assert await download(artifact, tmp_path / "root") == {
        "cat.png": b"cat",
        "deep/empty": b"",
        "pictures/cat.png": b"cat",
        "pictures/deep/empty": b"",
    }


async def test_an_entry_of_a_stored_file_has_no_reference(artifact, tmp_path):
    (tmp_path / "f").write_bytes(b"12345")
    await artifact.add_file(tmp_path / "f")
    (row,) = entries(artifact).values()
    assert (row["path"], row["ref"], row["size"]) == ("f", None, 5)
    assert row["digest"] == "gnzLDuqKcGxMNKFokfhOew=="
    assert artifact.draft.receipts == []


@pytest.mark.parametrize("inside", [True, False])
async def test_the_content_is_that_of_the_moment_of_adding(tmp_path, inside):
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "f").write_bytes(b"before")
    if inside:
        async with refscan.init(project="demo") as run:
            artifact = Artifact("data", type="dataset")
            await artifact.add_file(tmp_path / "tree" / "f", name="file")
            await artifact.add_dir(tmp_path / "tree", name="dir")
            shutil.rmtree(tmp_path / "tree")
            version = await run.log_artifact(artifact)
        await version.download(tmp_path / "root")
        found = files_below(tmp_path / "root")
    else:
        artifact = Artifact("data", type="dataset")
        await artifact.add_file(tmp_path / "tree" / "f", name="file")
        await artifact.add_dir(tmp_path / "tree", name="dir")
        (tmp_path / "tree" / "f").write_bytes(b"after!")
        found = await download(artifact, tmp_path / "root")
    assert found == {"file": b"before", "dir/f": b"before"}


async def test_the_content_stays_when_the_file_changes_after_logging(artifact, tmp_path):
    (tmp_path / "f").write_bytes(b"before")
    await artifact.add_file(tmp_path / "f")
    async with refscan.init(project="demo") as run:
        version = await run.log_artifact(artifact)
    with (tmp_path / "f").open("r+b") as file:
        file.write(b"AFTER!")
    await version.download(tmp_path / "root")
    assert files_below(tmp_path / "root") == {"f": b"before"}


async def test_one_content_is_stored_once(tmp_path, draft):
    async with refscan.init(project="demo") as run:
        await run.log_artifact(await draft("one", {"a": "same", "b": "same", "c": "other"}))
        await run.log_artifact(await draft("two", {"d": "same"}))
    stored = files_below(tmp_path / "registry" / "files")
    assert sorted(stored.values()) == [b"other", b"same"]
    assert all(os.path.basename(name) == hashlib.md5(data).hexdigest() for name, data in stored.items())


async def test_a_new_file_holds_what_was_written(artifact, tmp_path):
    async with artifact.new_file("a/text") as text:
        await text.write("line\nnaïve\r\n")
        await text.write("中")
    async with artifact.new_file("latin", encoding="latin-1") as text:
        await text.write("é")
    async with artifact.new_file("a/data", "wb") as data:
        await data.write(b"\x00\xff\n")
    async with artifact.new_file("empty"):
        pass
    assert await download(artifact, tmp_path / "root") == {
        "a/text": "line\nnaïve\r\n中".encode(),
        "latin": b"\xe9",
        "a/data": b"\x00\xff\n",
        "empty": b"",
    }


async def test_a_new_file_is_not_there_before_its_block_ends(artifact):
    async with artifact.new_file("f") as file:
        await file.write("1")
        await file.flush()
        assert list(artifact.draft.batches()) == []
    assert list(entries(artifact)) == ["f"]


async def test_a_new_file_of_a_block_that_fails_is_not_added(artifact):
    async def write():
        async with artifact.new_file("f") as file:
            await file.write("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await write()
    assert entries(artifact) == {}
    assert list(artifact.staging.folder.iterdir()) == []
    async with artifact.new_file("f") as file:
        await file.write("whole")
    assert entries(artifact)["f"]["size"] == 5


async def test_a_mode_that_is_none_is_refused(artifact):
    for mode in ("r", "a", "x", "w+"):
        with pytest.raises(ValueError, match="'w' or 'wb'"):
            async with artifact.new_file("f", mode):
                pytest.fail("the file must not be opened")
    assert entries(artifact) == {}


async def test_a_path_of_other_content_is_refused_and_of_the_same_is_one_entry(artifact, tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_text("1")
    (tmp_path / "d" / "g").write_text("g")
    await artifact.add_file(tmp_path / "d" / "f")
    async with artifact.new_file("f") as file:
        await file.write("1")
    (tmp_path / "d" / "f").write_text("2")
    with pytest.raises(PathConflictError, match="'f'"):
        await artifact.add_file(tmp_path / "d" / "f")
    with pytest.raises(PathConflictError, match="'f'"):
        await artifact.add_dir(tmp_path / "d")
    assert list(entries(artifact)) == ["f"], "of a directory, nothing is added"
    assert await download(artifact, tmp_path / "root") == {"f": b"1"}


async def test_what_is_no_file_or_no_directory_is_refused(artifact, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "f").write_text("1")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ObjectNotFoundError, match="no such file"):
        await artifact.add_file(tmp_path / "missing")
    with pytest.raises(InvalidPathError, match="add_dir"):
        await artifact.add_file(tmp_path / "empty")
    with pytest.raises(ObjectNotFoundError):
        await artifact.add_file(tmp_path / "pipe")
    with pytest.raises(ObjectNotFoundError):
        await artifact.add_dir(tmp_path / "empty")
    with pytest.raises((InvalidPathError, ObjectNotFoundError)):
        await artifact.add_dir(tmp_path / "missing")
    with pytest.raises(InvalidPathError, match="add_file"):
        await artifact.add_dir(tmp_path / "f")
    assert entries(artifact) == {}


async def test_links_to_files_are_followed_and_links_to_folders_are_not(artifact, tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "f").write_text("1")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file-link").symlink_to(tmp_path / "outside" / "f")
    (tmp_path / "tree" / "folder-link").symlink_to(tmp_path / "outside")
    (tmp_path / "tree" / "dangling").symlink_to(tmp_path / "nothing")
    await artifact.add_dir(tmp_path / "tree")
    await artifact.add_file(tmp_path / "tree" / "folder-link" / "f", name="g")
    assert await download(artifact, tmp_path / "root") == {"file-link": b"1", "g": b"1"}


async def test_a_name_that_is_not_utf_8_is_refused(artifact, tmp_path):
    name = os.fsdecode(os.path.join(os.fsencode(tmp_path), b"\xff"))
    Path(name).write_text("1")
    with pytest.raises(InvalidPathError, match="not UTF-8"):
        await artifact.add_file(name)
    with pytest.raises(InvalidPathError, match="not UTF-8"):
        await artifact.add_dir(tmp_path)
    assert entries(artifact) == {}


async def test_files_of_one_registry_cannot_be_logged_into_another(tmp_path, draft):
    async with refscan.init(project="demo", registry=tmp_path / "one") as run:
        artifact = await draft(files={"f": "1"})
        await run.log_artifact(artifact)
    async with refscan.init(project="demo", registry=tmp_path / "two") as run:
        with pytest.raises(refscan.ArtifactError, match="stored in the registry"):
            await run.log_artifact(artifact)


async def test_thousands_of_files_are_stored_whole(artifact, tmp_path):
    content = {f"{number % 17}/{number}": os.urandom(number % 50) for number in range(1_500)}
    for name, data in content.items():
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    await artifact.add_dir(tmp_path / "tree")
    assert await download(artifact, tmp_path / "root") == content
