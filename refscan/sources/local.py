"""Files of this machine: disks, NFS and whatever else is mounted. Keys are absolute paths without their first ``/``."""

from __future__ import annotations

import base64
import errno
import functools
import hashlib
import os
import stat as stat_flags
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from pathlib import PurePosixPath
from typing import NamedTuple, Self

import aiofiles
import anyio
import pyarrow as pa
import pyarrow.compute as pc
from anyio import from_thread, to_thread

from refscan.errors import (
    AccessDeniedError,
    DigestMismatchError,
    InvalidPathError,
    ObjectNotFoundError,
    RefscanError,
    StoreError,
)
from refscan.sources.source import PAGE_SCHEMA, Body, Capabilities, Page, page_rows
from refscan.uri import quote_file_key

__all__ = ["Facts", "LocalSource", "md5_of_file"]

_READ_SIZE = 1 << 20
_MOST_THREADS = 32
_ENOUGH_FILES = 2_048
_ENOUGH_TIME = 0.2  # seconds
_MUCH_WAITING = 4.0  # time passed for each second computed; the interpreter lock alone may cost a factor of 2
_LARGE = 1 << 16  # bytes from which hashing, which needs no interpreter lock, outweighs opening
_PREFIX = "md5:"


class Facts(NamedTuple):
    """What is known of a file: bytes, modification time in nanoseconds, ``md5:BASE64``."""

    size: int
    modified: int
    checksum: str | None


