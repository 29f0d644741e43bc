"""A file that is there whole or not at all."""

from __future__ import annotations

import fcntl
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from refscan.errors import InvalidPathError

__all__ = ["whole_file"]


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """Give a file to write; it takes its name when the block ends without an error.

    What killed processes left of the same file is removed: nobody holds its lock.
    """
    folder = path.absolute().parent
    if not folder.is_dir():
        raise InvalidPathError(f"{folder} is not a directory; make it, or write {path.name} elsewhere")
    prefix = f".{path.name}.refscan-"
    _remove_abandoned(folder, prefix)
    descriptor, temporary = _locked(folder, prefix)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            umask = os.umask(0)
            os.umask(umask)
            os.fchmod(file.fileno(), 0o666 & ~umask)
            file.flush()
            os.fsync(file.fileno())
            # Closing it lets go of the lock, so that another process may take it for abandoned.
            os.replace(temporary, path)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(temporary)


def _locked(folder: Path, prefix: str) -> tuple[int, str]:
    """Make a file of one's own and lock it, where the file system knows locks."""
    while True:
        descriptor, name = tempfile.mkstemp(dir=folder, prefix=prefix)
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return descriptor, name
        os.close(descriptor)  # another process was quicker to take it for abandoned


def _remove_abandoned(folder: Path, prefix: str) -> None:
    ours = re.compile(re.escape(prefix) + "[a-z0-9_]{8}")
    with suppress(OSError):
        for name in filter(ours.fullmatch, os.listdir(folder)):
            with suppress(OSError), (folder / name).open("r+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                (folder / name).unlink()
