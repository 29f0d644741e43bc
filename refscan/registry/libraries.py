"""The libraries that are open in this process, shared by all who read the same registry in the same loop."""

from __future__ import annotations

import asyncio
import atexit
import os
from contextlib import suppress
from pathlib import Path

from refscan.registry.library import Library
from refscan.sources.options import StoreOptions

__all__ = ["OPEN"]

_CLOSING = 5  # seconds that the end of a process waits for connections to be closed


class _Libraries:
    """One library for each loop, registry and options; a process that was forked begins with none."""

    def __init__(self) -> None:
        self._open: list[tuple[int, asyncio.AbstractEventLoop, Library]] = []

    def get(self, loop: asyncio.AbstractEventLoop, directory: Path, options: tuple[StoreOptions, ...]) -> Library:
        """Return the library; called in ``loop``."""
        pid = os.getpid()
        for owner, where, library in self._open:
            if (owner, where, library.directory, library.options) == (pid, loop, directory, options):
                return library
        library = Library(directory, options)
        # A parent's connections are the parent's: they are kept here so that nothing closes them.
        for each in tuple(self._open):
            if each[0] == pid and each[1].is_closed():
                with suppress(ValueError):  # another thread was quicker
                    self._open.remove(each)
        self._open.append((pid, loop, library))
        return library

    def close(self) -> None:
        """Close those whose loops run in other threads."""
        for owner, loop, library in self._open:
            if owner == os.getpid() and loop.is_running():
                with suppress(Exception):  # nobody is left to tell
                    asyncio.run_coroutine_threadsafe(library.aclose(), loop).result(_CLOSING)


OPEN = _Libraries()
atexit.register(OPEN.close)
