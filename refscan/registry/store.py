"""Content-addressed files in a directory: segments, manifests, and the files of ``add_file``."""

from __future__ import annotations

import base64
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

import pyarrow as pa

from refscan.errors import StoreError
from refscan.manifest.index import Index

__all__ = ["Kind", "LocalStore"]

Kind = Literal["segments", "manifests", "files"]
_NAMES = {
    "segments": re.compile(r"[0-9a-f]{64}"),
    "manifests": re.compile(r"[0-9a-f]{64}"),
    "files": re.compile(r"[0-9a-f]{32}"),
}
_SYNCS_AT_ONCE = 16
_STALE_AFTER = 7 * 24 * 3600  # seconds; a file that is still being written is younger


class LocalStore:
    """Files named by their content: written under another name, synced, then renamed, so that none is ever half there.

    Args:
        root: The directory; made when the first file is stored.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, kind: Kind, name: str) -> Path:
        """Return where a file lies, or would lie."""
        return self.root / kind / name[:2] / name

    def segment_path(self, name: str) -> Path:
        """Return where a segment lies."""
        return self.path("segments", name)

    def file_path(self, digest: str) -> Path:
        """Return where the stored file with this base64 MD5 lies."""
        return self.path("files", base64.b64decode(digest).hex())

    def lease_path(self, run_id: str) -> Path:
        """Return where the file of a run's lease lies."""
        return self.root / "leases" / run_id

    def put_segment(self, name: str, encode: Callable[[], pa.Buffer]) -> int:
        """Store a segment, if it is not there yet, and return the bytes of its file."""
        target = self.segment_path(name)
        if (size := _touch(target)) is not None:
            return size
        data = memoryview(encode())
        self._write(target, data)
        return data.nbytes

    def put_index(self, index: Index) -> str:
        """Store a manifest's index, if it is not there yet, and return its name."""
        name, data = index.dump()
        target = self.path("manifests", name)
        if _touch(target) is None:
            self._write(target, memoryview(data))
        return name

    def read_index(self, name: str) -> Index:
        """Read a manifest's index.

        Raises:
            StoreError: It is missing or damaged.
        """
        path = self.path("manifests", name)
        try:
            return Index.load(path.read_bytes())
        except FileNotFoundError:
            raise StoreError(f"the registry's store lacks {path}; restore it from a backup") from None
        except (ValueError, TypeError, KeyError, AttributeError):
            raise StoreError(f"the registry's {path} is damaged; restore it from a backup") from None

    def touch_files(self, digests: Iterable[str]) -> None:
        """Give stored files the present time, by their base64 MD5s: for a run that stores none of them itself.

        Raises:
            StoreError: One is not there any more.
        """
        for digest in digests:
            if _touch(path := self.file_path(digest)) is None:
                raise StoreError(
                    f"the registry's store lacks {path}, which the artifact stored when it was logged before; "
                    "garbage collection has removed it: add the files to a new Artifact"
                )

    def put_files(self, staged: Iterable[tuple[Path, str]]) -> None:
        """Move staged files to where their base64 MD5s say, if none are there yet; all are safe on disk at the end."""
        # Waiting for the disk is nearly all of it, and a disk syncs many files at once as fast as one.
        with ThreadPoolExecutor(_SYNCS_AT_ONCE) as threads:
            folders = set(threads.map(lambda file: self._put_file(*file), staged))
            touched = {folder for folder in folders if folder is not None}
            list(threads.map(_sync_folder, touched | {folder.parent for folder in touched}))

    def _put_file(self, staged: Path, digest: str) -> Path | None:
        """Move one file, and return the folder that wants to be synced."""
        target = self.file_path(digest)
        if _touch(target) is not None:
            staged.unlink()
            return None
        target.parent.mkdir(parents=True, exist_ok=True)
        if staged.stat().st_dev == self.staging().stat().st_dev:
            os.utime(staged)
            _sync(staged)
            staged.replace(target)
            return target.parent
        with self.temporary() as path:
            shutil.copyfile(staged, path)
            _sync(path)
            path.replace(target)
        staged.unlink()
        return target.parent

    def _write(self, target: Path, data: memoryview) -> None:
        with self.temporary() as path:
            with path.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            _place(path, target)

    def names(self, kind: Kind) -> Iterator[Path]:
        """Yield the stored files of a kind, in no order."""
        with suppress(FileNotFoundError), os.scandir(self.root / kind) as folders:
            for folder in folders:
                with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder.path) as files:
                    for file in files:
                        if file.name[:2] == folder.name and _NAMES[kind].fullmatch(file.name):
                            yield Path(file.path)

    def discard(self, path: Path, touched_since: int | None) -> bool:
        """Remove a stored file, unless it was stored or touched since; tell whether it is gone.

        To be called by one at a time, while nothing is committed. The file is moved away first, so that whoever
        finds it present has touched it before, which shows then, and whoever comes later finds it absent.

        Args:
            path: The file.
            touched_since: By the store's clock, in nanoseconds; ``None`` removes it in any case.
        """
        aside = self._trash / f"{path.parent.parent.name}-{path.name}"
        try:
            if touched_since is not None and path.stat().st_mtime_ns >= touched_since:
                return False
            self._move_aside(path, aside)
        except FileNotFoundError:
            return False
        if touched_since is not None and aside.stat().st_mtime_ns >= touched_since:
            self.put_back()
            return False
        aside.unlink()
        return True

    @property
    def _trash(self) -> Path:
        return self.root / "trash"

    def _move_aside(self, path: Path, aside: Path) -> None:
        if not aside.parent.exists():
            aside.parent.mkdir(exist_ok=True)
        path.replace(aside)

    def put_back(self) -> None:
        """Put back what ``discard`` moved away and did not remove, because it was killed.

        To be called before anything is committed, by one at a time: what lies there may be what is to be committed.
        """
        with suppress(FileNotFoundError):
            for aside in list(self._trash.iterdir()):
                kind, _, name = aside.name.partition("-")
                target = self.root / kind / name[:2] / name
                os.utime(aside)
                _place(aside, target)

    @contextmanager
    def temporary(self) -> Iterator[Path]:
        """Give a new file's name on the store's file system; the file is removed if it is still there afterwards."""
        folder = self.staging()
        descriptor, name = tempfile.mkstemp(dir=folder)
        os.close(descriptor)
        try:
            yield Path(name)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(name)

    def staging(self) -> Path:
        """Return the folder for files that are being written, free of what killed processes left long ago."""
        folder = self.root / "tmp"
        if not folder.exists():
            folder.mkdir(parents=True, exist_ok=True)
        return folder

    def remove_stale(self) -> None:
        """Remove what killed processes left in the staging folder a week ago or earlier."""
        folder = self.root / "tmp"
        with suppress(FileNotFoundError):
            for entry in os.scandir(folder):
                with suppress(FileNotFoundError):
                    if time.time() - entry.stat(follow_symlinks=False).st_mtime > _STALE_AFTER:
                        shutil.rmtree(entry.path) if entry.is_dir(follow_symlinks=False) else os.unlink(entry.path)


def _touch(path: Path) -> int | None:
    """Give a file the present time, and return its size; ``None``: there is none, or it is another user's."""
    try:
        os.utime(path)
        # It may have been moved aside before its time was set, and removed since: then it is not there any more.
        return path.stat().st_size
    except (FileNotFoundError, PermissionError):
        return None


def _place(path: Path, target: Path) -> None:
    """Rename ``path`` to ``target`` so that it is there even after a power failure."""
    if not target.parent.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        _sync_folder(target.parent.parent)
    path.replace(target)
    _sync_folder(target.parent)


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
