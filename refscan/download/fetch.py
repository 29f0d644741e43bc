"""The entries of a version, copied below a directory."""

from __future__ import annotations

import base64
import hashlib
import os
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import aiofiles
import anyio
import pyarrow as pa
from anyio import to_thread

from refscan.download.identity import is_recorded, is_unread_file
from refscan.download.plan import check_paths, target_of
from refscan.download.resolver import Object, Resolver
from refscan.errors import (
    DigestMismatchError,
    InvalidPathError,
    ObjectNotFoundError,
    StoreError,
    UnsupportedSchemeError,
)
from refscan.first_error import one_error
from refscan.sources.local import LocalSource
from refscan.sources.source import Body, Source

if TYPE_CHECKING:
    from aiofiles.threadpool.binary import _UnknownAsyncBinaryIO

__all__ = ["PART_SIZE", "Downloaded", "download", "fetch_file"]

PART_SIZE = 64 << 20
"""Objects of more bytes are fetched in parts of this size."""

_CONCURRENCY = 32
_PARTS_AT_ONCE = 4
# Elsewhere whoever writes an object may say what its MD5 is.
_TRUSTED_MD5 = ("file", "gcs")


@dataclass(slots=True)
class Downloaded:
    """What a download did.

    Attributes:
        directory: The root.
        fetched: Files written.
        kept: Files that were there and right.
        missing: Entries left out because their object is not there.
        bytes: Bytes written.
    """

    directory: Path
    fetched: int = 0
    kept: int = 0
    missing: int = 0
    bytes: int = 0


async def download(
    batches: Callable[[], Iterable[pa.RecordBatch]], resolver: Resolver, report: Downloaded, *, allow_missing: bool
) -> None:
    """Copy the entries below ``report.directory``; every path is checked before anything is fetched.

    Args:
        batches: Begins to yield rows of ``MANIFEST_SCHEMA`` in path order.
        resolver: Finds the objects; closed at the end.
        report: Names the directory, which is made if it is not there, and counts what is done.
        allow_missing: Leave out objects that are not there, and entries that are only tracked.

    Raises:
        InvalidPathError: An entry cannot be a file below the root.
        PathConflictError: Two entries cannot both be files.
        DigestMismatchError: An object is not what was recorded.
        ObjectNotFoundError: An object is not there.
    """
    await to_thread.run_sync(check_paths, batches)
    root = report.directory
    await to_thread.run_sync(_make_root, root)
    real_root = os.path.realpath(root)
    slots = anyio.Semaphore(_CONCURRENCY)
    with one_error():
        async with resolver, anyio.create_task_group() as group:

            async def fetch_one(row: Mapping[str, Any]) -> None:
                try:
                    await _fetch_entry(row, root, real_root, resolver, report)
                except (ObjectNotFoundError, UnsupportedSchemeError):
                    if not allow_missing or row["ref"] is None:
                        raise
                    report.missing += 1
                finally:
                    slots.release()

            for batch in batches():
                for row in batch.to_pylist():
                    await slots.acquire()
                    group.start_soon(fetch_one, row)


def _make_root(root: Path) -> None:
    try:
        root.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise InvalidPathError(f"{root} is a file, or lies below one; choose another root=") from None


async def _fetch_entry(
    row: Mapping[str, Any], root: Path, real_root: str, resolver: Resolver, report: Downloaded
) -> None:
    found = await resolver.resolve(row)
    target = root / target_of(row["path"])
    if await to_thread.run_sync(_prepare, target, real_root, found):
        report.kept += 1
        return
    size = await fetch_file(found, resolver, target)
    report.fetched += 1
    report.bytes += size


async def fetch_file(found: Object, resolver: Resolver, target: Path) -> int:
    """Write the recorded bytes of an object to a file, and return their count; the file is whole, or not touched.

    Raises:
        DigestMismatchError: The object is not what was recorded.
        ObjectNotFoundError: It is not there.
    """
    partial = target.parent / f".refscan-{uuid.uuid4().hex}.part"
    try:
        async with resolver.source(found) as source:
            size, md5 = await _fetch(found, source, partial)
        await to_thread.run_sync(_verify, found, size, md5)
        await to_thread.run_sync(os.replace, partial, target)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(partial)
    return size


