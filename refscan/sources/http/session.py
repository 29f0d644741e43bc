"""Requests to one host and to where it redirects; what is secret goes to the host it is for."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Self
from urllib.parse import quote

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from refscan.errors import StoreError
from refscan.redact import redact
from refscan.sources.http.logins import basic, login_of, read_netrc
from refscan.sources.options import HTTPOptions
from refscan.sources.proxy import proxy_for
from refscan.sources.retry import SILENCE

__all__ = ["URL_SAFE", "Session"]

URL_SAFE = "!#$%&'()*+,/:;=?@[]~"
"""What may stand in a URL as it is (RFC 3986: reserved, unreserved, and ``%`` of escapes that were made before)."""

_REDIRECTS = frozenset([301, 302, 303, 307, 308])
_MOST_REDIRECTS = 10
# There is no wait for a free connection in these: a session has no more requests under way than connections.
# Resolving, connecting and TLS may take ``connect`` together, twice within ten seconds.
_TIMEOUT = aiohttp.ClientTimeout(total=None, connect=4, sock_connect=3, sock_read=SILENCE)
# RFC 9110, sections 5.1 and 5.5.
_FIELD_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FIELD_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")


class Session:
    """Requests below one base; headers and logins of its host go there only, netrc's to their own hosts.

    Content is asked for as it is stored (``Accept-Encoding: identity``), so that size and ETag belong to the same
    bytes. The environment's proxies are looked up once for each host.

    Attributes:
        slots: To be held while an answer is open.

    Args:
        base: Scheme and host, ending in ``/``.
        options: How it is reached.
        userinfo: ``user:password`` for basic authentication; wins over netrc.
        sent: Called for each request, redirects and repeated ones too.

    Raises:
        ValueError: A header of the options cannot be one.
    """

    def __init__(self, base: str, options: HTTPOptions, userinfo: str | None, *, sent: Callable[[], None]) -> None:
        self.slots = asyncio.Semaphore(options.connections)
        self._base = base
        self._options = options
        self._userinfo = userinfo
        self._sent = sent
        self._own = _checked(options)
        self._root: str | None = None
        self._netrc: dict[str, str] = {}
        self._proxies: dict[tuple[str, str], URL | None] = {}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        # First: a session that is made before this is cancelled would be left open.
        self._netrc = await asyncio.to_thread(read_netrc)
        self._session = aiohttp.ClientSession(
            auto_decompress=False,
            connector=aiohttp.TCPConnector(limit=0),
            headers={"Accept-Encoding": "identity", "User-Agent": "refscan"},
            timeout=_TIMEOUT,
        )
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def send(self, method: str, key: str, headers: dict[str, str] | None = None) -> aiohttp.ClientResponse:
        """Send one request, follow its redirects, and return the last answer, whatever its status.

        The answer is the caller's to close.

        Raises:
            StoreError: It is redirected too often, or to what is not HTTP.
            aiohttp.ClientError: It failed.
            ValueError: It is no URL.
            TimeoutError: There is no answer in time.
        """
        if self._session is None:
            raise RuntimeError("HTTPSource is used outside its `async with`")
        url = self.url(key)
        mine = self._own if headers is None else self._own | headers
        for _ in range(_MOST_REDIRECTS + 1):
            self._sent()
            response = await self._session.request(
                method, url, headers=mine, allow_redirects=False, proxy=self._proxy(url)
            )
            if response.status not in _REDIRECTS or not (location := response.headers.get("Location")):
                return response
            response.release()
            url = self._follow(url, location, key)
            mine = self._headers(url) | (headers or {})
        uri = redact(self._base + key)
        raise StoreError(f"{uri}: more than {_MOST_REDIRECTS} redirects; check the URL", uri=uri)

    def url(self, key: str) -> URL:
        """Return the URL that is asked for.

        Raises:
            ValueError: The host cannot be one.
        """
        return URL((self._root or self._set_up()) + quote(key, safe=URL_SAFE), encoded=True)

    def _set_up(self) -> str:
        url = URL(self._base)
        self._root = str(url)
        self._origin = url.origin()
        named = {name.lower() for name in self._own}
        if "authorization" not in named:
            login = login_of(self._userinfo) if self._userinfo else self._login(url, default=True)
            self._own |= {"Authorization": login} if login else {}
        return self._root

    def _login(self, url: URL, *, default: bool) -> str | None:
        host = url.host or ""
        return self._netrc.get(host) or (self._netrc.get("default") if default else None)

    def _headers(self, url: URL) -> dict[str, str]:
        """Return what is sent to where a redirect leads."""
        if url.origin() == self._origin or _is_upgrade(self._origin, url):
            return self._own
        if url.user is not None:
            return {"Authorization": basic(url.user, url.password or "")}
        login = self._login(url, default=False)
        return {"Authorization": login} if login else {}

    def _follow(self, url: URL, location: str, key: str) -> URL:
        text = quote(location.encode("utf-8", "surrogateescape"), safe=URL_SAFE)
        target = url.join(URL(text, encoded=True)).with_fragment(None)
        if target.scheme not in ("http", "https") or not target.raw_host:
            uri = redact(self._base + key)
            raise StoreError(f"{uri}: it is redirected to what is no web address; check the URL", uri=uri)
        return target

    def _proxy(self, url: URL) -> URL | None:
        place = (url.scheme, url.raw_authority.rpartition("@")[2])
        if place not in self._proxies:
            self._proxies[place] = _proxy(f"{place[0]}://{place[1]}/", self._base)
        return self._proxies[place]


def _checked(options: HTTPOptions) -> dict[str, str]:
    """Return the options' headers; those that would change what is asked for are refused."""
    for name, value in options.headers.items():
        if not _FIELD_NAME.fullmatch(name) or not _FIELD_VALUE.fullmatch(value):
            raise ValueError(f"HTTPOptions(headers=): {name!r} and its value cannot be a header of HTTP")
    found = CIMultiDict(options.headers)
    for name in ("Accept-Encoding", "Range", "If-Match", "Host"):
        if name in found:
            raise ValueError(f"HTTPOptions(headers=): {name} is refscan's own to send; leave it out")
    return dict(options.headers)


def _is_upgrade(origin: URL, url: URL) -> bool:
    """Tell whether a redirect only asks for TLS on the same host."""
    return (origin.scheme, origin.port, url.scheme, url.port) == ("http", 80, "https", 443) and origin.host == url.host


def _proxy(url: str, base: str) -> URL | None:
    text = proxy_for(url)
    if not text:
        return None
    proxy = URL(text if "://" in text else f"http://{text}")
    if proxy.scheme not in ("http", "https"):
        uri = redact(base)
        raise StoreError(
            f"{uri}: its proxy is a {proxy.scheme} one, and only http:// proxies are used; "
            f"set HTTP_PROXY, HTTPS_PROXY, or except the host with NO_PROXY",
            uri=uri,
        )
    if proxy.user is not None:
        # aiohttp writes logins in Latin-1, and this becomes UTF-8 then.
        proxy = proxy.with_user(_utf8(proxy.user)).with_password(_utf8(proxy.password or ""))
    return proxy


def _utf8(text: str) -> str:
    return text.encode().decode("latin-1")
