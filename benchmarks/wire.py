"""Raw HTTP/1.1 for the listing servers: a connection, the count of requests, and the delay before each answer."""

from __future__ import annotations

import asyncio
from typing import Protocol, cast

__all__ = ["Server", "Store", "response"]


class Store(Protocol):
    """What is answered to each request."""

    def answer(self, method: str, target: str, head: bytes) -> bytes:
        """Return the whole response.

        Args:
            method: ``GET`` or ``HEAD``; other requests have a body, which is not read.
            target: Path and query, as they came.
            head: The request line and the headers.
        """
        ...


def response(
    status: str,
    *body: bytes | memoryview,
    kind: str,
    length: int | None = None,
    more: str = "",
) -> bytes:
    """Write a response; ``more`` are header lines, ``length`` is told where it is not that of the body."""
    head = (
        f"HTTP/1.1 {status}\r\nDate: Sat, 01 Nov 2025 00:00:00 GMT\r\n{more}Content-Type: {kind}\r\n"
        f"Content-Length: {sum(map(len, body)) if length is None else length}\r\n\r\n"
    )
    return b"".join((head.encode(), *body))


class Server:
    """A store on a free port of this machine. ``GET /_requests`` tells how many came since it was last asked.

    Args:
        store: Answers.
        delay: Seconds before each answer leaves.
    """

    def __init__(self, store: Store, delay: float) -> None:
        self._delay = delay
        self._requests = 0
        self._store = store

    def answer(self, head: bytes) -> tuple[bytes, float]:
        """Return the whole response, and the seconds to wait before sending it."""
        method, target, _ = head[: head.index(b"\r\n")].decode("ascii").split(" ", 2)
        if target == "/_requests":
            count, self._requests = self._requests, 0
            return response("200 OK", b'{"requests": %d}' % count, kind="application/json"), 0
        self._requests += 1
        return self._store.answer(method, target, head), self._delay

    async def serve(self) -> None:
        """Print the port, and answer until stopped."""
        server = await asyncio.get_running_loop().create_server(lambda: _Connection(self), "127.0.0.1", 0)
        print(server.sockets[0].getsockname()[1], flush=True)
        async with server:
            await server.serve_forever()


class _Connection(asyncio.Protocol):
    """One connection, kept alive; requests have no body."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._buffer = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember whom to answer."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer every request that has come in whole."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head, self._buffer = self._buffer[: end + 2], self._buffer[end + 4 :]
            answer, delay = self._server.answer(head)
            if delay:
                asyncio.get_running_loop().call_later(delay, self._send, answer)
            else:
                self._send(answer)

    def _send(self, answer: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(answer)
