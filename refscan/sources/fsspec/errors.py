"""The errors of fsspec's file systems, turned into refscan's: by their type, else by their status, else by their words.

Each file system has errors of its own (``ftplib``, paramiko, asyncssh, HTTP clients), and none of them is imported
here. What they say is shown in one line, without the password and the options it was given.
"""

from __future__ import annotations

import errno
import re
import socket
from collections.abc import Iterable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Literal

from refscan.errors import AccessDeniedError, ObjectNotFoundError, RefscanError, StoreError
from refscan.redact import redact

__all__ = ["is_answer", "is_missing", "reason", "translated"]

Kind = Literal["missing", "denied", "timeout", "unreachable"]

_TYPES: dict[Kind, tuple[type[Exception], ...]] = {
    "missing": (FileNotFoundError, NotADirectoryError, IsADirectoryError),
    "denied": (PermissionError,),
    "timeout": (TimeoutError,),
    "unreachable": (ConnectionError, EOFError, socket.gaierror),
}
_ERRNO: dict[int, Kind] = {
    errno.ENOENT: "missing",
    errno.ENOTDIR: "missing",
    errno.EISDIR: "missing",
    errno.ELOOP: "missing",
    errno.EACCES: "denied",
    errno.EPERM: "denied",
    errno.ETIMEDOUT: "timeout",
}
_STATUS: dict[int, Kind] = {401: "denied", 403: "denied", 404: "missing", 410: "missing", 408: "timeout"}
# The first that is found counts.
_WORDS: dict[Kind, re.Pattern[str]] = {
    "denied": re.compile(
        r"permission ?denied|access.?denied|forbidden|unauthori[sz]ed|authenticat|not enough privileges"
        r"|log.?in (?:is )?(?:incorrect|failed)|no (?:valid )?credentials|invalid credentials",
        re.IGNORECASE,
    ),
    "missing": re.compile(r"no such (?:file|key|object|path)|not found|does not exist|not a directory", re.IGNORECASE),
    "timeout": re.compile(r"timed? ?out", re.IGNORECASE),
    "unreachable": re.compile(
        r"ConnectionError|unable to connect|connection (?:lost|closed|dropped|refused|reset)", re.IGNORECASE
    ),
}
_FTP_REPLIES: dict[str, Kind] = {"530": "denied", "532": "denied", "550": "missing"}
_LONGEST = 200


class translated(AbstractContextManager[None]):  # noqa: N801  reads as a verb where it is used
    """Turn any error of a file system into refscan's.

    The original is not kept as the cause, since its text may hold a password.

    Args:
        uri: What was asked for, without secrets.
        secrets: Texts that may not be shown.
        path: The path that was asked for; what stands in it says nothing about the error.
    """

    __slots__ = ("_path", "_secrets", "_uri")

    def __init__(self, uri: str, secrets: Iterable[str] = (), path: str = "") -> None:
        self._uri = uri
        self._path = path
        self._secrets = tuple(secrets)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, Exception) or isinstance(error, RefscanError):
            return
        uri, why = self._uri, reason(_told(error), self._secrets)
        match _kind(error, self._path):
            case "missing":
                raise ObjectNotFoundError(f"{uri}: no such file or folder", uri=uri) from None
            case "denied":
                raise AccessDeniedError(
                    f"{uri}: access denied ({why}); check the user's permissions, or give what logs in with "
                    f"FsspecOptions(storage_options=…)",
                    uri=uri,
                ) from None
            case "unreachable":
                raise StoreError(f"{uri}: cannot be reached ({why}); check host and port", uri=uri) from None
            case "timeout":
                raise StoreError(f"{uri}: no answer in time ({why}); check the host, or try again", uri=uri) from None
        raise StoreError(f"{uri}: {why}", uri=uri) from None


def is_missing(error: Exception, path: str = "") -> bool:
    """Tell whether an error says that there is no such file; ``path`` is not part of its words."""
    return _kind(error, path) == "missing"


def is_answer(error: Exception) -> bool:
    """Tell whether an error is an orderly answer, after which the connection is as good as before."""
    error = _told(error)
    if isinstance(error, (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError)):
        return True
    # ftplib: a permanent negative reply, RFC 959, section 4.2.1.
    return type(error).__name__ == "error_perm"


def reason(error: BaseException, secrets: Iterable[str] = ()) -> str:
    """Return what an error says, in one line without ``secrets``."""
    text = " ".join(str(getattr(error, "strerror", None) or error).split())
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "…")
    text = redact(text)
    text = text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
    name = type(error).__name__
    return f"{name}: {text}" if text else name


def _told(error: Exception) -> Exception:
    """Return the error itself, or FTP's reply, which fsspec reports as a missing file whatever it says."""
    if isinstance(error, FileNotFoundError):
        behind: BaseException | None = error
        while behind is not None:
            if isinstance(behind, Exception) and type(behind).__module__ == "ftplib":
                return behind
            behind = behind.__cause__ or behind.__context__
    return error


def _kind(error: Exception, path: str = "") -> Kind | None:
    error = _told(error)
    for kind, types in _TYPES.items():
        if isinstance(error, types):
            return kind
    if isinstance(error, OSError) and error.errno is not None:
        return _ERRNO.get(error.errno)
    if (by_status := _kind_by_status(error)) is not None:
        return by_status
    # Names may hold any words.
    words = f"{type(error).__name__}: {error}".replace(path or "\0", "")
    found = next((kind for kind, pattern in _WORDS.items() if pattern.search(words)), None)
    if type(error).__module__ == "ftplib" and found is None:
        # RFC 959, section 4.2.2: "Not logged in", "Requested action not taken. File unavailable".
        return _FTP_REPLIES.get(str(error)[:3])
    return found


def _kind_by_status(error: Exception) -> Kind | None:
    for holder in (error, getattr(error, "response", None)):
        for name in ("status", "status_code", "code"):
            status = getattr(holder, name, None)
            if isinstance(status, int) and status in _STATUS:
                return _STATUS[status]
    return None
