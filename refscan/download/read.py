"""A range of the recorded bytes of one object: those, or an error."""

from __future__ import annotations

import base64
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from anyio import to_thread

from refscan.download.identity import is_unread_file
from refscan.download.resolver import Object, Resolver
from refscan.errors import DigestMismatchError, ObjectNotFoundError, StoreError
from refscan.sources.local.errors import translated
from refscan.sources.local.files import open_at_once
from refscan.sources.source import Body, Source

__all__ = ["read_range"]

_READ_SIZE = 1 << 20
_HASHED_SIZE = 64 << 20  # a larger file is not read whole for a part of it
_Facts = tuple[int, int, int, int, int]
# A file that is read part by part is hashed once.
_MD5S: dict[_Facts, str] = {}
_MOST_MD5S = 4_096


async def read_range(found: Object, resolver: Resolver, start: int = 0, stop: int | None = None) -> bytes:
    """Return the bytes ``[start, stop)`` of what was recorded; ``stop=None`` is the end.

    A store gives the recorded version, or is asked for the recorded ETag with the same request. A local file, which has
    neither, is hashed; one of more than 64 MiB only when it is read whole, and is told by its size and time otherwise.

    Args:
        found: The object.
        resolver: Opens its store.
        start: At least 0.
        stop: At most the size is read.

    Raises:
        DigestMismatchError: It was overwritten, and what was recorded cannot be had.
        ObjectNotFoundError: It is not there.
        StoreError: The answer is not what was asked for.
    """
    size = found.size
    if size is not None:
        stop = size if stop is None else min(stop, size)
    if stop is not None and start >= stop:
        return b""
    if found.location.store == "file":
        return await to_thread.run_sync(_read_file, found, start, stop)
    async with resolver.source(found) as source:
        data = await _read_object(found, source, start, stop)
    # Who writes an object elsewhere may say what its MD5 is.
    if found.location.store == "gcs" and start == 0 and len(data) == size and found.md5 not in (None, _base64(data)):
        raise _mismatch(found, f"its MD5 is {_base64(data)} now, not {found.md5}")
    return data


async def _read_object(found: Object, source: Source, start: int, stop: int | None) -> bytes:
    length = None if stop is None or (start == 0 and stop == found.size) else stop - start
    async with source.open(
        found.location.key, version_id=found.version_id, e_tag=found.validator, start=start, length=length
    ) as body:
        _check(found, body)
        # A server that knows no ranges sends everything.
        skip = 0 if body.partial else start
        left = None if stop is None else stop - start
        pieces: list[bytes] = []
        async for chunk in body.chunks:
            piece = chunk[skip:] if left is None else chunk[skip : skip + left]
            skip = max(0, skip - len(chunk))
            pieces.append(piece)
            left = None if left is None else left - len(piece)
            if left == 0 and length is not None and not body.partial:
                break
    if left and found.size is not None:
        raise StoreError(f"{found.uri}: the answer ended {left} bytes early; try again", uri=found.uri)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _check(found: Object, body: Body) -> None:
    if not found.is_of_time(body.last_modified):
        raise _mismatch(found, f"it was written at {body.last_modified} and not at {found.last_modified}")
    if None not in (found.size, body.size) and body.size != found.size:
        raise _mismatch(found, f"it has {body.size} bytes now, not {found.size}")


def _read_file(found: Object, start: int, stop: int | None) -> bytes:
    with translated(found.uri), _opened("/" + found.location.key, found) as descriptor:
        before = _facts(descriptor)
        if found.size is not None and before[0] != found.size:
            raise _mismatch(found, f"it has {before[0]} bytes now, not {found.size}")
        stop = before[0] if stop is None else stop
        if before[0] <= _HASHED_SIZE or (start == 0 and stop == before[0]):
            _check_hash(found, descriptor, before)
        elif found.last_modified is not None:  # the registry's own files are named by their content
            modified = round(found.last_modified.timestamp() * 1_000_000)
            if before[1] // 1_000 != modified:
                _check_hash(found, descriptor, before)
        data = b"".join(_pieces(descriptor, start, stop))
        if _facts(descriptor) != before or len(data) != stop - start:
            raise StoreError(f"{found.uri} changed while it was read; come back once it is written", uri=found.uri)
        return data


@contextmanager
def _opened(path: str, found: Object) -> Iterator[int]:
    descriptor = open_at_once(path)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ObjectNotFoundError(f"{found.uri}: not a file", uri=found.uri)
        yield descriptor
    finally:
        os.close(descriptor)


def _facts(descriptor: int) -> _Facts:
    now = os.fstat(descriptor)
    return now.st_size, now.st_mtime_ns, now.st_ctime_ns, now.st_ino, now.st_dev


def _check_hash(found: Object, descriptor: int, facts: _Facts) -> None:
    md5 = _MD5S.get(facts)
    if md5 is None:
        digest = hashlib.md5(usedforsecurity=False)
        for piece in _pieces(descriptor, 0, facts[0]):
            digest.update(piece)
        md5 = base64.b64encode(digest.digest()).decode()
        if len(_MD5S) >= _MOST_MD5S:
            _MD5S.clear()
        _MD5S[facts] = md5
    if md5 != found.md5 and not is_unread_file(found):
        raise _mismatch(found, f"its MD5 is {md5} now, not {found.md5}")


def _pieces(descriptor: int, start: int, stop: int) -> Iterator[bytes]:
    while start < stop and (piece := os.pread(descriptor, min(_READ_SIZE, stop - start), start)):
        yield piece
        start += len(piece)


def _base64(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()


def _mismatch(found: Object, how: str) -> DigestMismatchError:
    return DigestMismatchError(f"{found.uri} was overwritten: {how}; the recorded bytes cannot be had", uri=found.uri)
