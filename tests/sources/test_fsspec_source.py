import hashlib
import os
import socket
import threading
import weakref

import anyio
import fsspec
import pyarrow as pa
import pytest
from conformance.suite import read, stat_rows
from conformance.walked import walk
from fsspec.asyn import AsyncFileSystem
from fsspec.implementations.local import LocalFileSystem

from refscan.errors import (
    DigestMismatchError,
    InvalidPathError,
    ObjectNotFoundError,
    StoreError,
)
from refscan.sources.fsspec import FsspecSource
from refscan.sources.options import FsspecOptions


class TestDisk(LocalFileSystem):
    """Files of this machine, under a scheme of their own."""

    __test__ = False
    protocol = "testdisk"
    opened: list["TestDisk"] = []  # noqa: RUF012  emptied by each test that looks at it

    def __init__(self, *args, **options) -> None:
        super().__init__(*args, **options)
        self.closed = False
        self.opened.append(self)

    def close(self) -> None:
        self.closed = True


fsspec.register_implementation("testdisk", TestDisk)


@pytest.fixture
def disk(tmp_path):
    TestDisk.opened.clear()
    root = tmp_path / "disk"
    root.mkdir()
    return root


def source_of(root, **options) -> FsspecSource:
    return FsspecSource(f"testdisk://{root}/", FsspecOptions(**options))


async def drain(body) -> None:
    async for _ in body.chunks:
        pass


async def test_what_is_no_file_is_counted(disk):
    (disk / "file").write_bytes(b"12345")
    (disk / "folder").mkdir()
    (disk / "folder" / "inner").write_bytes(b"1")
    (disk / "link").symlink_to("file")
    (disk / "dangling").symlink_to("nowhere")
    (disk / "loop").symlink_to("loop")
    (disk / "to folder").symlink_to("folder")
    (disk / "up").symlink_to(".")
    os.mkfifo(disk / "pipe")
    line = socket.socket(socket.AF_UNIX)
    line.bind(os.path.relpath(disk / "socket"))
    line.close()
    async with source_of(disk) as source:
        walked = await walk(source)
        assert {row["key"]: row["size"] for row in walked.rows} == {"file": 5, "folder/inner": 1, "link": 5}
        assert walked.folders == ["folder/"]
        assert dict(walked.skipped) == {"dangling_link": 2, "link_to_folder": 2, "not_a_file": 2}
        assert await stat_rows(source, ["pipe", "folder", "dangling", "to folder"]) == []
        with pytest.raises(ObjectNotFoundError, match="pipe: not a file"):
            await read(source, "pipe")


async def test_a_name_that_no_manifest_can_hold_is_an_error(disk):
    (disk / "b").mkdir()
    os.mknod(os.fsencode(disk) + b"/b/caf\xe9")
    async with source_of(disk) as source:
        with pytest.raises(InvalidPathError, match=r"'caf\\xe9' is not UTF-8"):
            await source.list_page("b/")


async def test_a_missing_base_is_an_error(disk):
    async with source_of(disk / "missing") as source:
        with pytest.raises(ObjectNotFoundError, match="missing/: no such file or folder"):
            await source.list_page("")


async def test_a_prefix_is_a_folder(disk):
    async with source_of(disk) as source:
        with pytest.raises(ValueError, match="end in '/'"):
            await source.list_page("half")


async def test_a_key_with_a_slash_at_its_end_is_not_the_file_without(disk):
    (disk / "file").write_bytes(b"1")
    async with source_of(disk) as source:
        assert await stat_rows(source, ["file/"]) == []
        with pytest.raises(ObjectNotFoundError):
            await read(source, "file/")


async def test_there_are_no_versions(disk):
    (disk / "file").write_bytes(b"1")
    async with source_of(disk) as source:
        with pytest.raises(ObjectNotFoundError, match="versions"):
            await source.stat(["file"], version_id="1")
        with pytest.raises(DigestMismatchError, match="versions"):
            await read(source, "file", version_id="1")


