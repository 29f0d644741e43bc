"""The SDK's client: signing, addressing and errors are its own, while answers are handed over as they come.

The SDK's transport is public and takes the aiohttp session to use. Ours keeps the body of a listing, or the open
answer to a download, aside, and shows the SDK an empty one in its place: parsing 5,000 blobs costs the SDK 3.6 s of
CPU, and its download reads 32 MiB into memory, one request after another.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import aiohttp
from azure.core.pipeline.transport import AioHttpTransport
from azure.storage.blob.aio import ContainerClient
from multidict import CIMultiDict

from refscan.sources.azure.credentials import Credential
from refscan.sources.proxy import proxy_for
from refscan.sources.retry import SILENCE, Repeats, raise_if_busy, retrying

__all__ = ["Kept", "open_client"]

_TIMEOUT = aiohttp.ClientTimeout(total=None, connect=None, sock_connect=3, sock_read=SILENCE)
_EMPTY_LISTING = b"<EnumerationResults><Blobs/><NextMarker/></EnumerationResults>"
_SUCCESS = (200, 206)


@dataclass
class Kept:
    """What is kept of one answer; given to an SDK call as ``refscan_kept=``.

    Attributes:
        stream: Keep a successful answer open, and its body unread.
        accept: Media types asked for, if not the SDK's.
        headers: The headers of a successful answer.
        body: The body of a successful listing.
        response: The open answer.
    """

    stream: bool = False
    accept: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    response: aiohttp.ClientResponse | None = None


@asynccontextmanager
async def open_client(
    base: str, credential: Credential, *, connections: int, count: Callable[[], None], repeats: Repeats
) -> AsyncIterator[ContainerClient]:
    """Return a client of one container.

    Connections fail after three seconds, twice; busy answers are asked again (``refscan.sources.retry``). Redirects,
    which Azure has none of, are not followed: a signature must not go to another host.

    Args:
        base: The container's URL.
        credential: Signs the requests.
        connections: Connections at once.
        count: Called for each request.
        repeats: Counts those that are sent again.
    """
    connector = aiohttp.TCPConnector(limit=connections)
    async with (
        credential.opened() as opened,
        aiohttp.ClientSession(
            auto_decompress=False,
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Accept-Encoding": "identity"},
            timeout=_TIMEOUT,
        ) as session,
    ):
        keeping: Any = _KeepingSession(session, proxy_for(base), count, repeats)
        client = ContainerClient.from_container_url(
            base.rstrip("/"),
            credential=opened,
            transport=AioHttpTransport(session=keeping, session_owner=False),
            permit_redirects=False,
            retry_total=0,
            user_agent="refscan",
        )
        async with client:
            yield client


class _KeepingSession:
    """As much of an aiohttp session as the SDK's transport uses."""

    auto_decompress = False

    def __init__(
        self,
        session: aiohttp.ClientSession,
        proxy: str | None,
        count: Callable[[], None],
        repeats: Repeats,
    ) -> None:
        self._session = session
        self._proxy = proxy
        self._count = count
        self._repeats = repeats

    async def __aenter__(self) -> Self:
        return self

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str], refscan_kept: Kept | None = None, **options: Any
    ) -> aiohttp.ClientResponse | _Substitute:
        """Send a request, again while the store is busy."""
        sent = CIMultiDict(headers)
        if refscan_kept is not None and refscan_kept.accept:
            sent["Accept"] = refscan_kept.accept
        options |= {"headers": sent, "timeout": _TIMEOUT, "proxy": self._proxy}

        async def attempt() -> aiohttp.ClientResponse | _Substitute:
            self._count()
            response = await self._session.request(method, url, **options)
            try:
                raise_if_busy(response.status, response.headers)
                if refscan_kept is None or response.status not in _SUCCESS:
                    return response
                refscan_kept.headers = response.headers
                if refscan_kept.stream:
                    refscan_kept.response = response
                    # The SDK takes it for a blob without bytes, and leaves it at that.
                    return _Substitute(response, b"", {"Content-Range": "bytes 0-0/0"})
                if method == "GET":
                    refscan_kept.body = await response.read()
                    return _Substitute(response, _EMPTY_LISTING, {"Content-Type": "application/xml"})
            except BaseException:
                response.close()
                raise
            return response

        return await retrying(attempt, self._repeats)


class _Substitute:
    """As much of an aiohttp response as the SDK's transport uses, with another body than came."""

    def __init__(self, response: aiohttp.ClientResponse, body: bytes, headers: Mapping[str, str]) -> None:
        self.status = response.status
        self.reason = response.reason
        self.headers = CIMultiDict({**headers, "Content-Length": str(len(body))})
        self._body = body

    async def read(self) -> bytes:
        return self._body

    def close(self) -> None:
        """Nothing is open."""
