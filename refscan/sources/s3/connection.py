"""One connection of HTTP/1.1: one request at a time, its answer received where it is cut from, and copied once."""

from __future__ import annotations

import asyncio
from typing import cast

from refscan.sources.s3.answer import Answer, Head, read_head
from refscan.sources.s3.chunks import Chunks

__all__ = ["Connection", "UnansweredError"]

_FIRST_BUFFER = 1 << 14
_LARGEST_HEAD = 1 << 16
_LARGEST_SPARE = 1 << 21
_MOST_SPARE = 8
# A thousand keys of a thousand characters, each one escaped, are far less.
_LARGEST_ANSWER = 1 << 26
_END = b"\r\n\r\n"


class UnansweredError(ConnectionError):
    """The connection ended before a byte of the answer came."""


class Connection(asyncio.BufferedProtocol):
    """Sends a request, receives its answer; whatever is unusual ends the connection.

    Attributes:
        heard: When something was sent or received last, by the loop's clock.
        is_open: Another request may be sent.

    Args:
        spare: Buffers that nobody uses at the moment, shared with other connections.
        alive: Where it stands while it is connected.
    """

    def __init__(self, spare: list[bytearray], alive: set[Connection]) -> None:
        self._loop = asyncio.get_running_loop()
        self._alive = alive
        self._spare = spare
        self._buffer = bytearray()
        self._filled = 0
        self._answer: asyncio.Future[Answer] | None = None
        self._bodiless = False
        self._head: Head | None = None
        self._body = 0
        self._chunks: Chunks | None = None
        self.heard = 0.0
        self.is_open = False
        self.ended: asyncio.Future[None] = self._loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See ``asyncio.BaseProtocol``."""
        self._transport = cast("asyncio.Transport", transport)
        self.is_open = True
        self._alive.add(self)

    def send(self, request: bytes, *, bodiless: bool) -> asyncio.Future[Answer]:
        """Send a request, the one before it being answered.

        Args:
            request: All of it.
            bodiless: It is a HEAD.

        Returns:
            Its answer. It fails with ``UnansweredError``, ``ConnectionError`` if the connection breaks, ``ValueError``
            if this is no answer to read here, ``TimeoutError`` as ``give_up`` is called.
        """
        self.heard = self._loop.time()
        self._bodiless = bodiless
        answer = self._answer = self._loop.create_future()
        self._transport.write(request)
        return answer

    def give_up(self, reason: Exception | None = None) -> None:
        """End the connection at once; what waits for an answer fails for this reason."""
        self.is_open = False
        self._fail(reason)
        self._transport.abort()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where to write what comes in: behind what has come of this answer."""
        del sizehint
        filled = self._filled
        if filled == len(self._buffer):
            self._grow()
        return memoryview(self._buffer)[filled:]

    def _grow(self) -> None:
        """Make room, for the whole answer if its length is known, but never for much more than has come."""
        if not self._filled:
            self._buffer = self._spare.pop() if self._spare else bytearray(_FIRST_BUFFER)
            return
        larger = bytearray(max(4 * self._filled, _FIRST_BUFFER))
        larger[: self._filled] = self._buffer
        self._buffer = larger

    def buffer_updated(self, nbytes: int) -> None:
        """Look at what came in."""
        self.heard = self._loop.time()
        self._filled += nbytes
        if self._answer is None:
            self.give_up()  # nobody has asked
            return
        try:
            self._look()
        except ValueError as error:
            self.give_up(error)

    def _look(self) -> None:
        if self._head is None:
            end = self._buffer.find(_END, 0, self._filled)
            if end < 0:
                if self._filled > _LARGEST_HEAD:
                    raise ValueError("no end of headers")
                return
            self._head = read_head(bytes(self._buffer[:end]), bodiless=self._bodiless)
            self._body = end + len(_END)
            if self._head.length is None:
                self._chunks = Chunks(self._body)
        if self._chunks is not None:
            if self._chunks.advance(self._buffer, self._filled):
                self._finish(self._chunks.body(self._buffer), self._chunks.end)
        else:
            end = self._body + (self._head.length or 0)
            if self._filled >= end:
                self._finish(bytes(memoryview(self._buffer)[self._body : end]), end)
        if self._filled > _LARGEST_ANSWER:
            raise ValueError("far more than a listing")

    def _finish(self, body: bytes, end: int) -> None:
        answer, head = self._answer, self._head
        assert answer is not None  # noqa: S101  looked at by the caller
        assert head is not None  # noqa: S101
        self._answer = None
        rest = self._filled - end
        if len(self._spare) < _MOST_SPARE and len(self._buffer) <= _LARGEST_SPARE:
            self._spare.append(self._buffer)
        self._buffer = bytearray()
        self._filled = 0
        self._head = self._chunks = None
        if not answer.done():
            answer.set_result(Answer(head.status, head.headers, body))
        if head.closes or rest:
            self.give_up()

    def eof_received(self) -> None:
        """Let the other side end the connection."""
        self.is_open = False

    def connection_lost(self, exc: Exception | None) -> None:
        """See ``asyncio.BaseProtocol``."""
        self.is_open = False
        self._fail(exc if self._filled else None)
        if not self.ended.done():
            self.ended.set_result(None)
        self._alive.discard(self)

    def _fail(self, reason: Exception | None) -> None:
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            if reason is None:
                reason = ConnectionError("cut off") if self._filled else UnansweredError("closed")
            answer.set_exception(reason)
