"""``verify``: what still resolves to what was recorded, found by listing again and asking only for what differs."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from servers.http import Resource

import refscan
from refscan import AccessDeniedError, Artifact, DigestMismatchError, MemorySource
from refscan.errors import StoreError


def problems(verification):
    return {row["path"]: row["status"] for row in verification.problems.to_pylist()}


@pytest.fixture
def tree(tmp_path):
    (tmp_path / "tree" / "deep").mkdir(parents=True)
    for name in ("a", "b", "deep/c", "deep/d"):
        (tmp_path / "tree" / name).write_text(name)
    return tmp_path / "tree"


async def test_what_is_as_it_was_has_no_problem(memory, tree, log, web_server):
    web_server.resources["/w"] = Resource(b"1", e_tag='"1"')
    bucket = memory({"a": b"1", "d/b": b"2", "d/c": b""})
    version = await log(
        (bucket.base, "whole"),
        (f"{bucket.base}d", "folder"),
        (f"{bucket.base}a", "one"),
        (f"file://{tree}", "tree"),
        (f"file://{tree}/a", "file"),
        f"{web_server.base}w",
    )
    verification = await version.verify()
    assert (verification.ok, verification.checked, problems(verification)) == (True, 12, {})


async def test_a_prefix_is_listed_and_its_objects_are_not_asked_for(memory, log):
    bucket = memory({f"{number:04}": b"x" for number in range(2_500)}, page_size=1_000)
    version = await log(bucket.base)
    bucket.requests = 0
    verification = await version.verify()
    assert (verification.ok, verification.checked) == (True, 2_500)
    assert bucket.requests == 3


async def test_what_was_superseded_is_there_while_its_version_is(memory, log):
    bucket = memory({f"{number:03}": b"x" for number in range(100)})
    version = await log(bucket.base)
    for number in range(0, 100, 10):
        bucket.put(f"{number:03}", b"overwritten")
    bucket.delete("055")
    bucket.requests = 0
    verification = await version.verify()
    assert (verification.ok, verification.checked, problems(verification)) == (True, 100, {})
    assert bucket.requests == 1 + 11, "one page, and one request for each that differs"


async def test_what_may_not_be_read_is_one_error(web_server, log):
    web_server.resources["/a"] = Resource(b"a", e_tag='"a"')
    version = await log(f"{web_server.base}a")
    web_server.resources["/a"].status = 403
    with pytest.raises(AccessDeniedError, match="/a: access denied"):
        await version.verify()


class TestServersWithoutETags:
    """Nothing but size and time tells of new content there, as with Python's own server."""

    LATER = "Thu, 22 Oct 2015 07:28:00 GMT"

    @pytest.fixture
    async def version(self, web_server, log):
        index = b"<title>Index of /d/</title><pre><a href='a'>a</a><a href='b'>b</a><a href='c'>c</a></pre></html>"
        web_server.resources["/d/"] = Resource(index, headers={"Content-Type": "text/html"})
        for name in "abc":
            web_server.resources[f"/d/{name}"] = Resource(name.encode())
        return await log((f"{web_server.base}d/", "folder"), (f"{web_server.base}d/a", "one"))

    async def test_another_size_or_time_is_a_change(self, version, web_server):
        assert (await version.verify()).ok
        web_server.resources["/d/a"] = Resource(b"A", modified=self.LATER)
        web_server.resources["/d/b"] = Resource(b"longer")
        assert problems(await version.verify()) == {"folder/a": "changed", "folder/b": "changed", "one": "changed"}

    async def test_another_time_is_no_wrong_file(self, version, web_server, tmp_path):
        web_server.resources["/d/a"] = Resource(b"A", modified=self.LATER)
        with pytest.raises(DigestMismatchError, match=r"/d/a was overwritten: it was written at 2015-10-22"):
            await version.download(tmp_path / "root")
        web_server.resources["/d/a"] = Resource(b"a", modified=None)
        assert (await version.download(tmp_path / "root") / "one").read_bytes() == b"a"


async def test_what_is_new_is_no_problem(memory, tree, log):
    bucket = memory({"b": b"x"})
    version = await log((bucket.base, "m"), (f"file://{tree}", "t"))
    bucket.put("a", b"new")
    (tree / "new").write_text("new")
    assert problems(await version.verify()) == {}


