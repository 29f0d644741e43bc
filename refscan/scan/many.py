"""Many single objects, each named by its own URI: their facts are asked for at once, a bounded number at each place."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable

import anyio
import pyarrow as pa
from anyio import to_thread

from refscan.errors import InvalidPathError, InvalidURIError, ObjectNotFoundError
from refscan.first_error import one_error
from refscan.manifest.merge import conflict
from refscan.manifest.schema import MANIFEST_SCHEMA
from refscan.scan.entries import check_name, entries_of
from refscan.scan.levels import Levels
from refscan.scan.places import Place, Places
from refscan.scan.spool import Spool
from refscan.sources.options import StoreOptions
from refscan.sources.schemes import locate
from refscan.uri import Location

__all__ = ["NamedURI", "collect_many"]

NamedURI = str | tuple[str, str]
"""A URI, or a URI and the path it gets in the artifact."""

_IN_FLIGHT = 1_024
# Each may need a connection of its own, and systems allow few hundred files.
_REQUESTS = 256
_RUN_ROWS = 4_096


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
    many = _Many(folder, checksum=checksum, options=options)
    async with many.places:
        with one_error():
            async with anyio.create_task_group() as group:
                async for item in _each(uris):
                    await many.room.acquire()
                    group.start_soon(many.take, item)
        return await many.finish()


class _Many:
    def __init__(self, folder: str | None, *, checksum: bool, options: tuple[StoreOptions, ...]) -> None:
        self.room = anyio.Semaphore(_IN_FLIGHT)
        self.places = Places(options, checksum=checksum, on_close=self._collect)
        self._requests = anyio.CapacityLimiter(_REQUESTS)
        self._folder = "" if folder is None else folder + "/"
        self._checksum = checksum
        self._options = options
        self._parts: list[pa.RecordBatch] = []
        self._runs = Levels()
        self._held = 0
        self._cutting = anyio.Lock()

    async def take(self, item: NamedURI) -> None:
        """Ask for one object's facts, and keep them."""
        try:
            uri, name = _pair(item)
            location = locate(uri, self._options)
            path = self._folder + _path(location, name)
            async with self.places.use(location) as place:
                async with place.slots, self._requests:
                    page = await place.source.stat([location.key], version_id=location.version_id)
                if page.rows.num_rows == 0:
                    raise ObjectNotFoundError(
                        f"{location.uri}: no such single object; check it, or use add_reference for a folder",
                        uri=location.uri,
                    )
                place.rows.append(page.rows)
                place.paths.append(path)
        finally:
            self.room.release()
        self._held += 1
        if self._held >= _RUN_ROWS:
            await self._cut()

    async def _collect(self, place: Place) -> None:
        """Take what a place holds."""
        rows, paths = place.rows, place.paths
        if rows:
            place.rows, place.paths = [], []
            whole = pa.concat_batches(rows), pa.array(paths, pa.string())
            self._parts.append(await entries_of(place.source, *whole, checksum=self._checksum))

    async def _cut(self) -> None:
        """Make a sorted run of what is held."""
        async with self._cutting:
            self._held = 0
            for place in self.places.open():
                await self._collect(place)
            parts, self._parts = self._parts, []
            if parts:
                await to_thread.run_sync(self._runs.add, _as_run(parts))

    async def finish(self) -> Spool:
        """Return all that was taken as one run."""
        await self._cut()
        return await to_thread.run_sync(self._runs.merged)


def _pair(item: object) -> tuple[str, str | None]:
    match item:
        case str() as uri:
            return uri, None
        case (str() as uri, str() as name):
            return uri, name
    raise InvalidURIError(f"add_references takes URIs, and pairs of a URI and a path; not {type(item).__name__}")


def _path(location: Location, name: str | None) -> str:
    path = location.last_segment if name is None else name
    if not path or path.endswith("/"):
        raise InvalidPathError(
            f"{location.uri} ends in no file name; give a pair of the URI and its path", uri=location.uri
        )
    return check_name(path)


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
