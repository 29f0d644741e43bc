"""What folders can hold beside plain files, and what is recorded of those."""

import base64
import hashlib
import os
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from itertools import pairwise
from pathlib import Path

import anyio
import pyarrow as pa
import pytest
from conformance.suite import SHARED, keys_of, pages_of, read, stat_rows
from hypothesis import given, settings
from hypothesis import strategies as st

from refscan.errors import DigestMismatchError, InvalidPathError, ObjectNotFoundError
from refscan.sources.local import LocalSource
from refscan.sources.local.pace import MOST_THREADS, Pace
from refscan.sources.local.walk import Walk
from refscan.sources.source import Page, page_rows


def md5(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data).digest()).decode()


@pytest.fixture
def odd_folder(tmp_path):
    """Files ``a``, ``m/file`` and ``z``, a link to one of them, and what is not to be taken."""
    root = tmp_path / "root"
    (root / "m").mkdir(parents=True)
    for name in ("a", "m/file", "z"):
        (root / name).write_bytes(name.encode())
    (root / "b-link").symlink_to(root / "m" / "file")
    (root / "c-folder").symlink_to(root / "m")
    (root / "d-dangling").symlink_to(root / "nowhere")
    (root / "e-loop").symlink_to(root / "f-loop")
    (root / "f-loop").symlink_to(root / "e-loop")
    (root / "g-self").symlink_to(root / "g-self")
    (root / "h-up").symlink_to("..")
    os.mkfifo(root / "i-pipe")
    (root / "j-pipe").symlink_to("i-pipe")
    # A socket's path may not be long, its name in the current folder may.
    with socket.socket(socket.AF_UNIX) as server, tempfile.TemporaryDirectory() as short:
        server.bind(f"{short}/s")
        os.rename(f"{short}/s", root / "k-socket")
    (root / "m" / "n-dangling").symlink_to("nowhere")
    return root


TAKEN = ["a", "b-link", "m/file", "z"]
SKIPPED = {"link_to_folder": 2, "dangling_link": 5, "not_a_file": 3}


def skipped_of(pages: list[Page]) -> dict[str, int]:
    return dict(sum((Counter(page.skipped) for page in pages), Counter()))


class TestOddFolders:
    @pytest.mark.parametrize("page_size", [1, 2, 3, 4, 100])
    async def test_links_to_files_are_followed_and_all_else_is_counted_once(self, odd_folder, page_size):
        async with LocalSource(root=str(odd_folder), page_size=page_size) as source:
            pages = await pages_of(source, "")
            assert [key for page in pages for key in page.rows.column("key").to_pylist()] == TAKEN
            assert skipped_of(pages) == SKIPPED
            assert [row["size"] for row in await stat_rows(source, TAKEN)] == [1, 6, 6, 1]

    @SHARED
    @given(
        bounds=st.lists(st.sampled_from([*"abcdefghijklmnz", "m/", "m/file", "m/n-dangling", "i-pipe"]), unique=True)
    )
    async def test_neighbouring_ranges_count_it_once(self, odd_folder, bounds):
        async with LocalSource(root=str(odd_folder), page_size=2) as source:
            found = Counter()
            for after, until in pairwise(["", *sorted(bounds), None]):
                found += Counter(skipped_of(await pages_of(source, "", after=after, until=until)))
        assert dict(found) == SKIPPED

    async def test_what_lies_outside_the_prefix_is_not_counted(self, odd_folder):
        async with LocalSource(root=str(odd_folder)) as source:
            assert skipped_of(await pages_of(source, "m/")) == {"dangling_link": 1}
            assert skipped_of(await pages_of(source, "a")) == {}
            assert skipped_of(await pages_of(source, "e")) == {"dangling_link": 1}

    @pytest.mark.parametrize("checksum", [True, False])
    async def test_stat_waits_for_no_pipe(self, odd_folder, checksum):
        names = ["i-pipe", "j-pipe", "k-socket", "m", "d-dangling", "e-loop", "a/below", "z"]
        async with LocalSource(root=str(odd_folder), checksum=checksum) as source:
            page = await source.stat(names)
        assert page.rows.column("key").to_pylist() == ["z"]
        assert dict(page.skipped) == {"not_a_file": 4, "vanished": 3}

    @pytest.mark.parametrize("name", ["i-pipe", "j-pipe", "k-socket", "m", "d-dangling", "e-loop", "a/below"])
    async def test_open_and_copy_take_files_only(self, odd_folder, tmp_path, name):
        async with LocalSource(root=str(odd_folder)) as source:
            with pytest.raises(ObjectNotFoundError, match=name) as caught:
                await read(source, name)
            assert caught.value.uri == source.base + name
            with pytest.raises(ObjectNotFoundError, match=name):
                await source.copy(name, tmp_path / "copy")
        assert not (tmp_path / "copy").exists()

    async def test_a_folder_behind_a_link_can_be_the_root(self, odd_folder):
        async with LocalSource(root=str(odd_folder / "c-folder")) as source:
            assert await keys_of(source, "") == ["file"]
        async with LocalSource() as source:
            prefix = str(odd_folder / "c-folder")[1:] + "/"
            assert await keys_of(source, prefix) == [prefix + "file"]

    async def test_a_file_is_no_folder(self, odd_folder):
        async with LocalSource(root=str(odd_folder)) as source:
            (page,) = await pages_of(source, "a/")
        assert (page.rows.num_rows, dict(page.skipped)) == (0, {})

    async def test_folders_that_vanish_on_the_way_are_counted(self, tmp_path):
        for name in ("a", "b", "c"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "file").touch()
        async with LocalSource(root=str(tmp_path), page_size=1) as source:
            first = await source.list_page("")
            assert first.rows.column("key").to_pylist() == ["a/file"]
            (tmp_path / "b" / "file").unlink()
            (tmp_path / "b").rmdir()
            second = await source.list_page("", after=first.next_after)
            assert second.rows.column("key").to_pylist() == ["c/file"]
            assert dict(second.skipped) == {"vanished": 1}


