"""One bucket of Google Cloud Storage: listings with generations, objects' facts and bytes."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Self, TypeVar

import aiohttp
import pyarrow as pa
import pyarrow.compute as pc

from refscan.errors import DigestMismatchError, ListingOrderError, StoreError
from refscan.sources.gcs.client import GCSClient, open_client
from refscan.sources.gcs.errors import is_missing_object, translated
from refscan.sources.gcs.page import (
    HISTORY_FIELDS,
    LISTING_FIELDS,
    OBJECT_FIELDS,
    GCSPage,
    parse_history,
    parse_object,
    parse_page,
)
from refscan.sources.history import HistoryPage
from refscan.sources.options import GCSOptions
from refscan.sources.source import MOST_LISTINGS, Body, Capabilities, Page, page_rows

__all__ = ["GCSSource"]

_CHUNK = 1 << 18
_DEFAULTS = GCSOptions()
_LONGEST_NAME = 1_024
# Greater than nothing, and safe in a request: `until` with it behind is the first bound that does not cut `until` off.
_BEHIND = " "
_LIST = "storage.objects.list"
_GET = "storage.objects.get"

_P = TypeVar("_P", GCSPage, HistoryPage)


class GCSSource:
    """One bucket.

    Every object is pinned by its generation, which the listing tells; overwritten generations can be had where the
    bucket keeps them (object versioning, soft delete).

    Args:
        bucket: Its name.
        options: How it is reached.
        page_size: Keys in a page. The service promises 1,000; it is asked for more, and what it gives is taken.
    """

    def __init__(self, bucket: str, options: GCSOptions = _DEFAULTS, *, page_size: int = 5_000) -> None:
        self.base = f"gs://{bucket}/"
        self._bucket = bucket
        self._connections = options.connections
        self._page_size = page_size
        self._opening: AbstractAsyncContextManager[GCSClient] = open_client(options)
        self._client: GCSClient | None = None
        self._told = 0

    @property
    def requests(self) -> int:
        """Requests sent so far."""
        return self._client.requests if self._client is not None else 0

    @property
    def retries(self) -> int:
        """Those that were sent again."""
        return self._client.repeats.retries if self._client is not None else 0

    @property
    def endpoint(self) -> str | None:
        """See ``Source.endpoint``."""
        return None if self._client is None else self._client.endpoint

    @property
    def capabilities(self) -> Capabilities:
        """Ordered, ranged, pinned."""
        return Capabilities(pinned=True, list_concurrency=min(MOST_LISTINGS, self._connections))

    async def __aenter__(self) -> Self:
        with translated(self.base, _LIST):
            self._client = await self._opening.__aenter__()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._opening.__aexit__(*exc_info)  # type: ignore[arg-type]

    @property
    def _open_client(self) -> GCSClient:
        if self._client is None:
            raise RuntimeError("GCSSource is used outside its `async with`")
        return self._client

    async def list_page(
        self, prefix: str, *, after: str = "", until: str | None = None, token: str | None = None
    ) -> Page:
        """See ``Source.list_page``."""
        bounds = _bounds(after, until)
        page = await self._list(prefix, bounds, token)
        # Pages may be as short as the service likes: empty, or with nothing but the bound itself.
        while (rows := _behind(page.rows, after)).num_rows == 0 and page.token is not None:
            page = await self._list(prefix, bounds, page.token)
        last = rows.column("key")[-1].as_py() if rows.num_rows else None
        told, self._told = self._told, self._open_client.repeats.throttled
        return Page(rows, last if page.token else None, page.token, throttled=self._told > told)

    async def _list(
        self, prefix: str, bounds: Mapping[str, str], token: str | None, *, count: int | None = None
    ) -> GCSPage:
        # One more where the first may be the bound itself.
        most = (count or self._page_size) + ("startOffset" in bounds)
        params = {"fields": LISTING_FIELDS} | self._asked(prefix, bounds, token, most)
        with translated(self.base + prefix, _LIST):
            page = parse_page(await self._open_client.list_objects(self._bucket, params))
            return _moved(page, token)

    def _asked(self, prefix: str, bounds: Mapping[str, str], token: str | None, most: int) -> dict[str, str]:
        params = {"maxResults": str(most), "projection": "noAcl", "prettyPrint": "false", **bounds}
        if prefix:
            params["prefix"] = prefix
        if token:
            params["pageToken"] = token
        return params

    async def list_history(
        self, prefix: str, *, after: str = "", until: str | None = None, token: str | None = None
    ) -> HistoryPage | None:
        """See ``History.list_history``: ``versions=true``, which the permission to list is enough for."""
        asked = self._asked(prefix, _bounds(after, until), token, self._page_size)
        with translated(self.base + prefix, _LIST):
            params = {"fields": HISTORY_FIELDS, "versions": "true"} | asked
            page = parse_history(await self._open_client.list_objects(self._bucket, params))
            return _moved(page, token)

    async def is_restored(self, key: str, version_id: str | None) -> bool:  # noqa: ARG002
        """See ``History.is_restored``: its archives are read at once (``ARCHIVE`` only costs more)."""
        return True

    async def probe(self, prefix: str, *, after: str) -> str | None:
        """See ``Source.probe``."""
        token = None
        while True:
            # The first may be `after` itself: a listing begins at its bound, not behind it.
            page = await self._list(prefix, _bounds(after, None), token, count=1)
            rows = _behind(page.rows, after)
            if rows.num_rows:
                return rows.column("key")[0].as_py()  # type: ignore[no-any-return]
            if page.token is None:
                return None
            token = page.token

    async def stat(self, keys: Sequence[str], *, version_id: str | None = None) -> Page:
        """See ``Source.stat``."""
        (key,) = keys
        params = {"fields": OBJECT_FIELDS, "prettyPrint": "false", **_pin(version_id)}
        with translated(self.base + key, _GET, what="object or generation"):
            try:
                body = await self._open_client.get_metadata(self._bucket, key, params)
            except aiohttp.ClientResponseError as error:
                if not is_missing_object(error):
                    raise
                return Page(page_rows(key=[]), skipped={"vanished": 1})
            return Page(parse_object(body))

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
        """See ``Source.open``. A generation never changes, its ETag does with its metadata: the pin alone decides."""
        uri = self.base + key
        headers = {}
        if start or length is not None:
            headers["Range"] = f"bytes={start}-{'' if length is None else start + length - 1}"
        with translated(uri, _GET, what="object or generation"):
            opening = self._open_client.open_object(self._bucket, key, _pin(version_id), headers)
            response = await opening.__aenter__()
        try:
            found = response.headers.get("ETag", "").strip('"') or None
            generation = response.headers.get("X-Goog-Generation")
            if version_id is not None and generation not in (None, version_id):
                raise DigestMismatchError(f"{uri}: the store sent generation {generation}, not {version_id}", uri=uri)
            if version_id is None and e_tag is not None and found != e_tag:
                raise DigestMismatchError(f"{uri} was overwritten: it has ETag {found} now, not {e_tag}", uri=uri)

            async def chunks() -> AsyncIterator[bytes]:
                with translated(uri, _GET):
                    async for chunk in _as_stored(response):
                        yield chunk

            partial = response.status == 206  # noqa: PLR2004  Partial Content
            yield Body(chunks(), _whole_size(response, partial=partial), found, generation, partial)
        finally:
            await opening.__aexit__(None, None, None)

    def refs(self, keys: pa.Array) -> pa.Array:
        """See ``Source.refs``."""
        return pc.binary_join_element_wise(self.base, keys, "")

    async def digests(self, rows: pa.RecordBatch, refs: pa.Array) -> pa.Array:
        """See ``Source.digests``: the ETag, else the URI."""
        return pc.coalesce(rows.column("e_tag"), refs)

    async def uri_digests(self, rows: pa.RecordBatch, refs: pa.Array) -> pa.Array:  # noqa: ARG002
        """See ``Source.uri_digests``: the URI."""
        return refs


def _moved(page: _P, token: str | None) -> _P:
    """Return the page, if it leads on from where it was asked for."""
    if token and page.token == token:
        raise ListingOrderError("the listing stands still: its token leads to itself")
    return page


def _pin(version_id: str | None) -> dict[str, str]:
    return {"generation": version_id} if version_id else {}


def _bounds(after: str, until: str | None) -> dict[str, str]:
    """Return the bounds of ``objects.list``: ``startOffset`` is inclusive, ``endOffset`` exclusive."""
    bounds = {"startOffset": after} if after else {}
    if until is not None and len(until.encode()) < _LONGEST_NAME:
        bounds["endOffset"] = until + _BEHIND
    return bounds


def _behind(rows: pa.RecordBatch, after: str) -> pa.RecordBatch:
    return rows.slice(1) if rows.num_rows and rows.column("key")[0].as_py() == after else rows


async def _as_stored(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Yield the bytes as they are stored: without a compression that only the way here has."""
    on_the_way = response.headers.get("Content-Encoding") == "gzip"
    stored = response.headers.get("X-Goog-Stored-Content-Encoding", "gzip") == "gzip"
    unzip = zlib.decompressobj(wbits=31) if on_the_way and not stored else None
    async for chunk in response.content.iter_chunked(_CHUNK):
        try:
            yield chunk if unzip is None else unzip.decompress(chunk)
        except zlib.error:
            raise StoreError("the answer cannot be unpacked; try again") from None


def _whole_size(response: aiohttp.ClientResponse, *, partial: bool) -> int | None:
    headers = response.headers
    if partial:
        text = str(headers.get("Content-Range", "")).rpartition("/")[2]
    else:
        text = str(headers.get("X-Goog-Stored-Content-Length") or headers.get("Content-Length", ""))
    return int(text) if text.isdecimal() else None
