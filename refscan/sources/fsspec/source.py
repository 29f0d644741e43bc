"""Any file system of fsspec as a source: FTP, SFTP, SMB, WebDAV, HDFS, Hugging Face and many more."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import BinaryIO, Self

import anyio
import pyarrow as pa
import pyarrow.compute as pc

from refscan.errors import DigestMismatchError, ObjectNotFoundError, StoreError
from refscan.sources.fsspec.errors import is_missing, translated
from refscan.sources.fsspec.facts import Facts, facts_of, is_folder, is_plain_file, rows_of
from refscan.sources.fsspec.file_system import FileSystem, Recipe, dispose
from refscan.sources.fsspec.fresh import info_of
from refscan.sources.fsspec.listing import list_folder
from refscan.sources.fsspec.pool import Lease, Pool
from refscan.sources.options import FsspecOptions
from refscan.sources.source import Body, Capabilities, Page, page_rows

__all__ = ["FsspecSource"]

_CHUNK = 1 << 20
_DEFAULTS = FsspecOptions()


class FsspecSource:
    """The files of one file system, by folder.

    Facts are of the moment: nothing is taken from fsspec's caches. Its calls run in worker threads, each with a
    connection of its own, at most ``options.concurrency``; a server that allows fewer is asked over fewer. A page
    holds a whole folder, since fsspec lists no less. What fsspec leaves open stays so: its SFTP takes any host key
    unless ``storage_options`` say otherwise (``known_hosts=`` for sshfs, ``host_key_policy="reject"`` for paramiko).

    Args:
        base: ``SCHEME://[USER@]HOST/``, or a folder there.
        options: What the file system's class takes beside.
        userinfo: ``user:password`` of the URI; handed to the file system's class and nowhere else.

    Raises:
        UnsupportedSchemeError: fsspec knows no such scheme, or its package is missing; the text says which.
        InvalidURIError: The URI does not say enough to make the file system.
    """

    def __init__(self, base: str, options: FsspecOptions = _DEFAULTS, *, userinfo: str | None = None) -> None:
        scheme, _, rest = base.partition("://")
        host, slash, folder = rest.partition("/")
        login, at, bare_host = host.rpartition("@")
        user, colon, _ = login.partition(":")
        if colon:
            userinfo = userinfo or login
            base = f"{scheme}://{user}{at if user else ''}{bare_host}{slash}{folder}"
        self.base = base
        self.requests = self.retries = 0
        self.endpoint = None
        self._options = options
        self._recipe = Recipe(base, options.storage_options, userinfo)
        self._open_pool: Pool[FileSystem] | None = None

    @property
    def capabilities(self) -> Capabilities:
        """Listed by folder, in no order; what was overwritten is gone."""
        return Capabilities(ordered=False, walked=True, ranged=False, stat_concurrency=self._options.concurrency)

    async def __aenter__(self) -> Self:
        given = tuple(self._options.storage_options.values())
        pool = Pool(self._recipe, partial(dispose, given=given), self._options.concurrency)
        with self._translated(self.base):
            await pool.open()
        self._open_pool = pool
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self._open_pool is not None:
            await self._open_pool.close()

    async def list_page(
        self, prefix: str, *, after: str = "", until: str | None = None, token: str | None = None
    ) -> Page:
        """See ``Source.list_page``: a whole folder; ``prefix`` is empty or ends in ``/``."""
        del after, until, token
        if prefix and not prefix.endswith("/"):
            raise ValueError(f"a walked source lists folders, whose keys end in '/'; not {prefix!r}")
        pool, uri, path = self._pool, self.base + prefix, self._recipe.folder(prefix)
        with self._translated(uri, path):
            try:
                page, requests = await pool.run(partial(list_folder, path=path, prefix=prefix, uri=uri))
            except Exception as error:
                self.requests += 1
                if not prefix or not is_missing(error, path):
                    raise
                return Page(page_rows(key=[]))
        self.requests += requests
        return page

    async def probe(self, prefix: str, *, after: str) -> str | None:
        """See ``Source.probe``: nothing is ordered, so nothing is behind a key."""
        del prefix, after
        return None

    async def stat(self, keys: Sequence[str], *, version_id: str | None = None) -> Page:
        """See ``Source.stat``."""
        (key,) = keys
        uri, path = self.base + key, self._recipe.path(key)
        if version_id is not None:
            raise ObjectNotFoundError(f"{uri}: {self._scheme}:// has no versions", uri=uri)
        if not key or key.endswith("/"):
            return Page(page_rows(key=[]))  # fsspec would take it for the name without the slash
        self.requests += 1
        pool = self._pool
        with self._translated(uri, path):
            try:
                info = await pool.run(partial(info_of, path=path))
            except Exception as error:
                if not is_missing(error, path):
                    raise
                return Page(page_rows(key=[]))
        if is_plain_file(info):
            return Page(rows_of([key], [facts_of(info)]))
        return Page(page_rows(key=[]), skipped={} if is_folder(info) else {"not_a_file": 1})

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
        """See ``Source.open``.

        fsspec has no conditional reads: the facts are compared before the first byte and behind the last one. Since
        few of its file systems know ETags, ``e_tag`` may also be what ``digests`` gives.

        Raises:
            DigestMismatchError: It has another ``e_tag``, or was changed while it was read.
        """
        uri, path = self.base + key, self._recipe.path(key)
        if version_id is not None:
            raise DigestMismatchError(f"{uri}: {self._scheme}:// has no versions", uri=uri)
        if not key or key.endswith("/"):
            raise ObjectNotFoundError(f"{uri}: not a file", uri=uri)
        pool = self._pool
        async with AsyncExitStack() as stack:
            with self._translated(uri, path):
                self.requests += 1
                lease, info = await stack.enter_async_context(pool.ask(partial(info_of, path=path)))
                if not is_plain_file(info):
                    raise ObjectNotFoundError(f"{uri}: not a file", uri=uri)
                facts = facts_of(info)
                if e_tag is not None and e_tag not in (facts.e_tag, facts.digest):
                    raise DigestMismatchError(f"{uri} was overwritten: it is {facts.digest} now, not {e_tag}", uri=uri)
                self.requests += 1
                file = await lease.call(partial(_open_at, path=path, start=start))
                stack.push_async_callback(_close, lease, file)
            left = None if facts.size is None else max(0, facts.size - start)
            left = length if left is None else left if length is None else min(left, length)
            yield Body(
                self._chunks(lease, file, key, facts=facts, left=left),
                facts.size,
                facts.e_tag,
                None,
                start > 0 or length is not None,
            )

    async def _chunks(
        self, lease: Lease[FileSystem], file: BinaryIO, key: str, *, facts: Facts, left: int | None
    ) -> AsyncIterator[bytes]:
        uri, path = self.base + key, self._recipe.path(key)
        with self._translated(uri, path):
            while left is None or left > 0:
                chunk = await lease.call(partial(_read, file=file, size=_CHUNK if left is None else min(_CHUNK, left)))
                if not chunk:
                    break
                left = None if left is None else left - len(chunk)
                yield chunk
            now = facts_of(await lease.call(partial(info_of, path=path)))
            if now != facts:
                raise DigestMismatchError(f"{uri} was changed while it was read; read it again", uri=uri)
            if left and facts.size is not None:
                raise StoreError(f"{uri}: the answer ended {left} bytes early; try again", uri=uri)

    def refs(self, keys: pa.Array) -> pa.Array:
        """See ``Source.refs``."""
        return pc.binary_join_element_wise(self.base, keys, "")

    async def digests(self, rows: pa.RecordBatch, refs: pa.Array) -> pa.Array:
        """See ``Source.digests``: what the file system knows of the content (``Facts.digest``), else the URI.

        W&B has no handler for these schemes, and records the URI.
        """
        changed = rows.column("last_modified").cast(pa.int64()).cast(pa.string())
        told = pc.binary_join_element_wise(rows.column("size").cast(pa.string()), changed, "-")
        return pc.coalesce(rows.column("e_tag"), rows.column("checksum"), told, refs)

    async def uri_digests(self, rows: pa.RecordBatch, refs: pa.Array) -> pa.Array:  # noqa: ARG002
        """See ``Source.uri_digests``: the URI."""
        return refs

    @property
    def _scheme(self) -> str:
        return self.base.partition("://")[0]

    @property
    def _pool(self) -> Pool[FileSystem]:
        if self._open_pool is None:
            raise RuntimeError("FsspecSource is used outside its `async with`")
        return self._open_pool

    def _translated(self, uri: str, path: str = "") -> translated:
        return translated(uri, self._recipe.secrets, path)


def _open_at(fs: FileSystem, path: str, start: int) -> BinaryIO:
    file = fs.open(path, "rb")
    if start:
        file.seek(start)
    return file


def _read(fs: FileSystem, file: BinaryIO, size: int) -> bytes:
    del fs
    return file.read(size)


async def _close(lease: Lease[FileSystem], file: BinaryIO) -> None:
    # After an error the connection is given up, and the file with it.
    if lease.sound:
        with anyio.CancelScope(shield=True):
            await lease.call(lambda _: file.close())
