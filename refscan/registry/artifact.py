"""A draft of an artifact, filled with references and files until a run logs it."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import aiofiles
import pyarrow as pa
from anyio import to_thread

from refscan.errors import ArtifactError, InvalidPathError, InvalidURIError, ObjectNotFoundError
from refscan.manifest.receipt import Receipt
from refscan.manifest.schema import MANIFEST_SCHEMA
from refscan.redact import redact
from refscan.registry.current import current_run
from refscan.registry.draft import Draft
from refscan.registry.entry import Entry, find_entry_by_uri, is_entry_uri
from refscan.registry.previous import previous_bounds
from refscan.registry.staging import Staging, StagingSource
from refscan.registry.text import check_text
from refscan.scan.collect import collect
from refscan.scan.entries import check_name
from refscan.scan.filter import PathFilter
from refscan.scan.limits import DEFAULT_MAX_OBJECTS
from refscan.scan.many import NamedURI, collect_many
from refscan.scan.pipeline import Scan
from refscan.sources.options import StoreOptions, as_options, with_defaults
from refscan.sources.schemes import check_options, has_source, locate, open_source, scheme_hint
from refscan.sources.source import Source
from refscan.uri import Location

if TYPE_CHECKING:
    from aiofiles.threadpool.binary import AsyncBufferedIOBase
    from aiofiles.threadpool.text import AsyncTextIOWrapper

__all__ = ["Artifact"]

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")


class Artifact:
    """A named set of entries that is not logged yet.

    Additions are taken whole or not at all, and may run concurrently; their order does not matter. Once
    ``run.log_artifact`` has it, nothing can be added.

    Args:
        name: Letters, digits, ``.``, ``-`` and ``_``; a name has one type for ever.
        type: What kind of thing it is, such as ``dataset`` or ``model``.
        description: A text about it.
        metadata: What JSON can hold.

    Raises:
        ArtifactError: A name or a type that cannot be used, or metadata that JSON cannot hold.
    """

    def __init__(
        self,
        name: str,
        type: str,  # noqa: A002  the word of the field
        *,
        description: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        self.name = name
        self.type = type
        self.description = description
        self.metadata = dict(metadata or {})
        self.draft = Draft()
        self._run = current_run()
        self.staging = Staging(self._run.registry.store.staging() if self._run is not None else None)
        self._sealed = False
        self._additions = 0
        self.writing = threading.Lock()
        """Held while a run stores the draft: it may be logged again before that has ended."""
        self.check()
        self.metadata_json()

    def check(self) -> None:
        """Make sure that a registry can hold its name, type and description.

        Raises:
            ArtifactError: It cannot.
        """
        if not _NAME.fullmatch(self.name):
            raise ArtifactError(f"{self.name!r} cannot name an artifact; use letters, digits, '.', '-' and '_'")
        if not self.type.strip() or self.type != self.type.strip():
            raise ArtifactError(f"{self.type!r} cannot be a type; use a word such as 'dataset' or 'model'")
        for text in (self.type, self.description or ""):
            check_text(text)

    def metadata_json(self) -> str:
        """Return the metadata as JSON.

        Raises:
            ArtifactError: JSON cannot hold it.
        """
        try:
            return json.dumps(self.metadata, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ArtifactError(f"the metadata of {self.name!r} is not JSON: {error}") from None

    def seal(self) -> None:
        """Refuse additions from now on.

        Raises:
            ArtifactError: An addition is still under way.
        """
        if self._additions:
            raise ArtifactError(
                f"{self.name!r} is still being filled; await its add_reference and add_file calls first"
            )
        self._sealed = True
        self.draft.seal()

    async def add_reference(
        self,
        uri: str | Entry,
        name: str | None = None,
        *,
        checksum: bool = True,
        max_objects: int | None = DEFAULT_MAX_OBJECTS,
        include: str | Iterable[str] | None = None,
        exclude: str | Iterable[str] | None = None,
        resume: str | PathLike[str] | None = None,
        options: StoreOptions | None = None,
        source: Source | None = None,
    ) -> Receipt | None:
        """Add the objects of a URI as entries that stay where they are.

        All of them are added, or none.

        Args:
            uri: An object, a folder, a bucket, a file, a directory, a URL, or an entry of a logged artifact.
            name: Where it stands in the artifact: a folder's objects below ``name/``, a single object as ``name``.
                Without it a folder's objects stand at the root, a single object under its last path segment.
            checksum: Digests tell the content. Without it they tell the URI, and local files are not read.
            max_objects: Refuse more objects than this; ``None`` lifts the limit. Those left out do not count.
            include: Take only what one of these glob patterns matches, such as ``**/*.png``: the whole path below the
                reference, as Python's ``pathlib.PurePath.full_match`` does it, case-sensitive.
            exclude: Leave out what one of these glob patterns matches; it wins over ``include``.
            resume: A directory that keeps what was listed. Should the process be killed, the same call in another one
                goes on from there; it is removed once a version holds the entries.
            options: How the store is reached (``S3Options``, …); by default the run's options, else the
                environment, decide.
            source: Reads the URI's container; by default the URI's scheme decides.

        Returns:
            How the scan covered the key space; ``None`` where there was nothing to scan.

        Raises:
            InvalidURIError: The URI cannot be read; a local path needs ``file://``.
            ValueError: ``options`` are for another kind of store than the URI's.
            ObjectNotFoundError: There is nothing there, or ``include`` and ``exclude`` leave nothing of it.
            MaxObjectsExceededError: There is more than ``max_objects``.
            PathConflictError: A path is taken by another digest.
            InvalidPathError: ``name`` is not a relative path, a pattern is none, or an unknown scheme has no ``name``.
            ResumeError: The directory to go on from holds another scan, or another process uses it.
            ArtifactError: Patterns are given for what is not listed: another artifact's entry, or an unknown scheme.
        """
        async with self._addition():
            name = None if name is None else check_name(name)
            listed = source is not None or (isinstance(uri, str) and not is_entry_uri(uri) and has_source(uri))
            if not listed and (include or exclude):
                raise ArtifactError(
                    "include= and exclude= choose among the objects of a store; this reference lists none"
                )
            if isinstance(uri, Entry):
                await self._add_entry(uri, name)
                return None
            if source is None and is_entry_uri(uri):
                await self._add_entry(await find_entry_by_uri(uri), name)
                return None
            if source is None and not has_source(uri):
                await self._track(uri, name)
                return None
            given = self._options(options)
            location = locate(uri, given)
            check_options(options, location)
            bounds: Sequence[str] = ()
            if self._run is not None:
                bounds = await previous_bounds(self._run.registry, self._run.project, self.name, location, name)
            scan = Scan(
                location,
                source or open_source(location, given, checksum=checksum),
                max_objects=max_objects,
                checksum=checksum,
                bounds=bounds,
                only=PathFilter.of(location, include, exclude),
                resume=resume,
            )
            return await self._add_scan(scan, location, name=name, checksum=checksum)

    async def add_references(
        self,
        uris: Iterable[NamedURI] | AsyncIterable[NamedURI],
        name: str | None = None,
        *,
        checksum: bool = True,
        options: StoreOptions | Iterable[StoreOptions] | None = None,
    ) -> int:
        """Add many single objects, each by its own URI, as entries that stay where they are.

        All of them are added, or none. Their facts are asked for at once, a bounded number at each host or bucket;
        memory does not grow with their number, and ``uris`` is read no faster than the stores answer.

        Args:
            uris: Objects, files or URLs. One stands under its last path segment; a pair of a URI and a path says where
                it stands.
            name: A folder in the artifact for all of them.
            checksum: Digests tell the content; without it they tell the URI.
            options: How stores are reached; by default the run's options, else the environment, decide.

        Returns:
            How many entries they are.

        Raises:
            InvalidURIError: A URI cannot be read.
            ObjectNotFoundError: One is not there, or is no single object.
            PathConflictError: A path is taken by another digest.
        """
        async with self._addition():
            folder = None if name is None else check_name(name)
            run = await collect_many(uris, folder=folder, checksum=checksum, options=self._options(options))
            entries = run.rows
            await self.draft.add_runs([run], None)
            return entries

    async def add_file(self, path: str | PathLike[str], name: str | None = None) -> None:
        """Add a file that is stored with the registry; its content is taken as it is now.

        Args:
            path: The file.
            name: Its path in the artifact; by default its file name.

        Raises:
            ObjectNotFoundError: There is no such file.
            PathConflictError: The path is taken by other content.
        """
        async with self._addition():
            name = None if name is None else check_name(name)
            location = _location_of(path)
            if await to_thread.run_sync(Path(path).is_dir):
                raise InvalidPathError(f"{fspath(path)} is a directory; use add_dir")
            if not await to_thread.run_sync(Path(path).exists):
                raise _missing(path)
            await self._add_stored(location, name)

    async def add_dir(self, path: str | PathLike[str], name: str | None = None) -> None:
        """Add all files below a directory; they are stored with the registry.

        Args:
            path: The directory.
            name: The folder in the artifact; by default its root.

        Raises:
            ObjectNotFoundError: There is no such directory, or no file in it.
            PathConflictError: A path is taken by other content.
        """
        async with self._addition():
            name = None if name is None else check_name(name)
            location = _location_of(path)
            if not await to_thread.run_sync(Path(path).is_dir):
                raise InvalidPathError(f"{fspath(path)} is not a directory; use add_file for a file")
            await self._add_stored(Location("file", "", location.key.rstrip("/") + "/", store="file"), name)

    @asynccontextmanager
    async def new_file(
        self, name: str, mode: Literal["w", "wb"] = "w", *, encoding: str = "utf-8"
    ) -> AsyncIterator[AsyncTextIOWrapper | AsyncBufferedIOBase]:
        """Write a new file into the artifact: ``async with artifact.new_file("a.txt") as f: await f.write("…")``.

        It is added when the block ends, and not at all when it ends with an error.

        Args:
            name: Its path in the artifact.
            mode: ``w`` for text, ``wb`` for bytes.
            encoding: Of the text.
        """
        async with self._addition():
            name = check_name(name)
            path = self.staging.new()
            try:
                if mode == "w":
                    async with aiofiles.open(path, mode, encoding=encoding, newline="") as text:
                        yield text
                elif mode == "wb":
                    async with aiofiles.open(path, mode) as data:
                        yield data
                else:
                    raise ValueError(f"the mode of a new file is 'w' or 'wb', not {mode!r}")
                size, digest = await to_thread.run_sync(self.staging.adopt, path)
            finally:
                path.unlink(missing_ok=True)
            await self.draft.add_row({"path": name, "digest": digest, "size": size})

    def _options(self, options: StoreOptions | Iterable[StoreOptions] | None) -> tuple[StoreOptions, ...]:
        """Return the options given, and those of the run for all other kinds of store."""
        return with_defaults(as_options(options), self._run.options if self._run is not None else ())

    @asynccontextmanager
    async def _addition(self) -> AsyncIterator[None]:
        if self._sealed:
            raise ArtifactError(f"{self.name!r} was logged and takes no more entries; make a new Artifact of this name")
        self._additions += 1
        try:
            if self._run is not None:
                await self._run.room()
            yield
        finally:
            self._additions -= 1

    async def _track(self, uri: str, name: str | None) -> None:
        shown = redact(uri)
        if name is None:
            advice = scheme_hint(uri)
            raise InvalidURIError(
                f"{shown}: nothing reads this scheme, so it can only be tracked as it is; give name= to do so"
                + (f"; {advice}" if advice else ""),
                uri=shown,
            )
        await self.draft.add_row({"path": name, "ref": shown, "digest": shown})

    async def _add_entry(self, entry: Entry, name: str | None) -> None:
        await self.draft.add_row(
            {
                "path": name or entry.path.rpartition("/")[2] or entry.path,
                "ref": entry.uri,
                "digest": entry.digest,
                "size": entry.size,
            }
        )

    async def _add_stored(self, location: Location, name: str | None) -> None:
        scan = Scan(location, StagingSource(self.staging), max_objects=None)
        await self._add_scan(scan, location, name=name, checksum=True, stored=True)

    async def _add_scan(
        self, scan: Scan, location: Location, *, name: str | None, checksum: bool, stored: bool = False
    ) -> Receipt:
        runs = await collect(
            scan,
            location,
            name=name,
            checksum=checksum,
            on_start=self._run.on_scan if self._run is not None else None,
            change=_without_refs if stored else None,
        )
        receipt = scan.receipt.named(name)
        await self.draft.add_runs(runs, None if stored else receipt, on_logged=scan.discard)
        return receipt


def _without_refs(entries: pa.RecordBatch) -> pa.RecordBatch:
    position = MANIFEST_SCHEMA.get_field_index("ref")
    columns = [*entries.columns]
    columns[position] = pa.nulls(entries.num_rows, pa.string())
    return pa.record_batch(columns, schema=MANIFEST_SCHEMA)


def _location_of(path: str | PathLike[str]) -> Location:
    absolute = str(Path(path).absolute())
    try:
        absolute.encode()
    except UnicodeEncodeError:
        shown = os.fsencode(absolute).decode("utf-8", "backslashreplace")
        raise InvalidPathError(f"the file name {shown!r} is not UTF-8, so no manifest can hold it; rename it") from None
    return Location("file", "", absolute.lstrip("/"), store="file")


def _missing(path: str | PathLike[str]) -> ObjectNotFoundError:
    return ObjectNotFoundError(f"{fspath(path)}: no such file or directory", uri=None)
