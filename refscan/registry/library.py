"""Logged versions, kept at hand for many reads of single entries."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
from anyio import to_thread

from refscan.download.fetch import fetch_file
from refscan.download.read import read_range
from refscan.download.resolver import Object, Resolver
from refscan.errors import ObjectNotFoundError, RegistryError
from refscan.manifest.seek import ManifestRows
from refscan.registry.records import Record
from refscan.registry.registry import Registry
from refscan.registry.version import Version
from refscan.sources.options import StoreOptions

__all__ = ["Library", "Shelved"]

_MOST_VERSIONS = 16
_KEPT_GROUPS = 8


class Shelved:
    """One version at hand.

    Attributes:
        version: The version.
        rows: Its entries; the parts that were read last stay decoded.
    """

    def __init__(self, version: Version) -> None:
        self.version = version
        self.rows = ManifestRows(version.index, version.store.segment_path, kept_groups=_KEPT_GROUPS)

    async def find(self, path: str) -> Mapping[str, Any] | None:
        """Return the row of an entry, or ``None``."""
        known = self.rows.find_kept(path)
        rows = known if known is not None else await to_thread.run_sync(self.rows.find, path)
        return rows.to_pylist()[0] if rows.num_rows else None


class Library:
    """A registry and the stores of its objects, kept open; to be used in one event loop.

    Which version an alias means is asked anew each time. What a version holds never changes and is remembered.

    Args:
        directory: The registry.
        options: How stores are reached.
    """

    def __init__(self, directory: Path, options: tuple[StoreOptions, ...] = ()) -> None:
        self.directory = directory
        self.options = options
        self._registry = Registry(directory)
        self._resolver: Resolver | None = None
        self._versions: OrderedDict[tuple[str, str, int], Shelved] = OrderedDict()
        self._opening = anyio.Lock()
        self._is_open = False

    async def version(self, project: str, name: str, alias: str) -> Shelved:
        """Return a version by its number (``v3``) or an alias.

        Raises:
            ObjectNotFoundError: There is none.
        """
        if alias[:1] == "v" and alias[1:].isdecimal():
            known = self._versions.get((project, name, int(alias[1:])))
            if known is not None:
                return known
        uri = f"refscan://{project}/{name}:{alias}"
        await self._open()
        try:
            record = await self._registry.catalog.find(project, name, alias)
        except RegistryError as error:
            raise ObjectNotFoundError(f"{uri}: {error}", uri=uri) from None
        return await self._shelve(record)

    async def newest(self, project: str | None = None) -> list[Record]:
        """Return the newest version of each artifact, of one project or of all."""
        await self._open()
        return await self._registry.catalog.newest(project, None)

    async def resolve(self, shelved: Shelved, row: Mapping[str, Any]) -> Object:
        """Return the object that an entry means."""
        if self._resolver is None:
            self._resolver = shelved.version.resolver(self.options)
        return await self._resolver.resolve(row)

    async def read(self, found: Object, start: int = 0, stop: int | None = None) -> bytes:
        """Return a range of an object's recorded bytes; see ``read_range``."""
        if self._resolver is None:
            raise RuntimeError("an object is resolved before it is read")
        return await read_range(found, self._resolver, start, stop)

    async def fetch(self, found: Object, target: Path) -> int:
        """Write an object's recorded bytes to a file, and return their count; see ``fetch_file``."""
        if self._resolver is None:
            raise RuntimeError("an object is resolved before it is fetched")
        return await fetch_file(found, self._resolver, target)

    async def aclose(self) -> None:
        """Close what is open; it can be used again afterwards."""
        resolver, self._resolver = self._resolver, None
        with anyio.CancelScope(shield=True):
            try:
                if resolver is not None:
                    await resolver.__aexit__(None, None, None)
            finally:
                self._is_open = False
                await self._registry.__aexit__(None, None, None)

    async def _open(self) -> None:
        async with self._opening:
            if not self._is_open:
                await self._registry.__aenter__()
                self._is_open = True

    async def _shelve(self, record: Record) -> Shelved:
        key = record.project, record.name, record.number
        shelved = self._versions.get(key)
        if shelved is None:
            version = Version.of(record, self._registry, created=False, options=self.options)
            shelved = await to_thread.run_sync(Shelved, version)
            self._versions[key] = shelved
            while len(self._versions) > _MOST_VERSIONS:
                self._versions.popitem(last=False)
        self._versions.move_to_end(key)
        return shelved
