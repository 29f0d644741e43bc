"""The source of local files. Keys are absolute paths without their first ``/``."""

from __future__ import annotations

import base64
import functools
import hashlib
import os
import stat as stat_flags
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path, PurePosixPath
from typing import Self

import aiofiles
import anyio
import pyarrow as pa
import pyarrow.compute as pc
from anyio import to_thread

from refscan.errors import DigestMismatchError, ObjectNotFoundError
from refscan.sources.local.errors import translated
from refscan.sources.local.files import Facts, copy_file, file_facts, open_at_once, read_file
from refscan.sources.local.pace import MOST_THREADS, Pace
from refscan.sources.local.walk import Walk
from refscan.sources.source import PAGE_SCHEMA, Body, Capabilities, Page, page_rows
from refscan.uri import quote_key

__all__ = ["LocalSource"]

_READ_SIZE = 1 << 20
_PREFIX = "md5:"


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
        self.base = "file://" + quote_key(self.root, "file")
        self.requests = self.retries = 0
        self.endpoint = None
        self._threads: anyio.CapacityLimiter | None = None
        self._pace = Pace()
        self._paused: dict[tuple[str, str], Walk] = {}

    @property
    def capabilities(self) -> Capabilities:
        """Ordered and ranged; what was overwritten is gone."""
        return Capabilities(stat_batch=1_024, stat_concurrency=MOST_THREADS)

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
        walk = self._paused.pop((prefix, after), None) or Walk(self.root, prefix, after)
        keys = await to_thread.run_sync(walk.take, self.page_size, until)
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
        found = await to_thread.run_sync(Walk(self.root, prefix, after).take, 1)
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
                with translated(self._uri(key)):
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
            checksums.append(None if facts.md5 is None else _PREFIX + facts.md5)
        rows = page_rows(
            key=names,
            size=sizes,
            checksum=checksums,
            last_modified=pa.array(times, pa.int64()).cast(PAGE_SCHEMA.field("last_modified").type),
        )
        return Page(rows, skipped=skipped)

    def read_facts(self, path: str) -> Facts | None:
        """Return what ``stat`` tells of one file, ``None`` for what is no regular file; runs in a thread."""
        return read_file(path) if self.checksum else file_facts(path)

    async def copy(self, key: str, target: Path) -> Facts:
        """Copy a file to a new one, in one go and one thread.

        Raises:
            ObjectNotFoundError: There is no such file.
        """
        self.requests += 1
        return await to_thread.run_sync(self._copy, key, target)

    def _copy(self, key: str, target: Path) -> Facts:
        uri = self._uri(key)
        with translated(uri):
            facts = copy_file(self.root + key, target)
        if facts is None:
            raise ObjectNotFoundError(f"{uri}: not a file any more", uri=uri)
        return facts

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
        with translated(uri):
            file = await aiofiles.open(self.root + key, "rb", opener=open_at_once)
        try:
            with translated(uri):
                found = os.fstat(file.fileno())
                if not stat_flags.S_ISREG(found.st_mode):
                    raise ObjectNotFoundError(f"{uri}: not a file", uri=uri)
                await file.seek(start)

            async def chunks() -> AsyncIterator[bytes]:
                left = length
                while left is None or left > 0:
                    with translated(uri):
                        chunk = await file.read(_READ_SIZE if left is None else min(left, _READ_SIZE))
                    if not chunk:
                        return
                    left = None if left is None else left - len(chunk)
                    yield chunk

            yield Body(chunks(), found.st_size, None, None, start > 0 or length is not None)
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
            resolved = os.path.realpath(path) if os.path.islink(path) else os.path.join(resolve_folder(folder), name)
            return _md5_of(PurePosixPath(resolved).as_uri())

        return pa.array([digest(key) for key in keys], pa.string())

    def _uri(self, key: str) -> str:
        return self.base + quote_key(key, "file")


def _md5_of(uri: str) -> str:
    return base64.b64encode(hashlib.md5(uri.encode(), usedforsecurity=False).digest()).decode("ascii")
