"""The URLs of one web server. A key is the URL's path and query, as the user or a directory index wrote them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Self

import aiohttp
import pyarrow as pa
import pyarrow.compute as pc

from refscan.errors import DigestMismatchError, ObjectNotFoundError
from refscan.redact import redact
from refscan.sources.http.errors import MISSING, SUCCESS, raise_for_status, translated
from refscan.sources.http.facts import facts_row, size_of, tag_of, time_of, whole_size_of
from refscan.sources.http.folder import read_folder
from refscan.sources.http.session import Session
from refscan.sources.options import HTTPOptions
from refscan.sources.retry import Repeats, raise_if_busy, retrying
from refscan.sources.source import Body, Capabilities, NoIndexError, Page, page_rows

__all__ = ["HTTPSource"]

_CHUNK = 1 << 18
# What is read whole, so that a connection that breaks is no more than another attempt.
_SMALL = 1 << 19
_DEFAULTS = HTTPOptions()
# Said by servers and applications that have no HEAD at all.
_NO_HEAD = (405, 501)
_THROTTLED = (408, 429, 503)


class HTTPSource:
    """The URLs of one scheme and host, and the folders that it offers an index of.

    Redirects are followed; netrc and proxies are taken from the environment. Content is asked for as it is stored
    (``Accept-Encoding: identity``), so that size and ETag belong to the same bytes. A busy server is asked again,
    when it wants to be.

    Args:
        base: Scheme and host, ending in ``/``.
        options: How it is reached.
        userinfo: ``user:password`` for basic authentication.

    Raises:
        ValueError: A header of the options cannot be one.
    """

    def __init__(self, base: str, options: HTTPOptions = _DEFAULTS, *, userinfo: str | None = None) -> None:
        self.base = base
        self.requests = 0
        self.endpoint = None
        self._repeats = Repeats()
        self._options = options
        self._session = Session(base, options, userinfo, sent=self._count)
        self._heads = True

    def _count(self) -> None:
        self.requests += 1

    @property
    def retries(self) -> int:
        """Requests that were sent again."""
        return self._repeats.retries

    @property
    def capabilities(self) -> Capabilities:
        """Listings by folder, where the server offers an index; no versions."""
        return Capabilities(ordered=False, walked=True, ranged=False, stat_concurrency=self._options.connections)

    async def __aenter__(self) -> Self:
        await self._session.__aenter__()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._session.__aexit__(*exc_info)

    async def list_page(
        self, prefix: str, *, after: str = "", until: str | None = None, token: str | None = None
    ) -> Page:
        """See ``Source.list_page``: what the server's index of the folder links to, in one page.

        Keys are the folder and the names in it, escaped as URLs need them. ``skipped`` counts links that lead out of
        the folder (``outside``) and names that are not UTF-8 (``undecodable``).

        Raises:
            NoIndexError: There is a page, and it is no index; or indexes are not wanted.
            ObjectNotFoundError: There is nothing.
            AccessDeniedError: It may not be read, or the server has its indexes switched off.
            StoreError: The index lies elsewhere, breaks off, or has more than 256 MiB.
        """
        del after, until, token
        uri = redact(self.base + prefix)
        if not self._options.index or "?" in prefix or (prefix and not prefix.endswith("/")):
            raise NoIndexError(f"{uri}: not a folder whose index is looked for", uri=uri)
        async with self._session.slots:
            with translated(self.base, prefix):
                return await retrying(lambda: read_folder(self._session, prefix, uri), self._repeats)

    async def probe(self, prefix: str, *, after: str) -> str | None:
        """See ``Source.probe``: an index has no order to look into."""
        del prefix, after
        return None

    async def stat(self, keys: Sequence[str], *, version_id: str | None = None) -> Page:
        """See ``Source.stat``: HEAD, and GET without reading the body where the server refuses HEAD.

        A folder is no object, though a server redirects from its name to its page.
        """
        (key,) = keys
        if version_id is not None:
            uri = redact(self.base + key)
            raise ObjectNotFoundError(f"{uri}: URLs have no versions", uri=uri)
        async with self._session.slots:
            with translated(self.base, key):
                return Page(await retrying(lambda: self._facts(key), self._repeats))

    async def _facts(self, key: str) -> pa.RecordBatch:
        refused = 0
        if self._heads:
            async with await self._session.send("HEAD", key) as response:
                refused = response.status
                if refused in SUCCESS:
                    return page_rows(key=[]) if self._is_folder(key, response) else facts_row(key, response.headers)
                if refused in MISSING:
                    return page_rows(key=[])
                if refused in _THROTTLED:
                    raise_if_busy(refused, response.headers)
        async with await self._session.send("GET", key) as response:
            if response.status in MISSING:
                return page_rows(key=[])
            raise_for_status(response.status, response.reason, response.headers, redact(self.base + key))
            if refused in _NO_HEAD:
                self._heads = False
            return page_rows(key=[]) if self._is_folder(key, response) else facts_row(key, response.headers)

    def _is_folder(self, key: str, response: aiohttp.ClientResponse) -> bool:
        """Tell whether the server knows a folder of that name: it redirects to the same path with a ``/`` behind."""
        path = self._session.url(key.partition("?")[0]).raw_path
        return bool(key) and not path.endswith("/") and response.url.raw_path == path + "/"

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
        uri = redact(self.base + key)
        if version_id is not None:
            raise DigestMismatchError(f"{uri}: URLs have no versions", uri=uri)
        headers = {}
        # RFC 9110: If-Match takes strong validators only. Others are compared here.
        if e_tag is not None and not e_tag.startswith("W/") and e_tag.isascii():
            headers["If-Match"] = e_tag
        ranged = start > 0 or length is not None
        if ranged:
            headers["Range"] = f"bytes={start}-{'' if length is None else start + length - 1}"

        async def attempt() -> tuple[aiohttp.ClientResponse, bytes | None]:
            response = await self._session.send("GET", key, headers)
            try:
                _refuse(response, e_tag, uri)
                small = response.content_length is not None and response.content_length <= _SMALL
                return response, await response.read() if small else None
            except BaseException:
                response.close()
                raise

        async with self._session.slots:
            with translated(self.base, key):
                response, whole = await retrying(attempt, self._repeats)
            async with response:
                partial = ranged and response.status == 206  # noqa: PLR2004  Partial Content
                size = whole_size_of(response.headers) if partial else size_of(response.headers)
                chunks, found = self._chunks(key, response, whole), tag_of(response.headers)
                yield Body(chunks, size, found, None, partial, time_of(response.headers))

    async def _chunks(self, key: str, response: aiohttp.ClientResponse, whole: bytes | None) -> AsyncIterator[bytes]:
        if whole is not None:
            yield whole
            return
        with translated(self.base, key):
            async for chunk in response.content.iter_chunked(_CHUNK):
                yield chunk

    def refs(self, keys: pa.Array) -> pa.Array:
        """See ``Source.refs``: signatures and tokens are left out."""
        if not pc.any(pc.match_substring_regex(keys, "[?#]")).as_py():
            return pc.binary_join_element_wise(self.base, keys, "")
        return pa.array([redact(self.base + key) for key in keys.to_pylist()], pa.string())

    async def digests(self, rows: pa.RecordBatch, refs: pa.Array) -> pa.Array:
        """See ``Source.digests``: the ETag without its outer quotes, else the URL."""
        return pc.coalesce(pc.utf8_trim(rows.column("e_tag"), '"'), refs)

    async def uri_digests(self, rows: pa.RecordBatch, refs: pa.Array) -> pa.Array:  # noqa: ARG002
        """See ``Source.uri_digests``: the URL."""
        return refs


def _refuse(response: aiohttp.ClientResponse, e_tag: str | None, uri: str) -> None:
    """Raise unless the answer has the bytes that were asked for."""
    if response.status == 412:  # noqa: PLR2004  Precondition Failed
        raise DigestMismatchError(f"{uri} was overwritten: its ETag is not {e_tag} any more", uri=uri)
    raise_for_status(response.status, response.reason, response.headers, uri)
    found = tag_of(response.headers)
    if e_tag is not None and found != e_tag:
        raise DigestMismatchError(f"{uri} was overwritten: it has ETag {found} now, not {e_tag}", uri=uri)