async def test_the_digest_changes_with_size_and_time(disk):
    path = disk / "file"
    digests = set()
    async with source_of(disk) as source:
        for data, time in ((b"1", 1), (b"12", 1), (b"1", 2)):
            path.write_bytes(data)
            os.utime(path, (time, time))
            rows = (await source.stat(["file"])).rows
            refs = source.refs(rows.column("key"))
            (digest,) = (await source.digests(rows, refs)).to_pylist()
            digests.add(digest)
            assert await read(source, "file", e_tag=digest) == data
            assert (await source.uri_digests(rows, refs)).to_pylist() == [f"testdisk://{disk}/file"]
        with pytest.raises(DigestMismatchError, match="it is 1-2000000 now, not 1-1000000"):
            await read(source, "file", e_tag="1-1000000")
    assert digests == {"1-1000000", "2-1000000", "1-2000000"}


class Flat(LocalFileSystem):
    """Tells what it is told to tell."""

    protocol = "flat"

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(path).partition("#")[0]

    listing: list[dict] = []  # noqa: RUF012  set by each test

    def ls(self, path, detail, **_options):
        assert detail
        assert path == "/root"
        return self.listing

    def info(self, path, **_options):
        return next((one for one in self.listing if one["name"] == path), {"name": path, "type": "directory"})


fsspec.register_implementation("flat", Flat)


def told(name: str, **facts) -> dict:
    return {"name": name, "type": "file", "size": 1, **facts}


async def page_of(*listing: dict):
    Flat.listing = list(listing)
    async with FsspecSource("flat:///root/") as source:
        return source, await source.list_page("")


async def test_paths_are_read_however_they_are_written():
    _, page = await page_of(
        told("/root/a"), told("root/b"), told("/root/c/", type="directory"), told("/root", type="directory")
    )
    assert page.rows.column("key").to_pylist() == ["a", "b"]
    assert page.folders == ("c/",)
    assert page.complete
    assert not page.skipped


async def test_names_that_lead_elsewhere_are_counted():
    _, page = await page_of(
        told("/root/a"),
        told("/root/.."),
        told("/root/."),
        told("/root/", size=0),
        told("/root/"),
        told("/root//", type="directory"),
        told("/root/b/c"),
        told("/elsewhere/d"),
        told("/root/a#fragment"),
    )
    assert page.rows.column("key").to_pylist() == ["a"]
    assert (page.folders, page.skipped) == ((), {"unaddressable": 7, "folder_marker": 1})


async def test_a_listing_without_sizes_wants_a_stat():
    _, page = await page_of(told("/root/a"), told("/root/b", size=None))
    assert not page.complete


async def test_the_best_identity_is_the_digest():
    times = {"mtime": 1}
    source, page = await page_of(
        told("/root/a", ETag='"tag"', md5=hashlib.md5(b"").hexdigest(), **times),
        told("/root/b", md5=hashlib.md5(b"").hexdigest(), **times),
        told("/root/c", **times),
        told("/root/d"),
    )
    refs = source.refs(page.rows.column("key"))
    assert (await source.digests(page.rows, refs)).to_pylist() == [
        "tag",
        "md5:1B2M2Y8AsgTpgAmY7PhCfg==",
        "1-1000000",
        "flat:///root/d",
    ]
    assert (await source.digests(page.rows.slice(0, 0), pa.array([], pa.string()))).to_pylist() == []


async def test_a_file_that_changes_while_it_is_read_is_refused(disk):
    path = disk / "file"
    path.write_bytes(bytes(3 << 20))
    async with source_of(disk) as source:
        async with source.open("file") as body:
            await anext(body.chunks)
            os.utime(path, (1, 1))
            with pytest.raises(DigestMismatchError, match="changed while it was read"):
                await drain(body)
        assert len(await read(source, "file")) == 3 << 20


async def test_a_file_that_shrinks_is_not_taken_for_whole(disk):
    path = disk / "file"
    path.write_bytes(bytes(3 << 20))
    async with source_of(disk) as source, source.open("file") as body:
        await anext(body.chunks)
        os.truncate(path, 1 << 20)
        with pytest.raises(DigestMismatchError, match="changed while it was read"):
            await drain(body)