class TestNamesThatAreNotUTF8:
    @pytest.fixture
    def folder(self, tmp_path):
        (tmp_path / "bad").mkdir()
        (tmp_path / "good").mkdir()
        (tmp_path / "good" / "file").touch()
        return tmp_path

    async def check(self, source: LocalSource) -> None:
        with pytest.raises(InvalidPathError, match=r"caf\\\\xe9.* is not UTF-8.*rename") as caught:
            await keys_of(source, "")
        str(caught.value).encode()
        assert caught.value.uri == f"{source.base}bad/caf\\xe9"
        assert await keys_of(source, "good/") == ["good/file"]

    async def test_a_file(self, folder):
        Path(os.fsdecode(os.fsencode(folder / "bad") + b"/caf\xe9")).touch()
        async with LocalSource(root=str(folder)) as source:
            await self.check(source)

    async def test_a_folder(self, folder):
        Path(os.fsdecode(os.fsencode(folder / "bad") + b"/caf\xe9")).mkdir()
        async with LocalSource(root=str(folder)) as source:
            await self.check(source)

    async def test_what_is_skipped_may_have_any_name(self, folder):
        Path(os.fsdecode(os.fsencode(folder / "bad") + b"/caf\xe9")).symlink_to("nowhere")
        async with LocalSource(root=str(folder)) as source:
            pages = await pages_of(source, "")
        assert skipped_of(pages) == {"dangling_link": 1}


def test_what_this_user_may_not_read_is_denied():
    """Root may read everything, so a child gives that up."""
    script = """
import os, sys, anyio
from refscan.errors import AccessDeniedError
from refscan.sources.local import LocalSource

async def main(root):
    async with LocalSource(root=root) as source:
        attempts = {
            "locked/": lambda: source.list_page(""),
            "secret": lambda: source.stat(["secret"]),
            "locked/file": lambda: source.stat(["locked/file"]),
        }
        async with source.open("open") as body:
            assert b"".join([chunk async for chunk in body.chunks]) == b"open"
        # All modules are loaded now, which may lie where others may not read.
        if os.geteuid() == 0:
            os.setegid(65534)
            os.seteuid(65534)
        for name, attempt in attempts.items():
            try:
                await attempt()
            except AccessDeniedError as error:
                assert error.uri == source.base + name, error.uri
                assert isinstance(error, PermissionError)
            else:
                raise AssertionError(name)
        try:
            async with source.open("secret"):
                raise AssertionError
        except AccessDeniedError as error:
            assert error.uri == source.base + "secret"

anyio.run(main, sys.argv[1])
print("denied")
"""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        root.chmod(0o755)
        (root / "locked").mkdir()
        (root / "locked" / "file").touch()
        (root / "open").write_text("open")
        (root / "secret").write_text("secret")
        (root / "secret").chmod(0)
        (root / "locked").chmod(0)
        done = subprocess.run([sys.executable, "-c", script, name], capture_output=True, text=True, check=False)
        (root / "locked").chmod(0o700)
    assert (done.stdout, done.stderr) == ("denied\n", "")


