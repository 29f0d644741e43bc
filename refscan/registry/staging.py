"""Files on their way into the registry: copied and hashed in one go, so that later changes do not reach them."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import stat
import tempfile
import uuid
import weakref
from pathlib import Path

from anyio import from_thread

from refscan.errors import ArtifactError, StoreError
from refscan.registry.store import LocalStore
from refscan.sources.local import Facts, LocalSource

__all__ = ["Staging", "StagingSource"]

_READ_SIZE = 1 << 20


class Staging:
    """A folder of copies, each named by the base64 MD5 of its content; removed when it is collected.

    Args:
        parent: Where the folder is made; the system's folder for temporary files by default.
    """

    def __init__(self, parent: Path | None = None) -> None:
        self._parent = parent
        self._folder: Path | None = None
        self._moved_to: Path | None = None
        self._remove: weakref.finalize[..., Staging] | None = None

    @property
    def folder(self) -> Path:
        """The folder; made when it is first asked for."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="refscan-", dir=self._parent))
            self._remove = weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        return self._folder

    def path(self, digest: str) -> Path:
        """Return where the copy with this base64 MD5 lies."""
        return self.folder / base64.b64decode(digest).hex()

    def new(self) -> Path:
        """Return a name for a file that is still being written."""
        return self.folder / f"new-{uuid.uuid4().hex}"

    def adopt(self, path: Path) -> tuple[int, str]:
        """Give a file of this folder its final name, and return its size and digest."""
        with path.open("rb") as file:
            digest = base64.b64encode(hashlib.file_digest(file, "md5").digest()).decode()
            size = os.fstat(file.fileno()).st_size
        path.replace(self.path(digest))
        return size, digest

    def move_to(self, store: LocalStore) -> None:
        """Move all copies into a store.

        Raises:
            ArtifactError: They were moved to another store before.
        """
        if self._folder is None:
            return
        if self._moved_to not in (None, store.root):
            raise ArtifactError(f"its files were stored in the registry {self._moved_to}; add them to a new Artifact")
        self._moved_to = store.root
        for path in sorted(self._folder.iterdir()):
            store.put_file(path, base64.b64encode(bytes.fromhex(path.name)).decode())


class StagingSource(LocalSource):
    """Local files whose ``stat`` copies them.

    Args:
        staging: Takes the copies.
    """

    def __init__(self, staging: Staging) -> None:
        super().__init__()
        self._staging = staging

    def read_facts(self, path: str) -> Facts | None:
        """Copy a file while hashing it; ``None`` for what is no regular file."""
        copy = self._staging.new()
        try:
            for _ in range(3):
                facts = _copy(path, copy)
                if facts is None:
                    return None
                if facts.stable:
                    copy.replace(self._staging.path(facts.digest))
                    return Facts(facts.size, facts.modified, "md5:" + facts.digest)
            raise StoreError(f"{path} keeps changing while it is copied; add it once it is written")
        finally:
            copy.unlink(missing_ok=True)


class _Copied:
    __slots__ = ("digest", "modified", "size", "stable")

    def __init__(self, before: os.stat_result, now: os.stat_result, size: int, digest: bytes) -> None:
        self.size = size
        self.modified = now.st_mtime_ns
        self.digest = base64.b64encode(digest).decode()
        self.stable = (before.st_size, before.st_mtime_ns) == (
            now.st_size,
            now.st_mtime_ns,
        ) and size == now.st_size


def _copy(path: str, copy: Path) -> _Copied | None:
    # Without O_NONBLOCK, opening a pipe would wait for its writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb", buffering=0) as source:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            return None
        digest, size = hashlib.md5(usedforsecurity=False), 0
        with copy.open("wb", buffering=0) as target:
            while chunk := source.read(_READ_SIZE):
                digest.update(chunk)
                target.write(chunk)
                size += len(chunk)
                from_thread.check_cancelled()
        return _Copied(before, os.fstat(descriptor), size, digest.digest())
