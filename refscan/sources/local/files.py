"""One file, read for its facts or copied."""

from __future__ import annotations

import base64
import errno
import hashlib
import os
import stat
from pathlib import Path
from typing import NamedTuple

from anyio import from_thread

from refscan.errors import StoreError

__all__ = ["Facts", "copy_file", "file_facts", "open_at_once", "read_file"]

_READ_SIZE = 1 << 20


class Facts(NamedTuple):
    """What is known of a file: bytes, modification time in nanoseconds, base64 MD5 of its content."""

    size: int
    modified: int
    md5: str | None


def file_facts(path: str) -> Facts | None:
    """Return a file's facts without reading it; ``None`` for what is no regular file."""
    found = os.stat(path)
    return Facts(found.st_size, found.st_mtime_ns, None) if stat.S_ISREG(found.st_mode) else None


def read_file(path: str) -> Facts | None:
    """Return a file's facts with the MD5; ``None`` for what is no regular file."""
    return _read(path, None)


def copy_file(path: str, target: Path) -> Facts | None:
    """Copy a file while hashing it; ``None`` for what is no regular file.

    Args:
        path: The file.
        target: A new file; nothing is left there when the copy fails.
    """
    with target.open("xb", buffering=0) as file:
        try:
            facts = _read(path, file.fileno())
        except BaseException:
            target.unlink()
            raise
    if facts is None:
        target.unlink()
    return facts


def open_at_once(path: str, flags: int = os.O_RDONLY) -> int:
    """Return a descriptor; without ``O_NONBLOCK``, opening a pipe would wait for its writer."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)


def _read(path: str, copy: int | None) -> Facts | None:
    for _ in range(3):
        try:
            descriptor = open_at_once(path)
        except OSError as error:
            if error.errno == errno.ENXIO:  # a socket
                return None
            raise
        try:
            before = os.fstat(descriptor)
            if not stat.S_ISREG(before.st_mode):
                return None
            size, digest = _md5(descriptor, before.st_size, copy)
            now = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        if (before.st_size, before.st_mtime_ns) == (now.st_size, now.st_mtime_ns):
            return Facts(size, now.st_mtime_ns, digest)
        if copy is not None:
            os.ftruncate(copy, 0)
            os.lseek(copy, 0, os.SEEK_SET)
    raise StoreError(f"{path} keeps changing while it is read; come back once it is written")


def _md5(descriptor: int, size: int, copy: int | None) -> tuple[int, str]:
    digest, count = hashlib.md5(usedforsecurity=False), 0
    # One byte more than expected: an answer of just what was expected then means the end, without a second read.
    while chunk := os.read(descriptor, min(size + 1, _READ_SIZE) if size else _READ_SIZE):
        digest.update(chunk)
        count += len(chunk)
        if copy is not None:
            _write(copy, chunk)
        if len(chunk) == size < _READ_SIZE:
            break
        from_thread.check_cancelled()
    return count, base64.b64encode(digest.digest()).decode("ascii")


def _write(descriptor: int, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[os.write(descriptor, view) :]
