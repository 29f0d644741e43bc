"""Real FTP and SFTP servers, behaving well and badly."""

import asyncio
import os

import anyio
import fsspec
import pytest
from conformance.suite import ConnectionConformance, read, stat_rows
from conformance.walked import walk
from fsspec.implementations.sftp import SFTPFileSystem
from servers import ftp, sftp

from refscan.errors import AccessDeniedError, StoreError
from refscan.sources.fsspec import FsspecSource
from refscan.sources.options import FsspecOptions

# Where sshfs is installed, it reads sftp:// in place of fsspec's own.
fsspec.register_implementation("paramiko", SFTPFileSystem)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Keep this machine's SSH keys out."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)


class TestFTP:
    @pytest.fixture
    def server(self, tmp_path):
        with ftp.Served(tmp_path) as server:
            yield server

    def source(self, server, **options) -> FsspecSource:
        given = {"username": ftp.USER, "password": ftp.PASSWORD}
        return FsspecSource(
            f"ftp://{ftp.USER}@127.0.0.1:{server.port}/", FsspecOptions(storage_options=given, **options)
        )

    async def test_a_wrong_password_is_an_access_error_and_is_not_shown(self, server, caplog):
        base = f"ftp://ada@127.0.0.1:{server.port}/"
        with pytest.raises(AccessDeniedError, match="530") as caught:
            async with FsspecSource(base, userinfo="ada:geheim"):
                pass
        assert caught.value.uri == base
        assert "geheim" not in f"{caught.value!r} {caught.value} {caplog.text}"
        assert caught.value.__cause__ is None

    async def test_a_folder_that_may_not_be_listed_is_not_empty(self, server, tmp_path):
        (tmp_path / "closed").mkdir()
        (tmp_path / "closed" / "file").write_bytes(b"1")
        server.close_folder(tmp_path / "closed")
        async with self.source(server) as source:
            assert (await source.list_page("")).folders == ("closed/",)
            with pytest.raises(AccessDeniedError, match="closed/: access denied"):
                await source.list_page("closed/")

    @pytest.mark.parametrize("failing", [(".", "folder"), ("folder",)])
    @pytest.mark.parametrize("reply", ["451 Try again later.", "426 Broken off.", "500 What?"])
    async def test_a_failing_server_is_not_an_empty_one(self, server, tmp_path, reply, failing):
        (tmp_path / "folder").mkdir()
        (tmp_path / "folder" / "file").write_bytes(b"1")
        async with self.source(server) as source:
            assert (await source.list_page("folder/")).rows.num_rows == 1
            server.failing = dict.fromkeys(failing, reply)
            with pytest.raises(StoreError, match=f"folder/: error_[a-z]+: {reply[:3]}"):
                await source.list_page("folder/")
            with pytest.raises(StoreError, match=f"folder/file: error_[a-z]+: {reply[:3]}"):
                await source.stat(["folder/file"])
            with pytest.raises(StoreError, match=f"folder/file: error_[a-z]+: {reply[:3]}"):
                await read(source, "folder/file")
            server.failing = {}
            assert await read(source, "folder/file") == b"1"

    async def test_a_folder_that_is_gone_is_an_empty_page(self, server, tmp_path):
        (tmp_path / "folder").mkdir()
        async with self.source(server) as source:
            assert (await source.list_page("")).folders == ("folder/",)
            (tmp_path / "folder").rmdir()
            assert (await source.list_page("folder/")).rows.num_rows == 0
            assert await stat_rows(source, ["folder/file"]) == []

    async def test_an_empty_folder_is_empty(self, server, tmp_path):
        (tmp_path / "empty").mkdir()
        async with self.source(server) as source:
            page = await source.list_page("empty/")
            assert (page.rows.num_rows, page.folders) == (0, ())
            assert (await source.list_page("")).folders == ("empty/",)

    async def test_a_connection_that_the_server_closed_is_made_anew(self, server, tmp_path):
        (tmp_path / "file").write_bytes(b"12345")
        async with self.source(server) as source:
            assert (await source.list_page("")).rows.num_rows == 1
            server.hang_up()
            assert (await source.list_page("")).rows.num_rows == 1
            server.hang_up()
            assert await read(source, "file") == b"12345"

    async def test_a_server_that_takes_few_connections_is_asked_over_few(self, tmp_path):
        for number in range(12):
            (tmp_path / str(number)).write_bytes(bytes(100_000))
        with ftp.Served(tmp_path, most=2) as server:
            async with self.source(server, concurrency=8) as source, anyio.create_task_group() as group:
                for number in range(12):
                    group.start_soon(read, source, str(number))
            assert server.logins == 2

    async def test_large_files_come_in_few_transfers(self, server, tmp_path):
        data = os.urandom(5 << 20)
        (tmp_path / "large").write_bytes(data)
        async with self.source(server) as source:
            assert await read(source, "large") == data
            assert server.commands.count("RETR") <= 2
            assert await read(source, "large", start=1_000_000, length=2_000_000) == data[1_000_000:3_000_000]

    async def test_times_are_of_the_second(self, server, tmp_path):
        (tmp_path / "file").write_bytes(b"1")
        os.utime(tmp_path / "file", (1_700_000_000, 1_700_000_000))
        async with self.source(server) as source:
            (row,) = await stat_rows(source, ["file"])
            assert row["last_modified"].timestamp() == 1_700_000_000

    async def test_a_host_that_refuses_is_named(self):
        base = "ftp://127.0.0.1:1/"
        with pytest.raises(StoreError, match=r"^ftp://127.0.0.1:1/: cannot be reached .*check host and port$"):
            async with FsspecSource(base):
                pass


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("scheme", ["sftp", "paramiko"])
class TestSFTP:
    @pytest.fixture
    def server(self, tmp_path):
        (tmp_path / "root").mkdir()
        with sftp.Served(tmp_path / "root") as server:
            yield server

    async def test_a_wrong_password_is_an_access_error_and_is_not_shown(self, server, scheme):
        base = f"{scheme}://ada@127.0.0.1:{server.port}/"
        with pytest.raises(AccessDeniedError, match="access denied") as caught:
            async with FsspecSource(base, userinfo="ada:geheim"):
                pass
        assert "geheim" not in f"{caught.value!r} {caught.value}"

    async def test_a_connection_that_the_server_closed_is_made_anew(self, server, scheme):
        (server.root / "file").write_bytes(b"12345")
        options = FsspecOptions(storage_options={"username": sftp.USER, "password": sftp.PASSWORD})
        async with FsspecSource(f"{scheme}://127.0.0.1:{server.port}/", options) as source:
            assert (await source.list_page("")).rows.num_rows == 1
            server.hang_up()
            assert (await source.list_page("")).rows.num_rows == 1
            server.hang_up()
            assert await read(source, "file") == b"12345"

    async def test_links_are_followed_to_files_only(self, server, scheme):
        (server.root / "file").write_bytes(b"12345")
        (server.root / "folder").mkdir()
        (server.root / "link").symlink_to("file")
        (server.root / "to folder").symlink_to("folder")
        (server.root / "dangling").symlink_to("nowhere")
        options = FsspecOptions(storage_options={"username": sftp.USER, "password": sftp.PASSWORD})
        async with FsspecSource(f"{scheme}://127.0.0.1:{server.port}/", options) as source:
            walked = await walk(source)
        assert {row["key"]: row["size"] for row in walked.rows} == {"file": 5, "link": 5}
        assert dict(walked.skipped) == {"dangling_link": 1, "link_to_folder": 1}


