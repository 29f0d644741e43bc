"""``download``: the very bytes that were recorded, or an error and no file; what is right already is left alone."""

import os

import anyio
import pytest
from servers.http import Resource

import refscan
from refscan import (
    DigestMismatchError,
    InvalidPathError,
    MemorySource,
    ObjectNotFoundError,
    StoreError,
    UnsupportedSchemeError,
)
from refscan.download import fetch


@pytest.fixture
def tree(tmp_path):
    """A directory with two files."""
    (tmp_path / "tree" / "deep").mkdir(parents=True)
    (tmp_path / "tree" / "a").write_bytes(b"aaaa")
    (tmp_path / "tree" / "deep" / "b").write_bytes(b"bbbb")
    return tmp_path / "tree"


async def test_the_directory_is_named_by_the_version_unless_it_is_given(
    memory, log, tmp_path, monkeypatch, files_below
):
    monkeypatch.chdir(tmp_path)
    version = await log(memory({"a": b"1", "b/c": b"2"}).base)
    directory = await version.download()
    assert str(directory) == "artifacts/data:v0"
    assert files_below(tmp_path / "artifacts" / "data:v0") == {"a": b"1", "b/c": b"2"}
    assert await version.download("else/where") == (tmp_path / "else" / "where").relative_to(tmp_path)
    assert files_below(tmp_path / "else" / "where") == {"a": b"1", "b/c": b"2"}


async def test_what_was_recorded_comes_even_after_it_was_overwritten_or_deleted(memory, log, tmp_path, files_below):
    source = memory({"a": b"first", "gone": b"here"})
    first = await log(source.base)
    source.put("a", b"second")
    source.delete("gone")
    second = await log(source.base)
    source.put("a", b"third")
    await first.download(tmp_path / "0")
    await second.download(tmp_path / "1")
    assert files_below(tmp_path / "0") == {"a": b"first", "gone": b"here"}
    assert files_below(tmp_path / "1") == {"a": b"second"}


async def test_each_object_is_one_request(memory, log, tmp_path):
    source = memory({f"{number}": b"x" for number in range(50)})
    version = await log(source.base)
    source.requests = 0
    report = await version.fetch(tmp_path / "root")
    assert source.requests == 50
    assert (report.fetched, report.kept, report.missing, report.bytes) == (50, 0, 0, 50)


async def test_an_s3_bucket_gives_what_was_recorded(bucket, log, tmp_path, files_below):
    store = bucket()
    for key in ("data/a", "data/b c?#%20é"):
        store.put(key, b"first")
    first = await log(f"s3://{store.name}/data/")
    store.put("data/a", b"second")
    second = await log(f"s3://{store.name}/data/")
    await first.download(tmp_path / "0")
    await second.download(tmp_path / "1")
    assert files_below(tmp_path / "0") == {"a": b"first", "b c?#%20é": b"first"}
    assert files_below(tmp_path / "1") == {"a": b"second", "b c?#%20é": b"first"}
    report = await second.fetch(tmp_path / "1")
    assert (report.fetched, report.kept) == (0, 2)


async def test_an_s3_bucket_without_versions_refuses_what_was_overwritten(bucket, log, tmp_path, files_below):
    store = bucket(versioned=False)
    store.put("a", b"first")
    version = await log(f"s3://{store.name}")
    store.put("a", b"other")
    with pytest.raises(DigestMismatchError, match=f"s3://{store.name}/a"):
        await version.download(tmp_path / "root")
    assert files_below(tmp_path / "root") == {}


@pytest.mark.parametrize("content", [b"cccc", b"longer than it was", b""])
async def test_an_overwritten_local_file_is_an_error_and_no_file(tree, log, tmp_path, content, files_below):
    version = await log(f"file://{tree}")
    (tree / "a").write_bytes(content)
    with pytest.raises(DigestMismatchError, match=f"file://{tree}/a was overwritten") as caught:
        await version.download(tmp_path / "root")
    assert caught.value.uri == f"file://{tree}/a"
    assert set(files_below(tmp_path / "root")) <= {"deep/b"}, "neither a wrong file nor a temporary one"
    # What was there before is not replaced by a wrong file either.
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a").write_bytes(b"mine")
    with pytest.raises(DigestMismatchError):
        await version.download(tmp_path / "other")
    assert (tmp_path / "other" / "a").read_bytes() == b"mine"


