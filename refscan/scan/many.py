"""Many single objects, each named by its own URI: their facts are asked for at once, a bounded number at each place."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import anyio
import pyarrow as pa

from refscan.errors import InvalidPathError, InvalidURIError, ObjectNotFoundError
from refscan.first_error import first_error
from refscan.manifest.merge import conflict, merge
from refscan.manifest.schema import MANIFEST_SCHEMA
from refscan.scan.entries import entries_of
from refscan.scan.spool import Spool
from refscan.sources.options import StoreOptions
from refscan.sources.schemes import locate, open_source
from refscan.sources.source import Source
from refscan.uri import Location

__all__ = ["NamedURI", "collect_many"]

NamedURI = str | tuple[str, str]
"""A URI, or a URI and the path it gets in the artifact."""

_IN_FLIGHT = 1_024
_RUN_ROWS = 4_096


@dataclass(slots=True)
class _Place:
    """One container, and how much is asked of it at once."""

    source: Source
    slots: anyio.CapacityLimiter
    rows: list[pa.RecordBatch] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)


async def collect_many(
    uris: Iterable[NamedURI] | AsyncIterable[NamedURI],
    *,
    folder: str | None = None,
    checksum: bool = True,
    options: tuple[StoreOptions, ...] = (),
) -> Spool:
    """Return the entries of single objects as one sealed run of ``MANIFEST_SCHEMA``, sorted by path.

    Memory does not grow with their number; ``uris`` is read no faster than the stores answer.

    Args:
        uris: Objects, files or URLs; one is named by its last path segment, or by the name given with it.
        folder: Where in the artifact they all stand.
        checksum: Digests tell the content; otherwise they tell the URI.
        options: How stores are reached.

    Raises:
        ObjectNotFoundError: One is not there, or is no single object.
        PathConflictError: Two stand at one path with different digests.
    """
    async with AsyncExitStack() as stack:
        many = _Many(stack, folder, checksum=checksum, options=options)
        try:
            async with anyio.create_task_group() as group:
                async for item in _each(uris):
                    await many.room.acquire()
                    group.start_soon(many.take, item)
        except* Exception as errors:  # noqa: BLE001  raised again, by itself
            raise first_error(errors) from None
        return await many.finish()


class _Many:
    def __init__(
        self, stack: AsyncExitStack, folder: str | None, *, checksum: bool, options: tuple[StoreOptions, ...]
    ) -> None:
        self.room = anyio.Semaphore(_IN_FLIGHT)
        self._stack = stack
        self._folder = "" if folder is None else folder + "/"
        self._checksum = checksum
        self._options = options
        self._places: dict[tuple[str, str | None, str | None], _Place] = {}
        self._opening: defaultdict[object, anyio.Lock] = defaultdict(anyio.Lock)
        self._runs: list[Spool] = []
        self._held = 0
        self._cutting = anyio.Lock()

    async def take(self, item: NamedURI) -> None:
        """Ask for one object's facts, and keep them."""
        try:
            uri, name = (item, None) if isinstance(item, str) else item
            location = locate(uri, self._options)
            path = self._folder + _path(location, name)
            place = await self._place(location)
            async with place.slots:
                page = await place.source.stat([location.key], version_id=location.version_id)
            if page.rows.num_rows == 0:
                raise ObjectNotFoundError(
                    f"{location.uri}: no such single object; check it, or use add_reference for a folder",
                    uri=location.uri,
                )
        finally:
            self.room.release()
        place.rows.append(page.rows)
        place.paths.append(path)
        self._held += 1
        if self._held >= _RUN_ROWS:
            await self._cut()

    async def _place(self, location: Location) -> _Place:
        key = location.base, location.userinfo, location.sas
        async with self._opening[key]:
            if key not in self._places:
                source = open_source(location, self._options, checksum=self._checksum)
                opened = await self._stack.enter_async_context(source)
                self._places[key] = _Place(opened, anyio.CapacityLimiter(opened.capabilities.stat_concurrency))
            return self._places[key]

    async def _cut(self) -> None:
        """Make a sorted run of what is held."""
        async with self._cutting:
            parts: list[pa.RecordBatch] = []
            self._held = 0
            for place in self._places.values():
                if place.rows:
                    rows, paths = pa.concat_batches(place.rows), pa.array(place.paths, pa.string())
                    place.rows, place.paths = [], []
                    parts.append(await entries_of(place.source, rows, paths, checksum=self._checksum))
            if parts:
                self._runs.append(_as_run(parts))

    async def finish(self) -> Spool:
        """Return all that was taken as one run."""
        await self._cut()
        whole = Spool(MANIFEST_SCHEMA, "path")
        for batch in merge(self._runs):
            whole.append(batch)
        whole.seal()
        for run in self._runs:
            run.close()
        return whole


def _path(location: Location, name: str | None) -> str:
    path = location.last_segment if name is None else name
    if not path or path.endswith("/"):
        raise InvalidPathError(
            f"{location.uri} ends in no file name; give a pair of the URI and its path", uri=location.uri
        )
    if not all(part not in ("", ".", "..") for part in path.split("/")):
        raise InvalidPathError(f"{path!r} is not a relative path; write it like 'images/cat.png'", uri=location.uri)
    return path


def _as_run(parts: list[pa.RecordBatch]) -> Spool:
    """Sort rows; the same path and digest twice is one row, that of the least ``ref``."""
    table = pa.Table.from_batches(parts)
    order = [(name, "ascending") for name in ("path", "ref", "version_id")]
    rows = table.sort_by(order).combine_chunks().to_batches()[0]
    paths, digests = rows.column("path").to_pylist(), rows.column("digest").to_pylist()
    kept = [index for index, path in enumerate(paths) if index == 0 or path != paths[index - 1]]
    for index in range(1, len(paths)):
        if paths[index] == paths[index - 1] and digests[index] != digests[index - 1]:
            raise conflict(paths[index], *(rows.column("ref")[at].as_py() for at in (index - 1, index)))
    run = Spool(MANIFEST_SCHEMA, "path")
    run.append(rows if len(kept) == len(paths) else rows.take(pa.array(kept)))
    run.seal()
    return run


async def _each(uris: Iterable[NamedURI] | AsyncIterable[NamedURI]) -> AsyncIterator[NamedURI]:
    if isinstance(uris, str):
        raise InvalidURIError("add_references takes many URIs; use add_reference for one")
    if isinstance(uris, AsyncIterable):
        async for uri in uris:
            yield uri
        return
    for uri in uris:
        yield uri
