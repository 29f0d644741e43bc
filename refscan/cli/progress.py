"""A live line on a terminal that tells how far long work is; nothing where stderr is no terminal."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

import anyio

from refscan.cli.sizes import human_size

if TYPE_CHECKING:
    from refscan.download.fetch import Downloaded
    from refscan.scan.pipeline import Scan

__all__ = ["Progress"]

_INTERVAL = 0.2  # seconds
_KNOWN_AFTER = 2.0  # seconds


class Progress:
    """Shows what was found and what is left of what it is told of, while its block runs."""

    def __init__(self) -> None:
        self._scans: list[Scan] = []
        self._downloads: list[Downloaded] = []
        self._tasks = anyio.create_task_group()
        self._started = time.monotonic()
        self._shown = sys.stderr.isatty()

    def watch(self, scan: Scan) -> None:
        """Count this scan in."""
        self._scans.append(scan)

    def watch_download(self, download: Downloaded) -> None:
        """Count this download in."""
        self._downloads.append(download)

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        if self._shown:
            self._tasks.start_soon(self._show)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tasks.cancel_scope.cancel()
        await self._tasks.__aexit__(None, None, None)
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    async def _show(self) -> None:
        while True:
            print(f"\r\x1b[K{self._line()}", end="", file=sys.stderr, flush=True)
            await anyio.sleep(_INTERVAL)

    def _line(self) -> str:
        seconds = max(time.monotonic() - self._started, 0.001)
        if self._downloads:
            files = sum(download.fetched + download.kept for download in self._downloads)
            size = sum(download.bytes for download in self._downloads)
            return f"{files:,} files, {human_size(size)}, {human_size(int(size / seconds))}/s"
        objects = sum(max(scan.listed, scan.objects) for scan in self._scans)
        requests = sum(scan.requests for scan in self._scans)
        concurrency = sum(scan.concurrency for scan in self._scans)
        ranges = sum(scan.ranges for scan in self._scans)
        line = f"{objects:,} objects, {objects / seconds:,.0f}/s, {requests:,} requests, {concurrency} at once"
        if ranges:
            line += f", {ranges} ranges"
        left = sum(scan.left or 0 for scan in self._scans)
        if left:
            line += f", about {left:,} left"
            # At first hands are few, and what is left is hardly known.
            if seconds > _KNOWN_AFTER:
                line += f" ({left * seconds / max(1, objects):,.0f} s)"
        return line
