"""A real web server on a free loopback port, in its own thread, whose resources each behave as a test wants."""

import asyncio
import base64
import re
import threading
from dataclasses import dataclass, field
from typing import Self

from aiohttp import web

_MODIFIED = "Wed, 21 Oct 2015 07:28:00 GMT"


@dataclass
class Resource:
    """What is served under one path and query.

    Attributes:
        data: The content.
        e_tag: The header as it is sent, quotes and ``W/`` included.
        modified: The ``Last-Modified`` header.
        chunked: No Content-Length.
        head_status: HEAD is refused with this status.
        status: GET, and HEAD, answer with this status.
        location: Where a redirect leads.
        login: ``(user, password)`` of basic authentication.
        ranges: Range requests are understood.
        conditions: If-Match is understood.
        encoding: The ``Content-Encoding`` header.
        breaks_at: The connection is closed after so many bytes.
        headers: More headers of each answer.
    """

    data: bytes = b""
    e_tag: str | None = None
    modified: str | None = _MODIFIED
    chunked: bool = False
    head_status: int | None = None
    status: int = 200
    location: str | None = None
    login: tuple[str, str] | None = None
    ranges: bool = True
    conditions: bool = True
    encoding: str | None = None
    breaks_at: int | None = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Seen:
    """A request that came."""

    method: str
    target: str
    headers: dict[str, str] = field(default_factory=dict)


class WebServer:
    """Serves ``resources``, by path and query as they stand in the request line; everything else is 404."""

    def __init__(self) -> None:
        self.resources: dict[str, Resource] = {}
        self.seen: list[Seen] = []
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        runner = web.ServerRunner(web.Server(self._answer), shutdown_timeout=0)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.host = "{}:{}".format(*runner.addresses[0])
        self.base = f"http://{self.host}/"
        self._ready.set()
        await self._stop.wait()
        await runner.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.seen.append(Seen(request.method, request.raw_path, dict(request.headers)))
        resource = self.resources.get(request.raw_path)
        if resource is None:
            return web.Response(status=404, text="nothing here")
        if resource.login and request.headers.get("Authorization") != _basic(resource.login):
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="test"'})
        if request.method == "HEAD" and resource.head_status:
            return web.Response(status=resource.head_status)
        if resource.location:
            return web.Response(status=resource.status, headers={"Location": resource.location})
        wanted = request.headers.get("If-Match")
        if resource.conditions and wanted is not None and wanted != resource.e_tag:
            return web.Response(status=412)
        return await _send(request, resource)


async def _send(request: web.BaseRequest, resource: Resource) -> web.StreamResponse:
    status, data = resource.status, resource.data
    headers = {"ETag": resource.e_tag, "Last-Modified": resource.modified, "Content-Encoding": resource.encoding}
    asked = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", ""))
    if asked and resource.ranges:
        start, stop = int(asked[1]), int(asked[2] or len(data) - 1) + 1
        if start >= len(data):
            return web.Response(status=416)
        status, data = 206, data[start:stop]
        headers["Content-Range"] = f"bytes {start}-{start + len(data) - 1}/{len(resource.data)}"
    headers |= resource.headers
    response = web.StreamResponse(status=status, headers={k: v for k, v in headers.items() if v is not None})
    if resource.chunked:
        response.enable_chunked_encoding()
    else:
        response.content_length = len(data)
    await response.prepare(request)
    if request.method != "HEAD":
        await response.write(data[: resource.breaks_at])
        if resource.breaks_at is not None:
            request.transport.close()
            return response
    await response.write_eof()
    return response


def _basic(login: tuple[str, str]) -> str:
    return "Basic " + base64.b64encode(":".join(login).encode()).decode()
