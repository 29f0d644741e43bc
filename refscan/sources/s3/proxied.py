"""Requests that go through a proxy, or over connections that somebody has set up: aiohttp's."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp
from yarl import URL

from refscan.sources.s3.answer import Answer

__all__ = ["Proxied"]

_READ_AHEAD = 1 << 20


class Proxied:
    """Sends requests as ``Pool`` does.

    Args:
        origin: Scheme, host and port.
        proxy: The proxy's URL; ``None``: there is none.
        tls: How certificates are checked; ``None``: no TLS.
        limit: Connections at once.
        connect_timeout: Seconds that a connection may take.
        silence: Seconds without a byte, after which a connection is given up.
        arguments: What else the connector is told.
    """

    def __init__(
        self,
        origin: str,
        proxy: str | None,
        *,
        tls: ssl.SSLContext | None,
        limit: int,
        connect_timeout: float,
        silence: float,
        arguments: Mapping[str, Any],
    ) -> None:
        self._origin = origin
        self._proxy = proxy
        self._session = aiohttp.ClientSession(
            auto_decompress=False,
            connector=aiohttp.TCPConnector(limit=limit, ssl=tls or True, **arguments),
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=_READ_AHEAD,
            skip_auto_headers=("Accept", "Content-Type"),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout, sock_read=silence),
        )

    async def ask(
        self, method: str, host: str, target: str, headers: Mapping[str, str], sent: Callable[[], None]
    ) -> Answer:
        """See ``Pool.ask``.

        Raises:
            aiohttp.ClientError: There is no answer.
            OSError: There is no connection, or it broke.
            TimeoutError: It took too long to connect, or nothing came for too long.
            ValueError: The request cannot be sent so.
        """
        del host
        sent()
        async with self._session.request(
            method,
            URL(self._origin + target, encoded=True),
            headers=headers,
            allow_redirects=False,
            proxy=self._proxy,
        ) as response:
            body = await response.read() if method == "GET" else b""
        found = {name.lower(): value for name, value in reversed([*response.headers.items()])}
        return Answer(response.status, found, body)

    async def close(self) -> None:
        """End all connections."""
        await self._session.close()
