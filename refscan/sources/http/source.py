"""Single URLs of HTTP servers. A key is the URL's path and query, as the user wrote them."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Self
from urllib.parse import quote, unquote

import aiohttp
import pyarrow as pa
import pyarrow.compute as pc
from yarl import URL

from refscan.errors import AccessDeniedError, DigestMismatchError, ObjectNotFoundError, StoreError
from refscan.redact import redact
from refscan.sources.options import HTTPOptions
from refscan.sources.source import Body, Capabilities, Page, page_rows

__all__ = ["HTTPSource"]

_CHUNK = 1 << 18
_DEFAULTS = HTTPOptions()
# What may stand in a request line as it is (RFC 3986: reserved, unreserved, and "%" of escapes made by the user).
_SAFE = "!#$%&'()*+,/:;=?@[]~"
_TIMEOUT = aiohttp.ClientTimeout(total=None, connect=10, sock_read=60)


class HTTPSource:
    """The URLs of one scheme and host.

    Redirects are followed; netrc and proxies are taken from the environment. Content is asked for as it is stored
    (``Accept-Encoding: identity``), so that size and ETag belong to the same bytes.

    Args:
        base: Scheme and host, ending in ``/``.
        options: How it is reached.
        userinfo: ``user:password`` for basic authentication.
    """

    def __init__(self, base: str, options: HTTPOptions = _DEFAULTS, *, userinfo: str | None = None) -> None:
        self.base = base
        self.requests = 0
        self._login = tuple(unquote(part) for part in userinfo.partition(":")[::2]) if userinfo else None
        self._options = options
        self._session: aiohttp.ClientSession | None = None

    @property
    def capabilities(self) -> Capabilities:
        """Neither listings nor versions."""
        return Capabilities(listed=False, ordered=False, ranged=False)

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            auto_decompress=False,
            connector=aiohttp.TCPConnector(limit=self._options.connections),
            headers={"Accept-Encoding": "identity", "User-Agent": "refscan"},
            timeout=_TIMEOUT,
            trust_env=True,
        )
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def list_page(
        self, prefix: str, *, after: str = "", until: str | None = None, token: str | None = None
    ) -> Page:
        """See ``Source.list_page``: a plain HTTP server lists nothing.

        Raises:
            ObjectNotFoundError: Always.
        """
        del after, until, token
        uri = redact(self.base + prefix)
        raise ObjectNotFoundError(f"{uri}: HTTP references are single URLs; give one URL for each file", uri=uri)

    async def probe(self, prefix: str, *, after: str) -> str | None:
        """See ``Source.probe``: nothing is listed."""
        del prefix, after
        return None

    async def stat(self, keys: Sequence[str], *, version_id: str | None = None) -> Page:
        """See ``Source.stat``: HEAD, and GET without reading the body where the server refuses HEAD."""
        (key,) = keys
        uri = redact(self.base + key)
        if version_id is not None:
            raise ObjectNotFoundError(f"{uri}: URLs have no versions", uri=uri)
        async with self._request("HEAD", key) as response:
            if response.status < 400:  # noqa: PLR2004  HTTP's own border of success
                return Page(_row(key, response))
            if response.status in (404, 410):
                return Page(page_rows(key=[]))
        async with self._request("GET", key) as response:
            if response.status in (404, 410):
                return Page(page_rows(key=[]))
            _raise_for_status(response, uri)
            return Page(_row(key, response))

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
        if e_tag is not None and not e_tag.startswith("W/"):
            headers["If-Match"] = e_tag  # RFC 9110: strong validators only
        ranged = start > 0 or length is not None
        if ranged:
            headers["Range"] = f"bytes={start}-{'' if length is None else start + length - 1}"
        async with self._request("GET", key, headers) as response:
            if response.status == 412:  # noqa: PLR2004  Precondition Failed
                raise DigestMismatchError(f"{uri} was overwritten: its ETag is not {e_tag} any more", uri=uri)
            _raise_for_status(response, uri)
            found = response.headers.get("ETag")
            if e_tag is not None and found != e_tag:
                raise DigestMismatchError(f"{uri} was overwritten: it has ETag {found} now, not {e_tag}", uri=uri)
            partial = ranged and response.status == 206  # noqa: PLR2004  Partial Content

            async def chunks() -> AsyncIterator[bytes]:
                with _translated(uri):
                    async for chunk in response.content.iter_chunked(_CHUNK):
                        yield chunk

            yield Body(chunks(), _whole_size(response) if partial else _size(response), found, None, partial)

    def refs(self, keys: pa.Array) -> pa.Array:
        """See ``Source.refs``: signatures and tokens are left out."""
        return pa.array([redact(self.base + key) for key in keys.to_pylist()], pa.string())

    async def digests(self, rows: pa.RecordBatch, refs: pa.Array) -> pa.Array:
        """See ``Source.digests``: the ETag without its outer quotes, else the URL."""
        return pc.coalesce(pc.utf8_trim(rows.column("e_tag"), '"'), refs)

    async def uri_digests(self, rows: pa.RecordBatch, refs: pa.Array) -> pa.Array:  # noqa: ARG002
        """See ``Source.uri_digests``: the URL."""
        return refs

    @asynccontextmanager
    async def _request(
        self, method: str, key: str, headers: dict[str, str] | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        if self._session is None:
            raise RuntimeError("HTTPSource is used outside its `async with`")
        self.requests += 1
        with _translated(redact(self.base + key)):
            url = URL(quote(self.base + key, safe=_SAFE), encoded=True)
            if self._login:
                # In the URL, the login goes to this host only; a session would send it wherever redirects lead.
                user, password = self._login
                url = url.with_user(_utf8(user)).with_password(_utf8(password))
            response = await self._session.request(method, url, headers=headers, allow_redirects=True)
        async with response:
            yield response


def _utf8(text: str) -> str:
    """Return a text that becomes the UTF-8 of ``text`` when aiohttp encodes it as Latin-1 (RFC 7617 has UTF-8)."""
    return text.encode().decode("latin-1")


def _row(key: str, response: aiohttp.ClientResponse) -> pa.RecordBatch:
    return page_rows(
        key=[key],
        size=[_size(response)],
        e_tag=[response.headers.get("ETag") or None],
        last_modified=[_time(response.headers.get("Last-Modified"))],
    )


def _size(response: aiohttp.ClientResponse) -> int | None:
    if response.headers.get("Content-Encoding", "identity") != "identity":
        return None
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdecimal() else None


def _whole_size(response: aiohttp.ClientResponse) -> int | None:
    whole = response.headers.get("Content-Range", "").rpartition("/")[2]
    return int(whole) if whole.isdecimal() else None


def _time(text: str | None) -> datetime | None:
    try:
        return parsedate_to_datetime(text) if text else None
    except ValueError:
        return None


def _raise_for_status(response: aiohttp.ClientResponse, uri: str) -> None:
    status = response.status
    if status < 400:  # noqa: PLR2004  HTTP's own border of success
        return
    if status in (404, 410):
        raise ObjectNotFoundError(f"{uri}: not found (HTTP {status}); check the URL", uri=uri)
    if status in (401, 403, 407):
        raise AccessDeniedError(
            f"{uri}: access denied (HTTP {status}); give credentials in ~/.netrc, or ask for access", uri=uri
        )
    raise StoreError(f"{uri}: the server answered HTTP {status} {response.reason or ''}".rstrip(), uri=uri)


@contextmanager
def _translated(uri: str) -> Iterator[None]:
    try:
        yield
    except aiohttp.ClientSSLError as error:
        raise StoreError(f"{uri}: TLS failed: {_reason(error)}; check the certificate", uri=uri) from error
    except aiohttp.TooManyRedirects:
        raise StoreError(f"{uri}: too many redirects", uri=uri) from None
    except (aiohttp.InvalidURL, ValueError):
        raise StoreError(f"{uri}: not a URL that can be asked for", uri=uri) from None
    except TimeoutError as error:
        raise StoreError(f"{uri}: no answer in time; check the host, or try again", uri=uri) from error
    except aiohttp.ClientPayloadError as error:
        raise StoreError(f"{uri}: the answer broke off; try again", uri=uri) from error
    except (aiohttp.ClientError, ssl.SSLError) as error:
        raise StoreError(f"{uri}: cannot be reached: {_reason(error)}; check host and port", uri=uri) from error


def _reason(error: BaseException) -> str:
    """Return what went wrong, in words that hold no URL."""
    inner = getattr(error, "os_error", None)
    return (getattr(inner, "strerror", None) or str(inner)) if inner is not None else type(error).__name__
