"""Connections to one host, kept for the requests that follow."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from functools import partial

import anyio

from refscan.sources.s3.answer import Answer
from refscan.sources.s3.connection import Connection, UnansweredError
from refscan.sources.s3.dial import Dialer

__all__ = ["Pool"]

# Seconds after which a connection is taken for one that the other side is about to close.
_LONGEST_REST = 12.0


class Pool:
    """Sends requests over as many connections as are needed at once, up to a limit.

    A connection that breaks is replaced by another one for the next request. One that was used before and ends before
    its answer begins was closed by the store meanwhile: the request goes out again over a new one.

    Args:
        host: The host's name or address.
        port: Its port.
        tls: How certificates are checked; ``None``: no TLS.
        limit: Connections at once.
        connect_timeout: Seconds that a connection may take.
        silence: Seconds without a byte, after which a connection is given up.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        tls: ssl.SSLContext | None,
        limit: int,
        connect_timeout: float,
        silence: float,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._dialer = Dialer(host, port, tls=tls, timeout=connect_timeout)
        self._permits = asyncio.Semaphore(limit)
        self._silence = silence
        self._alive: set[Connection] = set()
        self._busy: set[Connection] = set()
        self._idle: list[Connection] = []
        self._spare: list[bytearray] = []
        self._watch: asyncio.TimerHandle | None = None

    async def ask(
        self, method: str, host: str, target: str, headers: Mapping[str, str], sent: Callable[[], None]
    ) -> Answer:
        """Send a request without a body, and return its answer.

        Args:
            method: ``GET`` or ``HEAD``.
            host: As the header ``Host`` has it.
            target: Path and query, quoted.
            headers: The other headers.
            sent: Called each time that the request goes out.

        Raises:
            OSError: There is no connection, or it broke.
            TimeoutError: It took too long to connect, or nothing came for too long.
            ValueError: The request cannot be sent so, or the answer is unusual.
        """
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        text = f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n"
        if text.count("\n") != len(headers) + 3 or text.count("\r") != len(headers) + 3:
            raise ValueError("a line break inside a request")
        request = text.encode("ascii")
        async with self._permits:
            connection = self._rested()
            while connection is not None:
                try:
                    sent()
                    return await self._exchange(connection, request, bodiless=method == "HEAD")
                except UnansweredError:
                    connection = None
            connection = await self._dialer.connect(partial(Connection, self._spare, self._alive))
            sent()
            return await self._exchange(connection, request, bodiless=method == "HEAD")

    async def close(self) -> None:
        """End all connections."""
        if self._watch is not None:
            self._watch.cancel()
        ending = [connection.ended for connection in self._alive]
        for connection in list(self._alive):
            connection.give_up()
        with anyio.CancelScope(shield=True):
            for ended in ending:
                await ended

    def _rested(self) -> Connection | None:
        """Return a connection that was used before; the one used last, so that the others may end."""
        now = self._loop.time()
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                if now - connection.heard < _LONGEST_REST:
                    return connection
                connection.give_up()
        return None

    async def _exchange(self, connection: Connection, request: bytes, *, bodiless: bool) -> Answer:
        answer = connection.send(request, bodiless=bodiless)
        self._busy.add(connection)
        if self._watch is None:
            self._watch = self._loop.call_later(self._silence, self._listen)
        try:
            found = await answer
        except BaseException:
            connection.give_up()
            # It may have failed in the moment of a cancellation.
            _ = answer.cancelled() or answer.exception()
            raise
        finally:
            self._busy.discard(connection)
        if connection.is_open:
            self._idle.append(connection)
        return found

    def _listen(self) -> None:
        """Give up connections that have been silent for too long, and look again when the next one may have been."""
        now = self._loop.time()
        for connection in [busy for busy in self._busy if now - busy.heard >= self._silence]:
            connection.give_up(TimeoutError("nothing came"))
            self._busy.discard(connection)
        oldest = min((busy.heard for busy in self._busy), default=None)
        self._watch = None if oldest is None else self._loop.call_at(oldest + self._silence, self._listen)