class LocalSource:
    """All files of this machine.

    Symbolic links to files are followed; links to folders, dangling links, sockets, pipes and devices are skipped
    and counted. A folder's names are held in memory while it is listed.

    Args:
        checksum: ``stat`` reads the content for its MD5; without it, it asks for size and time only.
        page_size: Keys in a page.
        root: The directory that keys are relative to.
    """

    def __init__(self, *, checksum: bool = True, page_size: int = 4_096, root: str = "/") -> None:
        self.checksum = checksum
        self.page_size = page_size
        self.root = root.rstrip("/") + "/"
        self.base = "file://" + quote_file_key(self.root)
        self.requests = 0
        self._threads: anyio.CapacityLimiter | None = None
        self._pace = _Pace()
        self._paused: dict[tuple[str, str], _Walk] = {}

    @property
    def capabilities(self) -> Capabilities:
        """Ordered and ranged; what was overwritten is gone."""
        return Capabilities(stat_batch=1_024, stat_concurrency=_MOST_THREADS)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._paused.clear()

    async def list_page(
        self, prefix: str, *, after: str = "", until: str | None = None, token: str | None = None
    ) -> Page:
        """See ``Source.list_page``; the rows hold keys only."""
        after = token or after
        # A walk waits where its last page ended, so that a folder is read once, not once a page.
        walk = self._paused.pop((prefix, after), None) or _Walk(self.root, prefix, after)
        keys = await to_thread.run_sync(walk.take, self.page_size)
        skipped, self.requests = walk.skipped, self.requests + walk.folders
        walk.skipped, walk.folders = Counter(), 0
        ends = len(keys) < self.page_size or (until is not None and keys[-1] >= until)
        if not ends:
            self._paused[prefix, keys[-1]] = walk
        return Page(
            page_rows(key=keys),
            next_after=None if ends else keys[-1],
            token=None if ends else keys[-1],
            complete=False,
            skipped=skipped,
        )

    async def probe(self, prefix: str, *, after: str) -> str | None:
        """See ``Source.probe``."""
        found = await to_thread.run_sync(_Walk(self.root, prefix, after).take, 1)
        return found[0] if found else None

    async def stat(self, keys: Sequence[str], *, version_id: str | None = None) -> Page:
        """See ``Source.stat``; reads the files if ``checksum`` is set."""
        if version_id is not None:
            uri = self._uri(keys[0])
            raise ObjectNotFoundError(f"{uri}: files have no versions", uri=uri)
        self.requests += len(keys)
        if self._threads is None:
            self._threads = anyio.CapacityLimiter(1)
        page = await to_thread.run_sync(self._timed_stat, keys, limiter=self._threads)
        if self._threads.total_tokens == 1:
            self._threads.total_tokens = self._pace.threads()
        return page

    def _timed_stat(self, keys: Sequence[str]) -> Page:
        started, computing = time.perf_counter(), time.thread_time()
        page = self._stat(keys)
        self._pace.add(page, time.thread_time() - computing, time.perf_counter() - started)
        return page

    def _stat(self, keys: Sequence[str]) -> Page:
        names: list[str] = []
        sizes: list[int] = []
        times: list[int] = []
        checksums: list[str | None] = []
        skipped: Counter[str] = Counter()
        for key in keys:
            try:
                with _translated(self._uri(key)):
                    facts = self.read_facts(self.root + key)
            except FileNotFoundError:
                skipped["vanished"] += 1
                continue
            if facts is None:
                skipped["not_a_file"] += 1
                continue
            names.append(key)
            sizes.append(facts.size)
            times.append(facts.modified // 1_000)
            checksums.append(facts.checksum)
        rows = page_rows(
            key=names,
            size=sizes,
            checksum=checksums,
            last_modified=pa.array(times, pa.int64()).cast(PAGE_SCHEMA.field("last_modified").type),
        )
        return Page(rows, skipped=skipped)

    def read_facts(self, path: str) -> Facts | None:
        """Return what ``stat`` tells of one file, ``None`` for what is no regular file; runs in a thread."""
        if self.checksum:
            return _read(path)
        found = os.stat(path)
        return Facts(found.st_size, found.st_mtime_ns, None) if stat_flags.S_ISREG(found.st_mode) else None

    @asynccontextmanager
    async def open(
        self,
        key: str,
        *,
        version_id: str | None = None,
        e_tag: str | None = None,
        start: int = 0,
        length: int | None = None,
    ) -> AsyncIterator[Body]:
        """See ``Source.open``."""
        uri = self._uri(key)
        if version_id is not None or e_tag is not None:
            raise DigestMismatchError(f"{uri}: files have neither versions nor ETags", uri=uri)
        self.requests += 1
        with _translated(uri):
            file = await aiofiles.open(self.root + key, "rb")
        try:
            with _translated(uri):
                size = os.fstat(file.fileno()).st_size
                await file.seek(start)

            async def chunks() -> AsyncIterator[bytes]:
                left = length
                while left is None or left > 0:
                    with _translated(uri):
                        chunk = await file.read(_READ_SIZE if left is None else min(left, _READ_SIZE))
                    if not chunk:
                        return
                    left = None if left is None else left - len(chunk)
                    yield chunk

            yield Body(chunks(), size, None, None, start > 0 or length is not None)
        finally:
            await file.close()

    def refs(self, keys: pa.Array) -> pa.Array:
        """See ``Source.refs``."""
        return pc.binary_join_element_wise(self.base, pc.replace_substring(keys, "%", "%25"), "")

    async def digests(self, rows: pa.RecordBatch, refs: pa.Array) -> pa.Array:  # noqa: ARG002
        """See ``Source.digests``: the base64 MD5 of the content."""
        return pc.utf8_slice_codeunits(rows.column("checksum"), len(_PREFIX))

    async def uri_digests(self, rows: pa.RecordBatch, refs: pa.Array) -> pa.Array:  # noqa: ARG002
        """See ``Source.uri_digests``: the base64 MD5 of the file URI with all links resolved."""
        return await to_thread.run_sync(self._uri_digests, rows.column("key").to_pylist())

    def _uri_digests(self, keys: list[str]) -> pa.Array:
        resolve_folder = functools.lru_cache(maxsize=256)(os.path.realpath)

        def digest(key: str) -> str:
            path = self.root + key
            folder, name = os.path.split(path)
            resolved = os.path.realpath(path) if os.path.islink(path) else f"{resolve_folder(folder)}/{name}"
            return _base64(hashlib.md5(PurePosixPath(resolved).as_uri().encode(), usedforsecurity=False).digest())

        return pa.array([digest(key) for key in keys], pa.string())

    def _uri(self, key: str) -> str:
        return self.base + quote_file_key(key)


class _Pace:
    """How many threads shall read files, from what one thread does alone.

    Small files in the cache are a matter of the interpreter lock, where more threads only get in each other's way.
    Threads that wait for a disk or a server leave it free, and so does the hashing of large files.
    """

    def __init__(self) -> None:
        self._files = self._bytes = 0
        self._computing = self._elapsed = 0.0

    def add(self, page: Page, computing: float, elapsed: float) -> None:
        self._files += page.rows.num_rows
        self._bytes += pc.sum(page.rows.column("size")).as_py() or 0
        self._computing += computing
        self._elapsed += elapsed

    def threads(self) -> int:
        if self._files < _ENOUGH_FILES and self._elapsed < _ENOUGH_TIME:
            return 1
        waiting = self._elapsed / max(self._computing, self._elapsed / _MOST_THREADS)
        if waiting > _MUCH_WAITING:
            return round(waiting)
        threads = (os.cpu_count() or 1) if self._bytes > _LARGE * self._files else 1
        self._files = self._bytes = 0
        self._computing = self._elapsed = 0.0
        return threads


class _Walk:
    """The keys below a prefix in ascending order, a page at a time.

    A folder sorts by its name with a ``/`` behind it, which makes the order of a walk the order of whole keys.
    """

    def __init__(self, root: str, prefix: str, after: str) -> None:
        self.skipped: Counter[str] = Counter()
        self.folders = 0
        self._root = root
        self._prefix = prefix
        self._after = after
        self._start = prefix[: prefix.rfind("/") + 1]
        self._keys = self._below(self._start)

    def take(self, count: int) -> list[str]:
        return list(islice(self._keys, count))

    def _below(self, folder: str) -> Iterator[str]:
        for name in self._names(folder):
            key = folder + name
            if not (key.startswith(self._prefix) or self._prefix.startswith(key)):
                continue
            if name.endswith("/"):
                if key > self._after or self._after.startswith(key):
                    yield from self._below(key)
            elif key > self._after and key.startswith(self._prefix):
                yield key

    def _names(self, folder: str) -> list[str]:
        path = self._root + folder
        self.folders += 1
        names: list[str] = []
        with _translated("file://" + quote_file_key(path)):
            try:
                entries = os.scandir(path)
            except (FileNotFoundError, NotADirectoryError):
                self.skipped["vanished"] += folder != self._start
                return names
            with entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        names.append(entry.name + "/")
                    elif reason := _reason_to_skip(entry):
                        self.skipped[reason] += 1
                    else:
                        names.append(entry.name)
        try:
            "".join(names).encode()
        except UnicodeEncodeError:
            raise _not_utf8(path, names) from None
        names.sort()
        return names


def _reason_to_skip(entry: os.DirEntry[str]) -> str | None:
    try:
        if entry.is_file():
            return None
        if not entry.is_symlink():
            return "not_a_file"
        return "link_to_folder" if entry.is_dir() else "not_a_file" if os.path.exists(entry) else "dangling_link"
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        return "dangling_link"


def _not_utf8(folder: str, names: list[str]) -> InvalidPathError:
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError:
            shown = os.fsencode(folder + name.rstrip("/")).decode("utf-8", "backslashreplace")
            return InvalidPathError(
                f"the file name {shown!r} is not UTF-8, so no manifest can hold it; rename it",
                uri=f"file://{shown}",
            )
    raise AssertionError(names)


def _read(path: str) -> Facts | None:
    for _ in range(3):
        # Without O_NONBLOCK, opening a pipe would wait for its writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            before = os.fstat(descriptor)
            if not stat_flags.S_ISREG(before.st_mode):
                return None
            digest = _md5(descriptor, before.st_size)
            now = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        if (before.st_size, before.st_mtime_ns) == (now.st_size, now.st_mtime_ns):
            return Facts(now.st_size, now.st_mtime_ns, _PREFIX + digest)
    raise StoreError(f"{path} keeps changing while it is read; reference it once it is written")


def _md5(descriptor: int, size: int) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    # One byte more than expected: a short answer then means the end, without a second read.
    while chunk := os.read(descriptor, min(size + 1, _READ_SIZE) if size else _READ_SIZE):
        digest.update(chunk)
        if len(chunk) <= size < _READ_SIZE:
            break
        from_thread.check_cancelled()
    return _base64(digest.digest())


def md5_of_file(path: str | os.PathLike[str]) -> str:
    """Return the base64 MD5 of a file's content."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return _md5(descriptor, _READ_SIZE)
    finally:
        os.close(descriptor)


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode("ascii")


class _translated:  # noqa: N801  reads as a verb where it is used
    """Turn ``OSError`` into refscan's errors; ``FileNotFoundError`` passes inside, where callers count it."""

    __slots__ = ("uri",)

    def __init__(self, uri: str) -> None:
        self.uri = uri

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, OSError) or isinstance(error, RefscanError):
            return
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            raise ObjectNotFoundError(f"{self.uri}: no such file", uri=self.uri) from error
        if error.errno in (errno.EACCES, errno.EPERM):
            raise AccessDeniedError(f"{self.uri}: not readable by this user", uri=self.uri) from error
        raise StoreError(f"{self.uri}: {error.strerror or error}", uri=self.uri) from error
