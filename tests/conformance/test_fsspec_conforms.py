import hashlib
import os
from pathlib import Path
from urllib.parse import quote

import fsspec
import pytest
from conformance.suite import DATA, read
from conformance.walked import WalkedConformance
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.sftp import SFTPFileSystem
from servers import ftp, sftp

from refscan.errors import DigestMismatchError
from refscan.sources.fsspec import FsspecSource


class DiskFileSystem(LocalFileSystem):
    protocol = "disk"


class TaggedFileSystem(LocalFileSystem):
    """Gives files the ETags that stores of objects give them."""

    protocol = "tagged"

    def info(self, path, **options):
        found = super().info(path, **options)
        if found["type"] == "file":
            found["ETag"] = f'"{hashlib.md5(Path(found["name"]).read_bytes()).hexdigest()}"'
        return found


fsspec.register_implementation("tagged", TaggedFileSystem)
fsspec.register_implementation("disk", DiskFileSystem)
# Where sshfs is installed, it reads sftp:// in place of fsspec's own.
fsspec.register_implementation("paramiko", SFTPFileSystem)


class Folder:
    """A folder that a file system of fsspec shows."""

    def __init__(self, root, base: str, userinfo: str | None = None) -> None:
        self.root = os.fsencode(root)
        self.base = base
        self.userinfo = userinfo
        self.clock = 1_700_000_000

    def put(self, key: str, data: bytes) -> None:
        path = self.root + b"/" + key.encode()
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)
        self.clock += 1
        os.utime(path, (self.clock, self.clock))

    def delete(self, key: str) -> None:
        os.unlink(self.root + b"/" + key.encode())

    def source(self, *, page_size: int = 1_000) -> FsspecSource:
        del page_size  # a page is a folder
        return FsspecSource(self.base, userinfo=self.userinfo)


class FolderConformance(WalkedConformance):
    def allows(self, key: str) -> bool:
        names = key.split("/")
        return all(0 < len(name.encode()) < 256 and name not in (".", "..") for name in names)

    def digest_of(self, data: bytes) -> str:
        # These file systems know neither ETags nor checksums; the first two files have the first two times.
        return f"{len(data)}-{ {b'a': 1_700_000_001, b'b': 1_700_000_002}[data] * 1_000_000 }"

    def key_of(self, source, ref: str) -> str:
        return ref.removeprefix(source.base)


class TestLocalFiles(FolderConformance):
    @pytest.fixture
    def store(self, tmp_path):
        (tmp_path / "100% of it").mkdir()
        return Folder(tmp_path / "100% of it", f"disk://{tmp_path}/100% of it/")


class TestFTP(FolderConformance):
    @pytest.fixture
    def store(self, tmp_path):
        with ftp.Served(tmp_path) as server:
            yield Folder(tmp_path, f"ftp://ada@127.0.0.1:{server.port}/", f"ada:{quote(ftp.PASSWORD, safe='')}")


class TestSFTPByParamiko(FolderConformance):
    @pytest.fixture
    def store(self, tmp_path, monkeypatch):
        monkeypatch.setenv("HOME", str(tmp_path))
        root = tmp_path / "root"
        root.mkdir()
        with sftp.Served(root) as server:
            yield Folder(root, f"paramiko://ada@127.0.0.1:{server.port}/", f"ada:{quote(sftp.PASSWORD, safe='')}")


class TestSFTPBySshfs(FolderConformance):
    @pytest.fixture
    def store(self, tmp_path, monkeypatch):
        monkeypatch.setenv("HOME", str(tmp_path))
        root = tmp_path / "root"
        root.mkdir()
        with sftp.Served(root) as server:
            yield Folder(root, f"sftp://ada@127.0.0.1:{server.port}/", f"ada:{quote(sftp.PASSWORD, safe='')}")


class TestETags(FolderConformance):
    @pytest.fixture
    def store(self, tmp_path):
        return Folder(tmp_path, f"tagged://{tmp_path}/")

    def digest_of(self, data: bytes) -> str:
        return hashlib.md5(data).hexdigest()

    async def test_a_file_is_read_by_its_e_tag(self, store, source):
        store.put("file", DATA)
        e_tag = hashlib.md5(DATA).hexdigest()
        assert await read(source, "file", e_tag=e_tag, start=5, length=7) == DATA[5:12]
        store.put("file", DATA[::-1])
        with pytest.raises(DigestMismatchError, match="was overwritten"):
            await read(source, "file", e_tag=e_tag)
