"""The registry's directory: what lies there under which name, what is cleaned up, and what is missed."""

import hashlib
import os
import sqlite3
import time

import pytest

import refscan
from refscan import ObjectNotFoundError, StoreError
from refscan.registry.registry import Registry

DAY = 24 * 3600


async def log(draft, files=None):
    async with refscan.init(project="demo") as run:
        return await run.log_artifact(await draft(files=files or {"f": "text"}))


async def test_what_killed_processes_left_a_week_ago_is_removed(tmp_path, draft):
    folder = tmp_path / "registry" / "tmp"
    for age, name in ((8, "old"), (6, "new")):
        (folder / f"{name}-folder").mkdir(parents=True)
        (folder / f"{name}-folder" / "file").write_text("1")
        (folder / f"{name}-file").write_text("1")
        for path in (folder / f"{name}-folder", folder / f"{name}-file"):
            os.utime(path, (time.time() - age * DAY, time.time() - age * DAY))
    await log(draft)
    assert sorted(path.name for path in folder.iterdir()) == ["new-file", "new-folder"]


async def test_stored_files_lie_under_their_md5(tmp_path, draft):
    await log(draft, {"a": "one", "b": "two"})
    for text in (b"one", b"two"):
        name = hashlib.md5(text).hexdigest()
        assert (tmp_path / "registry" / "files" / name[:2] / name).read_bytes() == text


async def test_versions_share_what_they_have_in_common(tmp_path, draft):
    await log(draft)
    before = {path for path in (tmp_path / "registry").rglob("*") if path.is_file()}
    async with refscan.init(project="other") as run:
        await run.log_artifact(await draft("copy", {"f": "text"}))
    assert {path for path in (tmp_path / "registry").rglob("*") if path.is_file()} == before


async def test_a_manifest_that_was_lost_is_an_error_that_names_it(tmp_path, draft):
    version = await log(draft)
    (manifest,) = [path for path in (tmp_path / "registry" / "manifests").rglob("*") if path.is_file()]
    manifest.unlink()
    for call in (version.download(tmp_path / "root"), version.verify(), version.get_entry("f")):
        with pytest.raises(StoreError, match=f"lacks {manifest}"):
            await call


async def test_a_registry_of_a_later_release_is_refused(tmp_path, draft):
    await log(draft)
    with sqlite3.connect(tmp_path / "registry" / "catalog.sqlite") as connection:
        connection.execute("PRAGMA user_version=99")
    connection.close()
    with pytest.raises(StoreError, match="later release; upgrade refscan"):
        async with Registry(tmp_path / "registry"):
            pytest.fail("it must not be opened")


async def test_a_registry_may_be_moved(tmp_path, draft):
    await log(draft)
    (tmp_path / "registry").rename(tmp_path / "moved")
    async with refscan.init(project="demo", registry=tmp_path / "moved") as run:
        version = await run.use_artifact("data")
        assert (await version.verify()).ok
    assert ((await version.download(tmp_path / "root")) / "f").read_text() == "text"


async def test_entries_are_found_by_path(draft):
    version = await log(draft, {f"{number:04}": str(number) for number in range(300)})
    entry = await version.get_entry("0123")
    assert (entry.path, entry.size, entry.uri) == ("0123", 3, "refscan://demo/data:v0/0123")
    for path in ("", "0", "01234", "zzz"):
        with pytest.raises(ObjectNotFoundError):
            await version.get_entry(path)
    assert [row["path"] for batch in version.batches(prefix="012") for row in batch.to_pylist()] == [
        f"{number:04}" for number in range(120, 130)
    ]