async def test_a_touched_local_file_is_still_the_same(tree, log, tmp_path, files_below):
    version = await log(f"file://{tree}")
    os.utime(tree / "a", (1, 1))
    await version.download(tmp_path / "root")
    assert files_below(tmp_path / "root") == {"a": b"aaaa", "deep/b": b"bbbb"}


async def test_without_a_checksum_a_local_file_must_not_have_been_touched(tree, log, tmp_path, files_below):
    version = await log(f"file://{tree}", checksum=False)
    await version.download(tmp_path / "root")
    assert files_below(tmp_path / "root") == {"a": b"aaaa", "deep/b": b"bbbb"}
    facts = (tree / "a").stat()
    (tree / "a").write_bytes(b"cccc")
    os.utime(tree / "a", ns=(facts.st_atime_ns, facts.st_mtime_ns + 1_000_000))
    with pytest.raises(DigestMismatchError):
        await version.download(tmp_path / "touched")
    (tree / "a").write_bytes(b"ccccc")
    os.utime(tree / "a", ns=(facts.st_atime_ns, facts.st_mtime_ns))
    with pytest.raises(DigestMismatchError):
        await version.download(tmp_path / "grown")
    assert set(files_below(tmp_path / "touched")) | set(files_below(tmp_path / "grown")) <= {"deep/b"}


async def test_an_overwritten_resource_of_a_web_server(web_server, log, tmp_path, files_below):
    web_server.resources["/a"] = Resource(b"first", e_tag='"1"')
    version = await log(f"{web_server.base}a")
    await version.download(tmp_path / "before")
    assert files_below(tmp_path / "before") == {"a": b"first"}
    web_server.resources["/a"] = Resource(b"other", e_tag='"2"')
    with pytest.raises(DigestMismatchError, match=f"{web_server.base}a"):
        await version.download(tmp_path / "after")
    assert files_below(tmp_path / "after") == {}


async def test_a_web_server_that_ends_early_leaves_nothing(web_server, log, tmp_path, files_below):
    web_server.resources["/a"] = Resource(b"x" * 100_000, e_tag='"1"')
    version = await log(f"{web_server.base}a")
    web_server.resources["/a"].breaks_at = 60_000
    with pytest.raises(StoreError, match=f"{web_server.base}a"):
        await version.download(tmp_path / "root")
    assert files_below(tmp_path / "root") == {}


async def test_what_is_missing_is_an_error_unless_it_may_be(tree, memory, log, tmp_path, files_below):
    version = await log(f"file://{tree}", (memory({"m": b"1"}).base, "memory"))
    (tree / "a").unlink()
    with pytest.raises(ObjectNotFoundError, match=f"file://{tree}/a"):
        await version.download(tmp_path / "strict")
    assert "a" not in files_below(tmp_path / "strict")
    report = await version.fetch(tmp_path / "lax", allow_missing_references=True)
    assert files_below(tmp_path / "lax") == {"deep/b": b"bbbb", "memory/m": b"1"}
    assert (report.fetched, report.missing) == (2, 1)


async def test_what_was_overwritten_is_an_error_even_if_things_may_be_missing(tree, log, tmp_path, files_below):
    version = await log(f"file://{tree}")
    (tree / "a").write_bytes(b"cccc")
    with pytest.raises(DigestMismatchError):
        await version.download(tmp_path / "root", allow_missing_references=True)
    assert "a" not in files_below(tmp_path / "root")


async def test_what_is_only_tracked_is_an_error_unless_it_may_be_missing(memory, log, tmp_path, files_below):
    version = await log(memory({"m": b"1"}).base, ("ipfs://x/y", "tracked"))
    with pytest.raises(UnsupportedSchemeError, match="ipfs://x/y is only tracked"):
        await version.download(tmp_path / "strict")
    report = await version.fetch(tmp_path / "lax", allow_missing_references=True)
    assert (report.fetched, report.missing) == (1, 1)
    assert files_below(tmp_path / "lax") == {"m": b"1"}


