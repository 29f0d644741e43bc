"""Whether a file on disk is what was recorded."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from refscan.download.resolver import Object

__all__ = ["is_recorded", "is_unread_file"]

_MD5 = re.compile(r"[0-9a-f]{32}")
_MULTIPART = re.compile(r"([0-9a-f]{32})-([1-9][0-9]*)")
_MIB = 1 << 20
_READ_SIZE = 1 << 20


def is_recorded(path: Path, found: Object) -> bool:
    """Tell whether the file at ``path`` has the recorded bytes; ``False`` where that cannot be computed.

    An ETag is compared where it is the MD5 of the content, or of its parts in a size that uploaders use.
    """
    try:
        size = path.stat().st_size
        if not path.is_file() or (found.size is not None and size != found.size):
            return False
        if found.md5 is not None:
            return _base64(path) == found.md5
        e_tag = (found.e_tag or "").strip('"')
        if _MD5.fullmatch(e_tag):
            return _md5(path).hexdigest() == e_tag
        if match := _MULTIPART.fullmatch(e_tag):
            return any(_multipart(path, part) == e_tag for part in _part_sizes(size, int(match[2])))
    except OSError:
        pass  # not there, or not to be read: then it is not known to be right
    return False


def is_unread_file(found: Object) -> bool:
    """Tell whether a local file was recorded without reading it and has the recorded size and time still."""
    path = Path("/" + found.location.key)
    uri = PurePosixPath(os.path.realpath(path)).as_uri()
    if found.digest != base64.b64encode(hashlib.md5(uri.encode(), usedforsecurity=False).digest()).decode():
        return False
    now = path.stat()
    if found.last_modified is None or now.st_size != found.size:
        return False
    return now.st_mtime_ns // 1_000 == round(found.last_modified.timestamp() * 1_000_000)


def _md5(path: Path) -> hashlib._Hash:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False))


def _base64(path: Path) -> str:
    return base64.b64encode(_md5(path).digest()).decode()


def _part_sizes(size: int, parts: int) -> Iterator[int]:
    """Yield the part sizes, in whole MiB, that cut ``size`` bytes into so many parts; the usual ones only."""
    usual = {5, 8, 10, 15, 16, 20, 25, 32, 50, 64, 100, 128, 256, 512, 1024}
    usual.add(-(-size // (parts * _MIB)))
    return (part * _MIB for part in sorted(usual) if -(-size // (part * _MIB)) == parts)


def _multipart(path: Path, part_size: int) -> str:
    digests: list[bytes] = []
    with path.open("rb") as file:
        while True:
            digest, left = hashlib.md5(usedforsecurity=False), part_size
            while left and (chunk := file.read(min(left, _READ_SIZE))):
                digest.update(chunk)
                left -= len(chunk)
            if left == part_size:
                break
            digests.append(digest.digest())
    return f"{hashlib.md5(b''.join(digests), usedforsecurity=False).hexdigest()}-{len(digests)}"