async def test_objects_whose_version_is_gone_are_missing(log):
    bucket = MemorySource("verify-gone")
    bucket.put("a", b"1")
    bucket.put("b", b"2")
    version = await log(bucket.base)
    again = MemorySource("verify-gone")
    again.put("a", b"1")
    verification = await version.verify()
    assert not verification.ok
    assert problems(verification) == {"b": "missing"}
    MemorySource("verify-gone")
    assert problems(await version.verify()) == {"a": "missing", "b": "missing"}


async def test_local_files_that_changed_or_went(tree, log):
    version = await log((f"file://{tree}", "t"), (f"file://{tree}/a", "one"), (f"file://{tree}/deep/d", "other"))
    (tree / "a").write_text("A")
    (tree / "deep" / "d").unlink()
    (tree / "b").touch()
    verification = await version.verify()
    assert not verification.ok
    assert problems(verification) == {"t/a": "changed", "one": "changed", "t/deep/d": "missing", "other": "missing"}
    assert verification.checked == 6
    rows = verification.problems.to_pylist()
    assert [row["path"] for row in rows] == sorted(row["path"] for row in rows)
    assert {row["path"]: row["ref"] for row in rows}["t/a"] == f"file://{tree}/a"


async def test_a_tree_that_went_is_missing(tree, log):
    version = await log(f"file://{tree}/deep")
    tree.rename(tree.parent / "elsewhere")
    assert problems(await version.verify()) == {"c": "missing", "d": "missing"}


UNREADABLE = """
import asyncio, os, sys
import refscan
from refscan.download.verify import verify

async def main(root):
    async with refscan.init(project="demo", registry=f"{root}/registry") as run:
        artifact = refscan.Artifact("files", type="dataset")
        await artifact.add_reference(f"file://{root}/unread", checksum=False)
        for name in sys.argv[2:]:
            await artifact.add_reference(f"file://{root}/{name}")
        version = await run.log_artifact(artifact)
    # The registry and all modules may lie where others may not read.
    rows = list(version.batches())
    assert (await verify(rows, version.receipts, version.resolver())).ok
    for name in ("unread", *sys.argv[2:]):
        os.chmod(f"{root}/{name}", 0)
    if os.geteuid() == 0:
        os.setegid(65534)
        os.seteuid(65534)
    try:
        print(dict((await verify(rows, version.receipts, version.resolver())).counts))
    except refscan.AccessDeniedError as error:
        print(error)

asyncio.run(main(sys.argv[1]))
"""


@pytest.mark.parametrize("names", [[], ["read"]])
def test_a_file_that_may_not_be_read_is_not_called_changed(names):
    with tempfile.TemporaryDirectory() as root:
        os.chmod(root, 0o755)
        for name in ("unread", "read"):
            (Path(root) / name).write_text(name)
        words = [sys.executable, "-c", UNREADABLE, root, *names]
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    said = f"file://{root}/read: not readable by this user" if names else "{'present': 1}"
    assert (done.stdout, done.stderr) == (f"{said}\n", "")


