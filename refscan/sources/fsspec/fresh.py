"""What a file system answers now: nothing from the caches of fsspec, and no failure taken for an empty folder.

fsspec's FTP shows a folder that could not be listed as an empty one, and a file in it as missing, whatever the server
said. What it could list, it remembers; so what is not remembered was not listed, and is asked for again, plainly.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from refscan.sources.fsspec.file_system import FileSystem

__all__ = ["info_of", "list_of"]


def info_of(fs: FileSystem, path: str) -> Mapping[str, Any]:
    """Return what is known of a path."""
    if _ftp(fs) is None or path == "/":
        _forget(fs)
        return fs.info(path)
    # Its ``info`` looks into the folder's listing too.
    for info in list_of(fs, path.rpartition("/")[0] or "/"):
        if info["name"] == path:
            return info
    raise FileNotFoundError(path)


def list_of(fs: FileSystem, path: str) -> list[Mapping[str, Any]]:
    """Return what lies in a folder; nothing lies in a file."""
    _forget(fs)
    found = list(fs.ls(path, detail=True))
    if not found and (ftp := _ftp(fs)) is not None and path not in getattr(fs, "dircache", ()):
        for _ in ftp.mlsd(path):  # raises what the server says
            pass
        raise OSError("the server did not list the folder")
    own = path.rpartition("/")[2]
    # The listing of a file shows the file; with FTP, as if it lay in itself.
    one = found[0] if len(found) == 1 else {}
    if own and one.get("type") == "file" and str(one["name"]).endswith(own) and info_of(fs, path)["type"] == "file":
        return []
    return found


def _ftp(fs: FileSystem) -> Any:
    connection = getattr(fs, "ftp", None)
    return connection if hasattr(connection, "mlsd") else None


def _forget(fs: FileSystem) -> None:
    fs.invalidate_cache()
    cache: Any = getattr(fs, "dircache", None)
    if hasattr(cache, "clear"):
        cache.clear()