class Short(TestDisk):
    """Says that files are longer than they are."""

    protocol = "short"

    def info(self, path, **options):
        found = super().info(path, **options)
        return found | {"size": found["size"] + 5}


fsspec.register_implementation("short", Short)


async def test_an_answer_that_ends_early_is_an_error(disk):
    (disk / "file").write_bytes(b"12345")
    async with FsspecSource(f"short://{disk}/") as source:
        with pytest.raises(StoreError, match="ended 5 bytes early"):
            await read(source, "file")
        assert await read(source, "file", start=1, length=3) == b"234"


class Stuck(TestDisk):
    """Does not answer until it is closed, or until the test ends."""

    protocol = "stuck"
    asked = threading.Event()
    released = threading.Event()

    def info(self, path, **options):
        if str(path).endswith("stuck"):
            self.asked.set()
            self.released.wait()
        return super().info(path, **options)


fsspec.register_implementation("stuck", Stuck)


@pytest.mark.parametrize("operation", ["stat", "open"])
async def test_cancelling_does_not_wait_for_the_answer(disk, operation):
    (disk / "file").write_bytes(b"1")
    (disk / "stuck").write_bytes(b"1")
    Stuck.asked.clear()
    Stuck.released.clear()
    try:
        with anyio.fail_after(60):
            async with FsspecSource(f"stuck://{disk}/", FsspecOptions(concurrency=1)) as source:
                async with anyio.create_task_group() as group:

                    async def ask() -> None:
                        await (source.stat(["stuck"]) if operation == "stat" else read(source, "stuck"))

                    group.start_soon(ask)
                    await anyio.to_thread.run_sync(Stuck.asked.wait)
                    group.cancel_scope.cancel()
                # What did not answer is closed, and another one takes its place.
                assert [one.closed for one in Stuck.opened] == [True]
                assert await read(source, "file") == b"1"
                assert [one.closed for one in Stuck.opened] == [True, False]
    finally:
        Stuck.released.set()
    assert all(one.closed for one in Stuck.opened)


async def test_calls_at_once_have_an_instance_each_and_no_more_than_allowed(disk):
    for number in range(20):
        (disk / str(number)).write_bytes(b"1")
    async with source_of(disk, concurrency=3) as source, anyio.create_task_group() as group:
        assert source.capabilities.stat_concurrency == 3
        for number in range(20):
            group.start_soon(read, source, str(number))
    assert 1 <= len(TestDisk.opened) <= 3
    assert all(one.closed for one in TestDisk.opened)


async def test_a_source_is_used_inside_its_context(disk):
    with pytest.raises(RuntimeError, match="async with"):
        await source_of(disk).list_page("")


class AsyncDisk(AsyncFileSystem):
    """Has an event loop of its own, in fsspec's thread, as most that are asynchronous inside."""

    protocol = "asyncdisk"
    finished: list[threading.Thread] = []  # noqa: RUF012  emptied by the test

    def __init__(self, **options) -> None:
        super().__init__(**options)
        self.files = LocalFileSystem(skip_instance_cache=True)
        weakref.finalize(self, self.finish)

    @classmethod
    def finish(cls) -> None:
        cls.finished.append(threading.current_thread())

    async def _info(self, path, **_options):
        return self.files.info(path)

    async def _ls(self, path, detail=True, **_options):  # noqa: FBT002  fsspec's signature
        return self.files.ls(path, detail)

    async def _cat_file(self, path, start=None, end=None, **_options):
        return self.files.cat_file(path, start, end)


fsspec.register_implementation("asyncdisk", AsyncDisk)


async def test_an_asynchronous_one_is_used_by_threads_and_ends_in_one(disk):
    AsyncDisk.finished.clear()
    (disk / "folder").mkdir()
    (disk / "folder" / "file").write_bytes(b"12345")
    async with FsspecSource(f"asyncdisk://{disk}/") as source:
        assert (await walk(source)).keys == ["folder/file"]
        async with source.open("folder/file", start=1, length=3) as body:
            assert [chunk async for chunk in body.chunks] == [b"234"]
    assert len(AsyncDisk.finished) == 1
    assert AsyncDisk.finished[0] is not threading.main_thread()