@pytest.mark.parametrize("stored_in", ["memory", "file"])
async def test_right_files_are_kept_and_wrong_ones_replaced(memory, tree, log, files_below, stored_in):
    content = {"a": b"aaaa", "deep/b": b"bbbb"}
    source = memory(content)
    version = await log(source.base if stored_in == "memory" else f"file://{tree}")
    root = await version.download(tree.parent / "root")
    os.utime(root / "a", ns=(1, 1))
    before = (root / "a").stat()
    (root / "deep" / "b").write_bytes(b"dddd")
    (root / "mine").write_bytes(b"not of the version")
    source.requests = 0
    report = await version.fetch(root)
    assert (report.fetched, report.kept, report.bytes) == (1, 1, 4)
    assert source.requests == (1 if stored_in == "memory" else 0)
    after = (root / "a").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert files_below(root) == content | {"mine": b"not of the version"}
    (root / "a").write_bytes(b"longer than it is")
    report = await version.fetch(root)
    assert (report.fetched, report.kept) == (1, 1)
    assert files_below(root) == content | {"mine": b"not of the version"}


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("", {"a/b.bin", "ab/c.bin", "b.bin"}),
        ("a/", {"a/b.bin"}),
        ("a", {"a/b.bin", "ab/c.bin"}),
        ("ab/c.bin", {"ab/c.bin"}),
        ("c", set()),
        ("é", set()),
        (None, {"a/b.bin", "ab/c.bin", "b.bin"}),
    ],
)
async def test_a_prefix_chooses_entries(memory, log, tmp_path, prefix, expected):
    version = await log(memory({"a/b.bin": b"1", "ab/c.bin": b"2", "b.bin": b"3"}).base)
    report = await version.fetch(tmp_path / "root", path_prefix=prefix)
    found = {path.relative_to(tmp_path / "root").as_posix() for path in (tmp_path / "root").rglob("*.bin")}
    assert found == expected
    assert report.fetched == len(expected)


async def test_a_folder_that_is_a_link_out_of_the_root_is_refused(memory, log, tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "link").symlink_to(tmp_path / "outside")
    version = await log(memory({"link/deep/f": b"1"}).base)
    with pytest.raises(InvalidPathError, match="symbolic link"):
        await version.download(tmp_path / "root")
    assert list((tmp_path / "outside").iterdir()) == [], "not even a folder"
    (tmp_path / "root" / "link").unlink()
    (tmp_path / "root" / "link").symlink_to(tmp_path / "nothing" / "yet")
    with pytest.raises(InvalidPathError, match="symbolic link"):
        await version.download(tmp_path / "root")
    assert not (tmp_path / "nothing").exists()


async def test_a_folder_that_is_a_link_inside_the_root_may_be_used(memory, log, tmp_path):
    (tmp_path / "root" / "real").mkdir(parents=True)
    (tmp_path / "root" / "link").symlink_to("real")
    version = await log(memory({"link/f": b"1"}).base)
    await version.download(tmp_path / "root")
    assert (tmp_path / "root" / "real" / "f").read_bytes() == b"1"


async def test_the_root_itself_may_be_a_link(memory, log, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "root").symlink_to(tmp_path / "real")
    version = await log(memory({"a/f": b"1"}).base)
    await version.download(tmp_path / "root")
    assert (tmp_path / "real" / "a" / "f").read_bytes() == b"1"


@pytest.mark.parametrize("target", ["outside", "nothing", "f"])
async def test_a_link_where_a_file_belongs_is_replaced_and_not_followed(memory, log, tmp_path, target):
    (tmp_path / "root").mkdir()
    (tmp_path / "outside").write_bytes(b"mine!")
    (tmp_path / "root" / "f").symlink_to(target if target == "f" else tmp_path / target)
    version = await log(memory({"f": b"right"}).base)
    await version.download(tmp_path / "root")
    assert not (tmp_path / "root" / "f").is_symlink()
    assert (tmp_path / "root" / "f").read_bytes() == b"right"
    assert (tmp_path / "outside").read_bytes() == b"mine!"
    assert not (tmp_path / "nothing").exists()


async def test_what_stands_in_the_way_is_refused_by_name(memory, log, tmp_path):
    root = tmp_path / "root"
    (root / "f").mkdir(parents=True)
    version = await log(memory({"f": b"1"}).base)
    with pytest.raises(InvalidPathError, match=f"{root}/f is a directory"):
        await version.download(root)
    assert (root / "f").is_dir()
    below = await log(memory({"f/g/h": b"1"}).base)
    (root / "f").rmdir()
    (root / "f").write_bytes(b"mine")
    with pytest.raises(InvalidPathError, match="is a file"):
        await below.download(root)
    assert (root / "f").read_bytes() == b"mine"
    for taken in (root / "f", root / "f" / "root"):
        with pytest.raises(InvalidPathError, match="is a file"):
            await below.download(taken)


