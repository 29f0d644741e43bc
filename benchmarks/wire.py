"""Raw HTTP/1.1 for the listing servers: connections, the delay before each answer, faults, and what is counted."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Callable
from typing import Protocol, cast

from faults import Fate, Faults

__all__ = ["Server", "Store", "response"]

_SEND_BUFFER = 1 << 22  # a page leaves in one system call
_RESET = struct.pack("ii", 1, 0)


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
    """A store on a free port of this machine.

    ``GET /_requests`` tells how many requests came, how many of them were under way at most, and what faults they
    met; ``GET /_restart`` tells it and counts, and draws faults, from the beginning.

    Args:
        store: Answers.
        delay: Seconds before each answer leaves.
        faults: What befalls answers.
        slow_down: The answer of one that is refused as one too many.
    """

    def __init__(
        self,
        store: Store,
        delay: float,
        faults: Faults | None = None,
        slow_down: Callable[[], bytes] | None = None,
    ) -> None:
        self.delay = delay
        self.faults = faults or Faults(0, 0)
        self._slow_down = slow_down
        self._requests = self._under_way = self._most = 0
        self._store = store

    def begin(self, head: bytes) -> tuple[bytes, Fate | None]:
        """Return the whole response and its fate; ``None`` for what is no request to the store."""
        method, target, _ = head[: head.index(b"\r\n")].decode("ascii").split(" ", 2)
        if target in ("/_requests", "/_restart"):
            return self._told(restart=target == "/_restart"), None
        self._requests += 1
        self._under_way += 1
        self._most = max(self._most, self._under_way)
        answer = self._store.answer(method, target, head)
        fate = self.faults.draw()
        if fate is Fate.SLOW_DOWN and self._slow_down is not None:
            answer = self._slow_down()
        return answer, fate

    def end(self) -> None:
        """Say that an answer has left."""
        self._under_way -= 1

    def _told(self, *, restart: bool) -> bytes:
        faults = {fate.value: count for fate, count in self.faults.met.items() if fate is not Fate.SENT}
        told = {"requests": self._requests, "at_once": self._most, "faults": faults}
        if restart:
            self._requests, self._most = 0, self._under_way
            self.faults.restart()
        return response("200 OK", json.dumps(told).encode(), kind="application/json")

    async def serve(self) -> None:
        """Print the port, and answer until stopped."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", 0, backlog=1_024)
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
        self._socket: socket.socket = transport.get_extra_info("socket")
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)

    def data_received(self, data: bytes) -> None:
        """Answer every request that has come in whole; what its answer takes is part of the delay."""
        loop = asyncio.get_running_loop()
        due = loop.time() + self._server.delay
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head, self._buffer = self._buffer[: end + 2], self._buffer[end + 4 :]
            answer, fate = self._server.begin(head)
            if fate is None:
                self._transport.write(answer)
            elif self._server.delay:
                loop.call_at(due, self._send, answer, fate)
            else:
                self._send(answer, fate)

    def _send(self, answer: bytes, fate: Fate) -> None:
        self._server.end()
        if self._transport.is_closing():
            return
        match fate:
            case Fate.RESET:
                # No time to linger: the other side is told by RST and not by FIN.
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                self._transport.abort()
            case Fate.TRUNCATED:
                body = answer.index(b"\r\n\r\n") + 4
                self._transport.write(answer[: (body + len(answer)) // 2])
                self._transport.close()
            case _:
                self._transport.write(answer)