@pytest.mark.parametrize("single", [False, True])
async def test_without_a_checksum_time_and_size_tell(tree, log, single):
    uris = [f"file://{tree}/{name}" for name in ("a", "b", "deep/c")] if single else [f"file://{tree}"]
    version = await log(*uris, checksum=False)
    assert problems(await version.verify()) == {}
    facts = (tree / "a").stat()
    os.utime(tree / "a", ns=(facts.st_atime_ns, facts.st_mtime_ns + 1_000))
    facts = (tree / "b").stat()
    (tree / "b").write_text("longer")
    os.utime(tree / "b", ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert problems(await version.verify()) == {"a": "changed", "b": "changed"}


async def test_what_is_only_tracked_is_unchecked_and_no_failure(memory, log):
    version = await log(memory({"a": b"1"}).base, ("ipfs://x", "tracked"))
    verification = await version.verify()
    assert (verification.ok, verification.checked, problems(verification)) == (True, 2, {"tracked": "unchecked"})


async def test_stored_files_are_read_again(tmp_path):
    async with refscan.init(project="demo") as run:
        artifact = Artifact("stored", type="dataset")
        for name in ("fine", "damaged", "lost"):
            async with artifact.new_file(name) as file:
                await file.write(name)
        version = await run.log_artifact(artifact)
    assert (await version.verify()).ok
    for path in (tmp_path / "registry" / "files").rglob("*"):
        if path.is_file() and path.read_text() == "damaged":
            path.write_text("Damaged")
        elif path.is_file() and path.read_text() == "lost":
            path.unlink()
    verification = await version.verify()
    assert not verification.ok
    assert problems(verification) == {"damaged": "changed", "lost": "missing"}
    assert [row["ref"] for row in verification.problems.to_pylist()] == [None, None]


async def test_a_resource_of_a_web_server(web_server, log):
    for name in ("/fine", "/changed", "/gone"):
        web_server.resources[name] = Resource(b"1", e_tag=f'"{name[1:]}"')
    version = await log(*(f"{web_server.base}{name}" for name in ("fine", "changed", "gone")))
    web_server.resources["/changed"].e_tag = '"2"'
    del web_server.resources["/gone"]
    assert problems(await version.verify()) == {"changed": "changed", "gone": "missing"}


@pytest.mark.parametrize("versioned", [True, False])
async def test_an_s3_bucket(bucket, log, versioned):
    store = bucket(versioned=versioned)
    for key in ("d/a", "d/b", "d/c"):
        store.put(key, b"first")
    version = await log(f"s3://{store.name}/d/")
    assert (await version.verify()).ok
    store.put("d/a", b"other")
    found = problems(await version.verify())
    assert found == ({} if versioned else {"a": "changed"})


async def test_entries_of_two_references_to_one_folder(tree, log):
    version = await log((f"file://{tree}", "x"), (f"file://{tree}", "y"), (f"file://{tree}/deep", "z"))
    (tree / "deep" / "c").write_text("changed")
    (tree / "a").unlink()
    rows = (await version.verify()).problems.to_pylist()
    assert [(row["path"], row["status"]) for row in rows] == [
        ("x/a", "missing"),
        ("x/deep/c", "changed"),
        ("y/a", "missing"),
        ("y/deep/c", "changed"),
        ("z/c", "changed"),
    ]


async def test_entries_of_two_references_with_other_patterns_to_one_folder(tree):
    async with refscan.init(project="demo") as run:
        artifact = Artifact("patterns", type="dataset")
        for pattern in ("a", "b", "deep/*"):
            await artifact.add_reference(f"file://{tree}", include=pattern)
        version = await run.log_artifact(artifact)
    (tree / "b").write_text("changed")
    (tree / "deep" / "c").unlink()
    assert problems(await version.verify()) == {"b": "changed", "deep/c": "missing"}


@pytest.mark.parametrize("damage", ["lost", "empty", "pages"])
async def test_a_manifest_that_cannot_be_read_is_one_error(memory, log, tmp_path, damage):
    version = await log(memory({f"{number:04}": b"x" for number in range(2_000)}).base)
    (path,) = map(Path, version.parquet_paths())
    data = path.read_bytes()
    path.unlink()
    if damage != "lost":
        path.write_bytes(b"" if damage == "empty" else data[:30] + bytes(b ^ 0xFF for b in data[30:300]) + data[300:])
    for use in (version.verify, lambda: version.download(tmp_path / "out"), version.entries, version.ls):
        with pytest.raises(StoreError, match=f"{path}.*restore it from a backup") as caught:
            await use()
        assert "\n" not in str(caught.value)


async def test_names_that_want_escapes_in_a_uri(tree, log):
    (tree / "deep" / "100%25.txt").write_text("1")
    version = await log((f"file://{tree}/deep", "50%25 off"))
    (tree / "deep" / "100%25.txt").write_text("2")
    (tree / "deep" / "c").unlink()
    assert problems(await version.verify()) == {
        "50%25 off/100%25.txt": "changed",
        "50%25 off/c": "missing",
    }


async def test_an_object_with_the_folders_own_key(memory, log):
    bucket = memory({"d/": b"content", "d/a": b"1", "d/z": b"2"})
    version = await log(f"{bucket.base}d/")
    bucket.requests = 0
    assert problems(await version.verify()) == {}


async def test_an_empty_version_has_nothing_to_check(log):
    verification = await (await log()).verify()
    assert (verification.ok, verification.checked, problems(verification)) == (True, 0, {})