class TestDigests:
    SIZES = (0, 1, 255, (1 << 16) + 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, (3 << 20) + 7)

    @pytest.fixture
    def files(self, tmp_path):
        contents = {}
        for size in self.SIZES:
            contents[f"{size:09}"] = (b"0123456789abcde" * (size // 15 + 1))[:size]
            (tmp_path / f"{size:09}").write_bytes(contents[f"{size:09}"])
        return contents

    async def test_they_are_the_md5_of_the_content(self, tmp_path, files):
        async with LocalSource(root=str(tmp_path)) as source:
            page = await source.stat(list(files))
            rows = page.rows.to_pylist()
            assert [row["size"] for row in rows] == [len(data) for data in files.values()]
            assert [row["checksum"] for row in rows] == ["md5:" + md5(data) for data in files.values()]
            digests = await source.digests(page.rows, source.refs(page.rows.column("key")))
            assert digests.to_pylist() == [md5(data) for data in files.values()]

    async def test_the_time_is_the_files(self, tmp_path, files):
        name = next(iter(files))
        os.utime(tmp_path / name, ns=(0, 1_700_000_000_123_456_789))
        async with LocalSource(root=str(tmp_path)) as source:
            (row,) = await stat_rows(source, [name])
        assert row["last_modified"].timestamp() == pytest.approx(1_700_000_000.123456, abs=1e-6)

    async def test_without_checksum_no_content_is_read(self, odd_folder):
        (odd_folder / "a").chmod(0)
        async with LocalSource(root=str(odd_folder), checksum=False) as source:
            assert [(row["size"], row["checksum"]) for row in await stat_rows(source, TAKEN)] == [
                (1, None),
                (6, None),
                (6, None),
                (1, None),
            ]

    @pytest.mark.parametrize("through_link", [True, False])
    async def test_uri_digests_are_the_md5_of_the_resolved_uri(self, tmp_path, through_link):
        real = tmp_path / "real root"
        (real / "sub #1").mkdir(parents=True)
        for name in ("plain", "sp ace", "100%", "q?#", "é", "\U0001f600", "a+b", "~tilde", "sub #1/file", "line\nfeed"):
            (real / name).touch()
        (real / "link").symlink_to("sub #1/file")
        (real / "link-out").symlink_to(tmp_path / "outside")
        (tmp_path / "outside").touch()
        (tmp_path / "linked").symlink_to(real)
        root = tmp_path / "linked" if through_link else real
        async with LocalSource(root=str(root)) as source:
            rows = (await source.list_page("")).rows
            digests = await source.uri_digests(rows, source.refs(rows.column("key")))
        keys = rows.column("key").to_pylist()
        assert {"link", "link-out", "sub #1/file"} < set(keys)
        assert digests.to_pylist() == [md5((root / key).resolve().as_uri().encode()) for key in keys]

    async def test_uri_digest_in_the_topmost_folder(self):
        rows = page_rows(key=["file-that-is-not-there"])
        async with LocalSource() as source:
            refs = source.refs(rows.column("key"))
            assert refs.to_pylist() == ["file:///file-that-is-not-there"]
            assert (await source.uri_digests(rows, refs)).to_pylist() == [md5(b"file:///file-that-is-not-there")]


class TestReading:
    async def test_ranges_end_with_the_file(self, tmp_path):
        (tmp_path / "file").write_bytes(b"0123456789")
        async with LocalSource(root=str(tmp_path)) as source:
            assert await read(source, "file", start=8, length=100) == b"89"
            assert await read(source, "file", start=100) == b""
            assert await read(source, "file", start=3, length=0) == b""

    @pytest.mark.parametrize("pin", [{"version_id": "1"}, {"e_tag": "1"}])
    async def test_there_are_no_pins(self, tmp_path, pin):
        (tmp_path / "file").touch()
        async with LocalSource(root=str(tmp_path)) as source:
            assert not source.capabilities.pinned
            with pytest.raises(DigestMismatchError, match="neither versions nor ETags"):
                await read(source, "file", **pin)

    async def test_stat_of_a_version_is_an_error(self, tmp_path):
        (tmp_path / "file").touch()
        async with LocalSource(root=str(tmp_path)) as source:
            with pytest.raises(ObjectNotFoundError, match="no versions"):
                await source.stat(["file"], version_id="1")

    async def test_copy_tells_what_it_copied(self, tmp_path):
        data = b"content" * 300_000
        (tmp_path / "file").write_bytes(data)
        async with LocalSource(root=str(tmp_path)) as source:
            facts = await source.copy("file", tmp_path / "copy")
            assert (facts.size, facts.md5) == (len(data), md5(data))
            assert (tmp_path / "copy").read_bytes() == data
            with pytest.raises(OSError, match="exists"):
                await source.copy("file", tmp_path / "copy")
        assert (tmp_path / "copy").read_bytes() == data

    async def test_no_descriptor_stays_open(self, tmp_path):
        (tmp_path / "file").write_bytes(bytes(1 << 21))
        async with LocalSource(root=str(tmp_path), page_size=1) as source:
            before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else len(os.listdir("/dev/fd"))
            for _ in range(20):
                async with source.open("file") as body:
                    await anext(body.chunks)
                await source.stat(["file"])
                await source.list_page("")
            after = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else len(os.listdir("/dev/fd"))
        assert after <= before + 1


async def test_a_big_folder_is_read_once_over_all_its_pages(tmp_path):
    for number in range(5_000):
        (tmp_path / f"{number:04}").touch()
    async with LocalSource(root=str(tmp_path), page_size=300, checksum=False) as source:
        pages = await pages_of(source, "")
        assert [page.rows.num_rows for page in pages] == [300] * 16 + [200]
        assert source.requests == 1
        keys = [key for page in pages for key in page.rows.column("key").to_pylist()]
        assert keys == [f"{number:04}" for number in range(5_000)]
        assert len(await stat_rows(source, keys)) == 5_000


async def test_a_deep_tree(tmp_path):
    path = tmp_path
    for depth in range(120):
        path = path / f"d{depth}"
    path.mkdir(parents=True)
    (path / "leaf").touch()
    async with LocalSource(root=str(tmp_path)) as source:
        assert await keys_of(source, "") == [str(path.relative_to(tmp_path)) + "/leaf"]


async def test_a_cancelled_stat_ends(tmp_path):
    for number in range(50):
        with (tmp_path / f"{number:02}").open("wb") as file:
            file.truncate(64 << 20)
    async with LocalSource(root=str(tmp_path)) as source:
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(source.stat, [f"{number:02}" for number in range(50)])
                await anyio.lowlevel.checkpoint()
                scope.cancel()
        assert scope.cancelled_caught
        # Its thread is free again.
        assert [row["size"] for row in await stat_rows(source, ["00"])] == [64 << 20]


PIECES = ["a", "a.b", "a0", "a-", "b", "b b", "é", "\U0001f600", "~"]
PATHS = st.lists(st.sampled_from(PIECES), min_size=1, max_size=3).map("/".join)


@pytest.fixture(scope="module")
def forest(tmp_path_factory):
    """All combinations of names that sort around the ``/``."""
    root = tmp_path_factory.mktemp("forest")
    keys = []
    for first in PIECES:
        for second in PIECES:
            keys += [f"{first}/{second}/x", f"{first}/{second}.f"]
        keys.append(f"{first}.txt")
    for key in keys:
        (root / key).parent.mkdir(parents=True, exist_ok=True)
        (root / key).touch()
    return str(root) + "/", sorted(keys)


@settings(max_examples=300)
@given(
    prefix=st.one_of(st.just(""), PATHS, PATHS.map(lambda path: path + "/")),
    bounds=st.lists(PATHS | PATHS.map(lambda path: path + "/"), min_size=2, max_size=2).map(sorted),
    count=st.integers(1, 20),
)
def test_a_walk_gives_the_keys_of_its_range(forest, prefix, bounds, count):
    root, keys = forest
    after, until = bounds
    expected = [key for key in keys if key.startswith(prefix) and after < key <= until]
    walk = Walk(root, prefix, after)
    found = []
    while len(page := walk.take(count, until)) == count:
        found += page
    assert found + page == expected


class TestPace:
    def page(self, files: int, size: int) -> Page:
        return Page(page_rows(key=[str(n) for n in range(files)], size=pa.array([size] * files, pa.int64())))

    def test_one_thread_until_enough_is_known(self):
        pace = Pace()
        pace.add(self.page(10, 1), 0.01, 0.1)
        assert pace.threads() == 1

    def test_small_files_in_the_cache_need_one(self):
        pace = Pace()
        pace.add(self.page(4_096, 1_000), 0.1, 0.12)
        assert pace.threads() == 1

    def test_large_files_need_all_processors(self):
        pace = Pace()
        pace.add(self.page(10, 10 << 20), 0.25, 0.3)
        assert pace.threads() == os.cpu_count()

    @given(st.floats(0, 10), st.floats(1, 1_000))
    def test_waiting_needs_threads_but_never_too_many(self, computing, waiting):
        pace = Pace()
        pace.add(self.page(4_096, 1_000), computing, computing + waiting)
        threads = pace.threads()
        assert 1 <= threads <= MOST_THREADS
        assert threads > 4 or waiting < 4 * computing
