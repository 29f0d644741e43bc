"""A real SFTP server: asyncssh on a free loopback port, in a thread with an event loop of its own."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Self

import asyncssh

USER, PASSWORD = "ada", "s3cr:et p@ss/word"


class _Login(asyncssh.SSHServer):
    def __init__(self, connections: set[asyncssh.SSHServerConnection], on_close: Callable[[], object]) -> None:
        self.connections = connections
        self.on_close = on_close

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self.connections.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self.on_close()

    def begin_auth(self, username: str) -> bool:  # noqa: ARG002
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == (USER, PASSWORD)


class _Stalling(asyncssh.SFTPServer):
    def __init__(self, channel: asyncssh.SSHServerChannel, on_stall: Callable[[], object]) -> None:
        super().__init__(channel)
        self.on_stall = on_stall

    async def stat(self, path: bytes) -> None:  # noqa: ARG002
        self.on_stall()
        await asyncio.Event().wait()

    async def scandir(self, path: bytes) -> AsyncIterator[None]:
        yield await self.stat(path)


class Served:
    """A folder that a server shows to ``USER`` with ``PASSWORD``.

    Args:
        root: The folder.
        on_stall: Makes the server answer no question about files; called when the first is asked.
        on_close: Called when a connection has ended.
    """

    def __init__(
        self,
        root: Path,
        *,
        on_stall: Callable[[], object] | None = None,
        on_close: Callable[[], object] = lambda: None,
    ) -> None:
        self.root = root
        self.on_stall = on_stall
        self.on_close = on_close
        self.port = 0
        self.connections: set[asyncssh.SSHServerConnection] = set()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()

        def sftp(channel: asyncssh.SSHServerChannel) -> asyncssh.SFTPServer:
            if self.on_stall is not None:
                return _Stalling(channel, self.on_stall)
            return asyncssh.SFTPServer(channel, chroot=str(self.root).encode())

        async with asyncssh.listen(
            "127.0.0.1",
            0,
            server_factory=lambda: _Login(self.connections, self.on_close),
            server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
            sftp_factory=sftp,
        ) as server:
            self.port = server.get_port()
            self._ready.set()
            await self._stop.wait()
            for connection in self.connections:
                connection.abort()

    def hang_up(self) -> None:
        """Close the connections that are open, as a server does with idle ones."""

        async def close() -> None:
            for connection in self.connections:
                connection.abort()
            self.connections.clear()

        asyncio.run_coroutine_threadsafe(close(), self._loop).result()