class Stalling:
    """What ``ConnectionConformance`` looks at."""

    def __init__(self) -> None:
        self.stalled = anyio.Event()
        self.abandoned = anyio.Event()


@pytest.mark.parametrize("operation", ["list", "open"])
class TestFTPConnections(ConnectionConformance):
    @pytest.fixture
    async def stalling(self):
        """Log in (RFC 959, section 5.4), and answer nothing after."""
        found = Stalling()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 Ready.\r\n")
            while line := await reader.readline():
                if line.startswith(b"USER"):
                    writer.write(b"331 Password?\r\n")
                elif line.startswith(b"PASS"):
                    writer.write(b"230 Welcome.\r\n")
                else:
                    found.stalled.set()
            found.abandoned.set()
            writer.close()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            yield FsspecSource(f"ftp://ada@127.0.0.1:{port}/", userinfo="ada:x"), found


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("operation", ["list", "open"])
@pytest.mark.parametrize("scheme", ["sftp", "paramiko"])
class TestSFTPConnections(ConnectionConformance):
    @pytest.fixture
    async def stalling(self, tmp_path, scheme):
        found, loop = Stalling(), asyncio.get_running_loop()
        with sftp.Served(
            tmp_path,
            on_stall=lambda: loop.call_soon_threadsafe(found.stalled.set),
            on_close=lambda: loop.call_soon_threadsafe(found.abandoned.set),
        ) as server:
            options = FsspecOptions(storage_options={"password": sftp.PASSWORD})
            yield FsspecSource(f"{scheme}://ada@127.0.0.1:{server.port}/", options), found
