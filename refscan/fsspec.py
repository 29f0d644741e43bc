"""A read-only file system of fsspec over logged versions: ``refscan://PROJECT/NAME:ALIAS/path``.

``fsspec.open`` finds it without an import of this module. It reads the recorded bytes from where they lie, by version
and ETag; nothing is downloaded. It may be used by threads, from running loops, pickled, and in forked processes.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

from anyio import to_thread
from fsspec.asyn import AbstractAsyncStreamedFile, AsyncFileSystem, get_loop, sync
from fsspec.callbacks import DEFAULT_CALLBACK, Callback
from fsspec.spec import AbstractBufferedFile
from fsspec.utils import stringify_path

from refscan.download.plan import target_of
from refscan.download.resolver import Object
from refscan.errors import AccessDeniedError, ObjectNotFoundError
from refscan.manifest.folders import folder_prefix, list_folder
from refscan.registry.libraries import OPEN
from refscan.registry.library import Library, Shelved
from refscan.settings import registry_directory
from refscan.sources.options import StoreOptions, as_options

__all__ = ["RefscanFileSystem"]

_PATH = re.compile(r"([^/]+)(?:/([^/:]+)(?::([^/]+))?)?(?:/(.*))?", re.DOTALL)

Info = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Place:
    """What a path means: nothing for all projects, a project, or a version and what lies in it."""

    project: str | None = None
    name: str | None = None
    alias: str = "latest"
    path: str = ""


class RefscanFileSystem(AsyncFileSystem):  # type: ignore[misc]
    """Logged versions as a file system, read-only.

    ``NAME:ALIAS`` is a version, ``NAME`` the latest one. An alias is looked up anew by each call, and a file that is
    open stays with the version it was opened with: who reads many files of one version names it by its number. Folders
    may end in ``/``; all else of a path is the entry's, as it is.

    Args:
        registry: The registry's directory; by default ``REFSCAN_REGISTRY``, else the user's data directory.
        options: How the objects' stores are reached (``S3Options``, …).
        asynchronous: Its coroutines are awaited in the caller's own loop, where ``aclose`` ends it.
    """

    protocol = "refscan"
    # Instances are cheap, and share what is open; fsspec would tell them apart by a text that has no secrets in it.
    cachable = False
    _pid: int
    _loop: asyncio.AbstractEventLoop | None

    def __init__(
        self,
        registry: str | os.PathLike[str] | None = None,
        options: StoreOptions | Iterable[StoreOptions] | None = None,
        *,
        asynchronous: bool = False,
        **storage_options: Any,
    ) -> None:
        super().__init__(asynchronous=asynchronous, **storage_options)
        self._registry = registry
        self._options = as_options(options)

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The loop that reads; a process that was forked has its own."""
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._loop = None if self.asynchronous else get_loop()
        return self._loop

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(each) for each in path]
        # Entries may end in a slash, so that is left where it is.
        return stringify_path(path).removeprefix("refscan://").lstrip("/")

    def _library(self) -> Library:
        return OPEN.get(asyncio.get_running_loop(), registry_directory(self._registry), self._options)

    async def aclose(self) -> None:
        """Close connections and the registry; they are opened again when they are needed."""
        await self._library().aclose()

    def close(self) -> None:
        """Close connections and the registry; they are opened again when they are needed."""
        sync(self.loop, self.aclose)

    async def _shelved(self, place: _Place) -> Shelved:
        return await self._library().version(place.project or "", place.name or "", place.alias)

    async def _found(self, path: str) -> tuple[str, Object]:
        """Return the entry's path with the version's number, and its object."""
        place = _place(path)
        if place.name is not None:
            shelved = await self._shelved(place)
            row = await shelved.find(place.path)
            if row is not None:
                version = shelved.version
                return f"{version.project}/{version.name}/{row['path']}", await self._library().resolve(shelved, row)
        raise _missing(path, "entry")

    async def _info(self, path: str, **_: Any) -> Info:
        path = self._strip_protocol(path)
        place = _place(path)
        if place.name is None:
            _check_named(place, path)
            if place.project is None or await self._library().newest(place.project):
                return _folder_info(path.rstrip("/"))
            raise _missing(path, "project")
        shelved = await self._shelved(place)
        row = await shelved.find(place.path) if place.path else None
        if row is not None:
            return _file_info(path, row)
        prefix = folder_prefix(place.path)
        if not prefix or await to_thread.run_sync(_holds, shelved, prefix):
            return _folder_info(path.rstrip("/"))
        raise _missing(path, "entry")

    async def _ls(self, path: str, detail: bool = True, **_: Any) -> list[Info] | list[str]:  # noqa: FBT001, FBT002
        infos = await self._level(self._strip_protocol(path))
        return infos if detail else [info["name"] for info in infos]

    async def _level(self, path: str) -> list[Info]:
        place = _place(path)
        if place.name is None:
            _check_named(place, path)
            records = await self._library().newest(place.project)
            if place.project is None:
                return [_folder_info(project) for project in sorted({record.project for record in records})]
            if not records:
                raise _missing(path, "project")
            return [_folder_info(f"{record.project}/{record.name}:v{record.number}") for record in records]
        shelved = await self._shelved(place)
        prefix = folder_prefix(place.path)
        table = await to_thread.run_sync(list_folder, shelved.rows, prefix)
        if not table.num_rows and prefix:
            return [await self._info(path)]
        base = path[: len(path) - len(place.path)].rstrip("/") + "/" + prefix
        return [
            {**_folder_info(base + row["name"].removesuffix("/")), "size": row["size"], "entries": row["entries"]}
            if row["is_folder"]
            else {"name": base + row["name"], "size": row["size"], "type": "file"}
            for row in table.to_pylist()
        ]

    async def _find(
        self,
        path: str,
        maxdepth: int | None = None,
        withdirs: bool = False,  # noqa: FBT001, FBT002
        **options: Any,
    ) -> list[str] | dict[str, Info]:
        path = self._strip_protocol(path)
        place = _place(path)
        if place.name is None or maxdepth is not None:
            found: list[str] | dict[str, Info] = await super()._find(path, maxdepth, withdirs, **options)
            return found
        shelved = await self._shelved(place)
        base = path[: len(path) - len(place.path)].rstrip("/") + "/"
        infos = await to_thread.run_sync(_below, shelved, base, folder_prefix(place.path), withdirs)
        if not infos and place.path and (row := await shelved.find(place.path)) is not None:
            infos = {path: _file_info(path, row)}
        return infos if options.get("detail") else list(infos)

    async def _cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        found = (await self._found(self._strip_protocol(path)))[1]
        size = found.size
        if size is None and ((start or 0) < 0 or (end or 0) < 0):
            return (await self._library().read(found))[start:end]
        if size is not None:
            start, end, _step = slice(start, end).indices(size)
        return await self._library().read(found, start or 0, end)

    async def _get_file(
        self, rpath: str, lpath: str | os.PathLike[str], callback: Callback = DEFAULT_CALLBACK, **_: Any
    ) -> None:
        rpath, target = self._strip_protocol(rpath), Path(lpath)
        try:
            name, found = await self._found(rpath)
        except ObjectNotFoundError:
            if not await self._isdir(rpath):
                raise
            await to_thread.run_sync(lambda: target.mkdir(parents=True, exist_ok=True))
            return
        target_of(_place(name).path)  # a path that leads out of a folder is no file's
        await to_thread.run_sync(lambda: target.parent.mkdir(parents=True, exist_ok=True))
        callback.set_size(found.size)
        callback.relative_update(await self._library().fetch(found, target))

    async def read_object(self, found: Object, start: int, stop: int) -> bytes:
        """Return a range of an entry that is open."""
        return await self._library().read(found, start, stop)

    def _open(self, path: str, mode: str = "rb", block_size: int | None = None, **options: Any) -> Any:
        _check_mode(mode)
        name, found = sync(self.loop, self._found, path)
        if found.size is None:
            return BytesIO(self.cat_file(name))
        options.pop("size", None)
        return _File(self, name, found, block_size=block_size, **options)

    async def open_async(self, path: str, mode: str = "rb", **options: Any) -> Any:
        """Return an asynchronous file: ``await file.read(…)``, ``file.seek(…)``."""
        _check_mode(mode)
        name, found = await self._found(self._strip_protocol(path))
        held = await self._library().read(found) if found.size is None else None
        return _StreamedFile(self, name, found, held, **options)

    async def _rm_file(self, path: str, **_: Any) -> None:
        raise _read_only(path)

    async def _pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **_: Any) -> None:  # noqa: ARG002
        raise _read_only(path)

    async def _put_file(self, lpath: str, rpath: str, **_: Any) -> None:  # noqa: ARG002
        raise _read_only(rpath)

    async def _cp_file(self, path1: str, path2: str, **_: Any) -> None:  # noqa: ARG002
        raise _read_only(path2)

    def modified(self, path: str) -> datetime | None:
        """Return when the object was written, if that is known."""
        written: datetime | None = self.info(path).get("last_modified")
        return written


