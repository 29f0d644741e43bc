"""New connections to one host: addresses looked up once for many, tried in turn, TLS on top."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import TypeVar, cast

import aiohappyeyeballs
import anyio
from aiohappyeyeballs import AddrInfoType

__all__ = ["Dialer"]

# As aiohttp has them: seconds until addresses are looked up again, and until the next one is tried beside the first.
_KEPT = 10.0
_HEAD_START = 0.25

P = TypeVar("P", bound=asyncio.BaseProtocol)


class Dialer:
    """Connects to one host.

    The connections of a store with many addresses begin at each of them in turn.

    Args:
        host: Its name or address.
        port: Its port.
        tls: How certificates are checked; ``None``: no TLS.
        timeout: Seconds that it may take, the look-up of addresses included.
    """

    def __init__(self, host: str, port: int, *, tls: ssl.SSLContext | None, timeout: float) -> None:
        self._host = host
        self._port = port
        self._tls = tls
        self._timeout = timeout
        self._loop = asyncio.get_running_loop()
        self._looking_up = anyio.Lock()
        self._addresses: list[AddrInfoType] = []
        self._known_until = 0.0

    async def connect(self, protocol: Callable[[], P]) -> P:
        """Return what ``protocol`` makes, connected.

        Raises:
            OSError: There is no such host, or nothing to connect to, or TLS fails.
            TimeoutError: It takes too long.
        """
        with anyio.fail_after(self._timeout):
            addresses = await self._look_up()
            connected = await aiohappyeyeballs.start_connection(
                addresses, happy_eyeballs_delay=_HEAD_START, interleave=1, loop=self._loop
            )
            name = self._host if self._tls is not None else None
            _, made = await self._loop.create_connection(protocol, sock=connected, ssl=self._tls, server_hostname=name)
        return made

    async def _look_up(self) -> Sequence[AddrInfoType]:
        async with self._looking_up:
            if self._loop.time() >= self._known_until:
                found = await self._loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
                self._addresses = cast("list[AddrInfoType]", found)
                self._known_until = self._loop.time() + _KEPT
            self._addresses.append(self._addresses.pop(0))
            return self._addresses[:]