class HeldSource(MemorySource):
    """A bucket whose objects stop after their first bytes until they are let go."""

    def __init__(self, name):
        super().__init__(name)
        self.reached = anyio.Event()
        self.let_go = anyio.Event()

    def open(self, key, **options):
        return Held(self, super().open(key, **options))


class Held:
    def __init__(self, source, opened):
        self._source = source
        self._opened = opened

    async def __aenter__(self):
        body = await self._opened.__aenter__()

        async def chunks():
            async for chunk in body.chunks:
                yield chunk[:1]
                self._source.reached.set()
                await self._source.let_go.wait()
                yield chunk[1:]

        return type(body)(chunks(), body.size, body.e_tag, body.version_id, body.partial)

    async def __aexit__(self, *exc_info):
        return await self._opened.__aexit__(*exc_info)


async def test_a_cancelled_download_leaves_no_part_of_a_file(log, tmp_path, files_below):
    source = HeldSource("held")
    source.put("a", b"aaaa")
    source.put("b", b"bbbb")
    version = await log(source.base)
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "b").write_bytes(b"mine")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(version.download, tmp_path / "root")
        await source.reached.wait()
        partial = [name for name in files_below(tmp_path / "root") if name != "b"]
        assert all(name.startswith(".refscan-") for name in partial)
        assert "a" not in partial
        tasks.cancel_scope.cancel()
    assert files_below(tmp_path / "root") == {"b": b"mine"}
    source.let_go.set()
    await version.download(tmp_path / "root")
    assert files_below(tmp_path / "root") == {"a": b"aaaa", "b": b"bbbb"}


async def test_a_file_that_is_opened_while_its_download_is_cancelled_is_closed(tmp_path):
    opened = None
    with anyio.CancelScope() as scope:
        scope.cancel()
        async with fetch._opened(tmp_path / "f", "xb") as opened:
            await anyio.lowlevel.checkpoint()
    assert opened is not None
    assert opened.closed


async def test_downloads_of_one_version_may_run_at_once(memory, log, tmp_path, files_below):
    content = {f"{number % 7}/{number}": b"x" * number for number in range(100)}
    version = await log(memory(content).base)
    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(version.download, tmp_path / "root")
    assert files_below(tmp_path / "root") == content


async def test_an_empty_version_makes_an_empty_directory(log, tmp_path):
    version = await log()
    assert list((await version.download(tmp_path / "root")).iterdir()) == []


async def test_a_stored_file_that_was_lost_is_an_error(tmp_path):
    async with refscan.init(project="demo") as run:
        artifact = refscan.Artifact("stored", type="dataset")
        async with artifact.new_file("f") as file:
            await file.write("text")
        version = await run.log_artifact(artifact)
    (stored,) = [path for path in (tmp_path / "registry" / "files").rglob("*") if path.is_file()]
    stored.write_text("tex!")
    with pytest.raises(DigestMismatchError):
        await version.download(tmp_path / "damaged")
    assert not (tmp_path / "damaged" / "f").exists()
    stored.unlink()
    for allowed in (False, True):
        with pytest.raises(ObjectNotFoundError):
            await version.download(tmp_path / "lost", allow_missing_references=allowed)


async def test_few_containers_are_open_at_once(memory, log, tmp_path, files_below, monkeypatch):
    buckets = [memory({"f": f"{number}".encode()}) for number in range(100)]
    version = await log(*((f"{bucket.base}f", f"f{number}") for number, bucket in enumerate(buckets)))
    now, most = 0, 0

    async def entered(source):
        nonlocal now, most
        now += 1
        most = max(most, now)
        return source

    async def left(_, *__):
        nonlocal now
        now -= 1

    monkeypatch.setattr(refscan.MemorySource, "__aenter__", entered)
    monkeypatch.setattr(refscan.MemorySource, "__aexit__", left)
    root = await version.download(tmp_path / "root")
    assert files_below(root) == {f"f{number}": f"{number}".encode() for number in range(100)}
    assert now == 0
    assert 0 < most <= 64
    assert (await version.verify()).ok