class _File(AbstractBufferedFile):  # type: ignore[misc]
    """An entry that is open for reading; the recorded object stays the same."""

    def __init__(self, fs: RefscanFileSystem, path: str, found: Object, **options: Any) -> None:
        self._object = found  # some caches read at once
        super().__init__(fs, path, "rb", size=found.size, **options)

    def _fetch_range(self, start: int, end: int) -> bytes:
        data: bytes = sync(self.fs.loop, self.fs.read_object, self._object, start, end)
        return data


class _StreamedFile(AbstractAsyncStreamedFile):  # type: ignore[misc]
    """An entry that is open for reading in the caller's loop; one of unknown size is held whole."""

    def __init__(self, fs: RefscanFileSystem, path: str, found: Object, held: bytes | None, **options: Any) -> None:
        self._object, self._held = found, held
        size = found.size if held is None else len(held)
        super().__init__(fs, path, "rb", size=size, cache_type="none", **options)

    async def _fetch_range(self, start: int, end: int) -> bytes:
        if self._held is not None:
            return self._held[start:end]
        data: bytes = await self.fs.read_object(self._object, start, end)
        return data


def _place(path: str) -> _Place:
    if not path:
        return _Place()
    project, name, alias, below = _PATH.fullmatch(path).groups()  # type: ignore[union-attr]  # it begins with no slash
    return _Place(project, name, alias or "latest", below or "")