def _prepare(target: Path, real_root: str, found: Object) -> bool:
    """Make the file's folder, and tell whether the file is there and right."""
    if is_recorded(target, found):
        return True
    if os.path.commonpath([real_root, os.path.realpath(target.parent)]) != real_root:
        raise InvalidPathError(f"{target.parent} leads out of the download root by a symbolic link; remove the link")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise InvalidPathError(f"{target.parent} is a file; remove it, or choose another root=") from None
    if target.is_dir() and not target.is_symlink():
        raise InvalidPathError(f"{target} is a directory; remove it, or choose another root=")
    return False


async def _fetch(found: Object, source: Source, partial: Path) -> tuple[int, str | None]:
    """Write the object's bytes to a new file; return their count, and their base64 MD5 if they came in one piece."""
    if found.size is not None and found.size > PART_SIZE and not isinstance(source, LocalSource):
        return await _fetch_parts(found, source, partial), None
    if isinstance(source, LocalSource):
        facts = await source.copy(found.location.key, partial)
        return facts.size, facts.md5
    digest, size = hashlib.md5(usedforsecurity=False), 0
    async with (
        source.open(found.location.key, version_id=found.version_id, e_tag=found.validator) as body,
        _opened(partial, "xb") as file,
    ):
        _check_time(found, body)
        async for chunk in body.chunks:
            digest.update(chunk)
            size += len(chunk)
            await file.write(chunk)
    return size, base64.b64encode(digest.digest()).decode()


async def _fetch_parts(found: Object, source: Source, partial: Path) -> int:
    size = found.size or 0
    await to_thread.run_sync(_allocate, partial, size)
    slots = anyio.Semaphore(_PARTS_AT_ONCE)

    async def fetch_part(start: int) -> None:
        length = min(PART_SIZE, size - start)
        async with (
            slots,
            source.open(
                found.location.key, version_id=found.version_id, e_tag=found.validator, start=start, length=length
            ) as body,
            _opened(partial, "r+b") as file,
        ):
            _check_time(found, body)
            if body.size is not None and body.size != size:
                raise _mismatch(found, f"it has {body.size} bytes now, not {size}")
            # A server that knows no ranges sends everything: each part then takes its own piece of it.
            skip = 0 if body.partial else start
            await file.seek(start)
            async for chunk in body.chunks:
                piece = chunk[skip : skip + length]
                skip = max(0, skip - len(chunk))
                length -= len(piece)
                await file.write(piece)
                if length == 0 and not body.partial:
                    break
        if length:
            raise StoreError(f"{found.uri}: the answer ended {length} bytes early; try again", uri=found.uri)

    with one_error():
        async with anyio.create_task_group() as group:
            for start in range(0, size, PART_SIZE):
                group.start_soon(fetch_part, start)
    return size


@asynccontextmanager
async def _opened(path: Path, mode: Literal["xb", "r+b"]) -> AsyncIterator[_UnknownAsyncBinaryIO]:
    # A file that is opened while its waiter is cancelled would be left open, and left behind.
    with anyio.CancelScope(shield=True):
        file = await aiofiles.open(path, mode)
    try:
        yield file
    finally:
        with anyio.CancelScope(shield=True):
            await file.close()


def _allocate(path: Path, size: int) -> None:
    with path.open("xb") as file:
        file.truncate(size)


def _check_time(found: Object, body: Body) -> None:
    if not found.is_of_time(body.last_modified):
        raise _mismatch(found, f"it was written at {body.last_modified} and not at {found.last_modified}")


def _verify(found: Object, size: int, md5: str | None) -> None:
    if found.size is not None and size != found.size:
        raise _mismatch(found, f"it has {size} bytes now, not {found.size}")
    trusted = found.location.store in _TRUSTED_MD5 and None not in (found.md5, md5)
    if trusted and md5 != found.md5 and not (found.location.store == "file" and is_unread_file(found)):
        raise _mismatch(found, f"its MD5 is {md5} now, not {found.md5}")


def _mismatch(found: Object, how: str) -> DigestMismatchError:
    return DigestMismatchError(f"{found.uri} was overwritten: {how}; the recorded bytes cannot be had", uri=found.uri)
