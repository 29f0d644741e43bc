"""File systems of fsspec: made from a URI and options, and closed."""

from __future__ import annotations

import inspect
import socket
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, BinaryIO, Protocol
from urllib.parse import quote, unquote, urlsplit

from refscan.errors import InvalidURIError
from refscan.sources.fsspec.errors import translated
from refscan.sources.fsspec.registry import file_system_class

__all__ = ["FileSystem", "Recipe", "dispose"]

# FTP begins another transfer for each block, and its own block is 64 KiB.
_BLOCK_SIZE = 1 << 22
# Listings are forgotten before each call; what becomes of them in between is not for the user to choose.
_LISTING_CACHE = ("use_listings_cache", "listings_expiry_time", "max_paths")
_CONNECTIONS = ("ftp", "client", "zip", "tar", "of", "session")
_SECRET_NAMES = ("pass", "secret", "token", "key", "auth", "cred", "sas", "cookie", "header", "connection_string")


class FileSystem(Protocol):
    """What is used of ``fsspec.AbstractFileSystem``."""

    def info(self, path: str) -> Mapping[str, Any]:
        """Return what is known of a path."""

    def ls(self, path: str, detail: bool) -> Iterable[Mapping[str, Any]]:  # noqa: FBT001  fsspec's signature
        """Return what lies in a folder."""

    def open(self, path: str, mode: str) -> BinaryIO:
        """Open a file."""

    def invalidate_cache(self) -> None:
        """Forget what was listed."""

    def _strip_protocol(self, path: str) -> str: ...


class Recipe:
    """How the file system of a URI is made; a call makes one, with a connection of its own.

    Args:
        base: ``SCHEME://[USER@]HOST/``.
        storage_options: What the class takes; they win over the URI.
        userinfo: ``user:password``, for the class alone.

    Raises:
        UnsupportedSchemeError: fsspec knows no such scheme, or its package is missing.
        InvalidURIError: The URI does not say enough, or more than can be recorded.
    """

    def __init__(self, base: str, storage_options: Mapping[str, Any], userinfo: str | None) -> None:
        self.base = base
        scheme, _, rest = base.partition("://")
        self._class = file_system_class(scheme, base)
        user, _, password = (unquote(part) for part in (userinfo or "").partition(":"))
        url = base
        if userinfo:
            login = quote(user, safe="") + (f":{quote(password, safe='')}" if password else "")
            url = f"{scheme}://{login}@{rest.rpartition('@')[2]}"
        self.secrets = frozenset(_secrets(storage_options)) | ({password, quote(password)} if password else set())
        with translated(base, self.secrets):
            found = dict(self._class._get_kwargs_from_urls(url))  # noqa: SLF001  fsspec's protocol
            root = str(self._class._strip_protocol(base))  # noqa: SLF001
        self._root = root.rstrip("/")
        self._slash = "/" if root.startswith("/") or self._class.root_marker == "/" else ""
        if password and found.get("password") is None:
            raise InvalidURIError(
                f"{base}: {scheme}:// takes no password from its URI; give FsspecOptions(storage_options=…)", uri=base
            )
        if _is_archive(self._class) and not storage_options.get("fo"):
            raise InvalidURIError(
                f"{base}: a chained URL cannot be recorded; name the archive with "
                f"FsspecOptions(storage_options={{'fo': …}}) and write {scheme}:///PATH-INSIDE",
                uri=base,
            )
        # fsspec leaves them percent-encoded.
        plain = {"username": user, "user": user, "password": password} if userinfo else {}
        found |= {name: text for name, text in plain.items() if name in found}
        if "[" in rest and "host" in found:
            # fsspec takes the last group of an IPv6 address for the port.
            found["host"] = urlsplit(url).hostname
        self._arguments = {**found, **{k: v for k, v in storage_options.items() if k not in _LISTING_CACHE}}
        self._given = storage_options

    def __call__(self) -> FileSystem:
        """Make one; runs in a thread, connects, and raises what the class raises."""
        made: Any = self._class(skip_instance_cache=True, **self._arguments)
        if "block_size" not in self._given and isinstance(size := getattr(made, "blocksize", None), int):
            made.blocksize = max(size, _BLOCK_SIZE)
        found: FileSystem = made
        return found

    def path(self, key: str) -> str:
        """Return the path of a key below the base."""
        return f"{self._root}/{key}" if self._root or self._slash else key

    def folder(self, prefix: str) -> str:
        """Return the path of a folder: of a prefix that is empty or ends in ``/``."""
        return self.path(prefix).rstrip("/") or self._slash


def dispose(fs: FileSystem, given: Iterable[object] = ()) -> None:
    """Close what a file system has open, even while another thread waits for it; runs in a thread.

    fsspec has no word for this, so that each kind is closed in its own way.
    """
    held: Any = fs
    if getattr(held, "async_impl", False):
        _dispose_async(held)
        return
    for connection in (*(getattr(held, name, None) for name in _CONNECTIONS), held):
        if connection is None or any(connection is one for one in given):
            continue
        line = getattr(connection, "sock", None)
        if isinstance(line, socket.socket):
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
        close = getattr(connection, "close", None)
        if close is not None and not inspect.iscoroutinefunction(close):
            with suppress(Exception):
                close()


def _dispose_async(held: Any) -> None:
    loop: Any = getattr(held, "_loop", None)
    client: Any = getattr(held, "_client", None)
    if loop is not None and hasattr(client, "disconnect") and not inspect.iscoroutinefunction(client.close):
        # asyncssh's, which ends what waits for an answer too.
        loop.call_soon_threadsafe(client.close)
    # Methods that are mirrored keep it in a circle; without them its finalizer runs here and now, and not in the
    # event loop's thread, where it would use that loop.
    vars(held).clear()


def _is_archive(kind: Any) -> bool:
    return any(parent.__name__ == "AbstractArchiveFileSystem" for parent in kind.__mro__)


def _secrets(options: Mapping[str, Any]) -> Iterable[str]:
    for name, value in options.items():
        if isinstance(value, Mapping):
            yield from _secrets(value)
        elif isinstance(value, str) and len(value) > 1 and any(part in name.lower() for part in _SECRET_NAMES):
            yield value