def _check_named(place: _Place, path: str) -> None:
    """Refuse what stands behind a project but names no artifact."""
    if place.path.strip("/"):
        raise _missing(path, "entry")


def _holds(shelved: Shelved, prefix: str) -> bool:
    return next(shelved.rows.beginning(prefix, columns=["path"]), None) is not None


def _below(shelved: Shelved, base: str, prefix: str, withdirs: bool) -> dict[str, Info]:  # noqa: FBT001
    """Return all files below a prefix by their names, with their folders if these are wanted."""
    infos: dict[str, Info] = {}
    for batch in shelved.rows.beginning(prefix, columns=["path", "size"]):
        for row in batch.to_pylist():
            name = base + row["path"]
            if withdirs:
                for folder in _folders(name, base + prefix):
                    infos.setdefault(folder, _folder_info(folder))
            infos[name] = {"name": name, "size": row["size"], "type": "file"}
    return dict(sorted(infos.items())) if withdirs else infos


def _folders(name: str, base: str) -> Iterable[str]:
    """Yield the folders of a file from the one that all of them are in."""
    at = len(base) - 1
    while at >= 0:
        yield name[:at]
        at = name.find("/", at + 1)


def _folder_info(name: str) -> Info:
    return {"name": name, "size": 0, "type": "directory"}


def _file_info(name: str, row: Mapping[str, Any]) -> Info:
    facts = ("size", "digest", "ref", "version_id", "e_tag", "last_modified")
    return {"name": name, "type": "file", **{fact: row[fact] for fact in facts}}


def _missing(path: str, what: Literal["entry", "project"]) -> ObjectNotFoundError:
    uri = f"refscan://{path}"
    return ObjectNotFoundError(f"{uri}: there is no such {what}", uri=uri)


def _check_mode(mode: str) -> None:
    if mode not in ("r", "rb"):
        raise AccessDeniedError(f"refscan:// is read-only, and the mode {mode!r} writes; log a new version instead")


def _read_only(path: str) -> AccessDeniedError:
    uri = f"refscan://{path}"
    return AccessDeniedError(f"{uri}: a version never changes; log a new one instead", uri=uri)
