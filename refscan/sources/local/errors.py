"""The operating system's errors, turned into refscan's."""

from __future__ import annotations

import errno

from refscan.errors import AccessDeniedError, ObjectNotFoundError, RefscanError, StoreError

__all__ = ["translated"]


class translated:  # noqa: N801  reads as a verb where it is used
    """Turn ``OSError`` into refscan's errors; ``FileNotFoundError`` passes inside, where callers count it."""

    __slots__ = ("uri",)

    def __init__(self, uri: str) -> None:
        self.uri = uri

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, OSError) or isinstance(error, RefscanError):
            return
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            raise ObjectNotFoundError(f"{self.uri}: no such file", uri=self.uri) from error
        if error.errno in (errno.EISDIR, errno.ENXIO):
            raise ObjectNotFoundError(f"{self.uri}: not a file", uri=self.uri) from error
        if error.errno in (errno.EACCES, errno.EPERM):
            raise AccessDeniedError(f"{self.uri}: not readable by this user", uri=self.uri) from error
        raise StoreError(f"{self.uri}: {error.strerror or error}", uri=self.uri) from error
