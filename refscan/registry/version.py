"""A logged version of an artifact."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import Any

import pyarrow as pa
from anyio import to_thread

from refscan.download.fetch import Downloaded, download
from refscan.download.resolver import Resolver
from refscan.download.verify import Verification, verify
from refscan.errors import ObjectNotFoundError
from refscan.manifest.folders import folder_prefix, list_folder
from refscan.manifest.index import Index
from refscan.manifest.reader import read_manifest
from refscan.manifest.receipt import Receipt
from refscan.manifest.seek import ManifestRows, after_prefix, columns_schema
from refscan.registry.deletion import delete_version
from refscan.registry.diff import Diff
from refscan.registry.entry import ENTRY_FIELDS, Entry, entry_of, find_entry_by_uri, is_entry_uri
from refscan.registry.records import Record
from refscan.registry.registry import Registry
from refscan.registry.store import LocalStore
from refscan.sources.options import StoreOptions, as_options, with_defaults

__all__ = ["Version"]


@dataclass(frozen=True, slots=True)
class Version:
    """One version of an artifact. It never changes, but for its aliases, which are those of the moment it was read.

    Attributes:
        project: The project it belongs to.
        artifact_name: The artifact's name.
        type: The artifact's type.
        number: 0, 1, 2, …
        digest: Identity of the content, as W&B computes it.
        pin_digest: Identity of the content with the object versions.
        entry_count: How many files it has.
        size: Their bytes, as far as sizes are known.
        description: As given.
        metadata: As given.
        aliases: Sorted.
        receipts: How each of its references was scanned.
        created_at: When it was committed.
        created: ``False`` if it was there already, because nothing had changed.
    """

    project: str
    artifact_name: str
    type: str
    number: int
    digest: str
    pin_digest: str
    entry_count: int
    size: int
    description: str | None
    metadata: dict[str, Any]
    aliases: tuple[str, ...]
    receipts: tuple[Receipt, ...] = field(repr=False)
    created_at: datetime
    created: bool
    _manifest: str = field(repr=False)
    _directory: Path = field(repr=False)
    _options: tuple[StoreOptions, ...] = field(repr=False)

    @classmethod
    def of(
        cls, record: Record, registry: Registry, *, created: bool, options: tuple[StoreOptions, ...] = ()
    ) -> Version:
        """Return a catalog's record as a version; ``options`` tell how its objects' stores are reached."""
        return cls(
            project=record.project,
            artifact_name=record.name,
            type=record.type,
            number=record.number,
            digest=record.digest,
            pin_digest=record.pin_digest,
            entry_count=record.entry_count,
            size=record.size,
            description=record.description,
            metadata=json.loads(record.metadata),
            aliases=record.aliases,
            receipts=tuple(Receipt.from_json(receipt) for receipt in json.loads(record.receipts)),
            created_at=record.created_at,
            created=created,
            _manifest=record.manifest,
            _directory=registry.directory,
            _options=options,
        )

    @property
    def version(self) -> str:
        """``v`` and the number."""
        return f"v{self.number}"

    @property
    def name(self) -> str:
        """``NAME:vN``."""
        return f"{self.artifact_name}:{self.version}"

    @property
    def uri(self) -> str:
        """``refscan://PROJECT/NAME:vN``."""
        return f"refscan://{self.project}/{self.name}"

    @property
    def store(self) -> LocalStore:
        """Where its manifest and its stored files lie."""
        return LocalStore(self._directory)

    @property
    def index(self) -> Index:
        """The index of its manifest; read anew each time."""
        return self.store.read_index(self._manifest)

    @property
    def rows(self) -> ManifestRows:
        """Its entries, to be found by their paths; the index is read anew each time."""
        return ManifestRows(self.index, self.store.segment_path)

    async def get_entry(self, path: str) -> Entry:
        """Return one entry by its path; reads a part of one segment.

        Raises:
            ObjectNotFoundError: There is none.
        """
        return entry_of(await to_thread.run_sync(self._find, path), self.uri, path)

    def _find(self, path: str) -> pa.RecordBatch:
        return self.rows.find(path)

    async def entries(self, prefix: str = "", *, after: str | None = None, limit: int = 1_000) -> list[Entry]:
        """Return the first entries whose paths begin with ``prefix``, in path order: one page.

        Args:
            prefix: A folder with its ``/``, or any beginning of a path.
            after: Only paths greater than this one: the last one of the page before.
            limit: Most entries of the page; a page with fewer is the last one.
        """
        if limit < 1:
            raise ValueError(f"limit must be at least 1, not {limit}")
        start = prefix if after is None else max(prefix, after + "\0")
        rows = await to_thread.run_sync(self._page, start, after_prefix(prefix), limit)
        return [
            Entry(uri=f"{self.uri}/{row['path']}", **{name: row[name] for name in ENTRY_FIELDS})
            for batch in rows
            for row in batch.to_pylist()
        ]

    def _page(self, start: str, stop: str | None, limit: int) -> list[pa.RecordBatch]:
        page: list[pa.RecordBatch] = []
        for batch in self.rows.between(start, stop):
            page.append(batch.slice(0, limit))
            limit -= page[-1].num_rows
            if not limit:
                break
        return page

    async def ls(self, path: str = "", *, after: str | None = None, limit: int | None = None) -> pa.Table:
        """Return what lies directly in a folder: its files, and its folders with their counts and sizes.

        Reads no paths of folders that fill whole parts of the manifest, so that it is quick however many files there
        are below.

        Args:
            path: The folder; by default the root.
            after: Only names greater than this one.
            limit: Most names.

        Returns:
            ``name`` (that of a folder ends in ``/``), ``is_folder``, ``entries`` (files in it, at any depth), and
            ``size`` in bytes, null where none is known; ascending by name.

        Raises:
            ObjectNotFoundError: There is no such folder.
        """
        prefix = folder_prefix(path)
        table = await to_thread.run_sync(lambda: list_folder(self.rows, prefix, after=after, limit=limit))
        if prefix and not table.num_rows and not await self.entries(prefix, limit=1):
            uri = f"{self.uri}/{path}"
            raise ObjectNotFoundError(f"{uri}: the version has no such folder", uri=uri)
        return table

    async def diff(self, other: Version) -> Diff:
        """Return what leads from this version to another one, of any artifact and any registry.

        Segments that both share are not read. See ``Diff`` for how to read it.
        """
        old, new = await to_thread.run_sync(lambda: (self.rows, other.rows))
        return Diff(self.uri, other.uri, old, new)

    def to_arrow(self, columns: Sequence[str] | None = None) -> pa.RecordBatchReader:
        """Return a reader of all entries, in path order, which reads the manifest while it is read itself.

        Memory holds a part of a segment; ``read_all()`` makes a table of it, about 200 bytes an entry.

        Args:
            columns: Those of ``MANIFEST_SCHEMA`` to read; by default all of them.

        Raises:
            ValueError: There is no such column.
        """
        schema = columns_schema(columns)
        return pa.RecordBatchReader.from_batches(schema, self.rows.between(columns=columns))

    def parquet_paths(self) -> list[str]:
        """Return the Parquet files that hold its entries, in path order: for DuckDB, Polars, pandas and others to read.

        They are the registry's own: other versions share them, so they must not be changed. There are none if there are
        no entries.
        """
        index, store = self.index, self.store
        return [str(store.segment_path(segment.name)) for segment in index.segments]

    def batches(self, *, prefix: str = "") -> Iterator[pa.RecordBatch]:
        """Iterate over the entries, in path order, as ``pyarrow.RecordBatch`` of ``MANIFEST_SCHEMA``."""
        return read_manifest(self.index, self.store.segment_path, prefix=prefix)

    async def download(
        self,
        root: str | PathLike[str] | None = None,
        *,
        path_prefix: str | None = None,
        allow_missing_references: bool = False,
        options: StoreOptions | Iterable[StoreOptions] | None = None,
    ) -> Path:
        """Copy the recorded files below a directory: the very versions that were recorded.

        Files that are there and right are kept; files the version does not have are left alone.

        Args:
            root: The directory; ``artifacts/NAME:vN`` by default.
            path_prefix: Only entries whose path begins with it.
            allow_missing_references: Leave out what is not there any more; otherwise it is an error.
            options: How the objects' stores are reached (``S3Options``, …); by default as the run says.

        Returns:
            The directory.

        Raises:
            InvalidPathError: A path would leave the root, or cannot be a file name; nothing was fetched.
            PathConflictError: Two entries would be one file; nothing was fetched.
            DigestMismatchError: An object was overwritten, and what was recorded cannot be had.
            ObjectNotFoundError: An object is not there any more.
        """
        report = await self.fetch(
            root, path_prefix=path_prefix, allow_missing_references=allow_missing_references, options=options
        )
        return report.directory

    async def fetch(
        self,
        root: str | PathLike[str] | None = None,
        *,
        path_prefix: str | None = None,
        allow_missing_references: bool = False,
        options: StoreOptions | Iterable[StoreOptions] | None = None,
        on_start: Callable[[Downloaded], None] | None = None,
    ) -> Downloaded:
        """Do as ``download`` does, and tell what was done.

        ``on_start`` gets the report as the download begins; it counts up while files arrive.
        """
        report = Downloaded(Path("artifacts") / self.name if root is None else Path(root))
        if on_start is not None:
            on_start(report)
        index, store = self.index, self.store
        await download(
            lambda: read_manifest(index, store.segment_path, prefix=path_prefix or ""),
            self.resolver(options),
            report,
            allow_missing=allow_missing_references,
        )
        return report

    async def to_wandb(self, run: Any) -> Any:
        """Log this version to a W&B run, without scanning again; see ``refscan.wandb.to_wandb``."""
        return await import_module("refscan.wandb").to_wandb(self, run)

    async def delete(self, *, delete_aliases: bool = False, force: bool = False) -> None:
        """Delete this version; its number is never given again, and ``refscan gc`` frees what only it needed.

        Args:
            delete_aliases: Delete its aliases with it; otherwise a version with aliases other than ``latest`` stays.
            force: Delete it though entries of other versions refer to it.

        Raises:
            ArtifactError: It has aliases, or is referred to.
            RegistryError: It is not there any more.
        """
        async with Registry(self._directory) as registry:
            await delete_version(
                registry,
                self.project,
                self.artifact_name,
                self.version,
                delete_aliases=delete_aliases,
                force=force,
            )

    async def verify(self, *, options: StoreOptions | Iterable[StoreOptions] | None = None) -> Verification:
        """Check which references still resolve to what was recorded.

        References are listed again, not asked for one by one; local files are read again; overwritten objects count
        as present while their recorded version can be had. ``options`` are as for ``download``.
        """
        index, store = self.index, self.store
        return await verify(read_manifest(index, store.segment_path), self.receipts, self.resolver(options))

    def resolver(self, options: StoreOptions | Iterable[StoreOptions] | None = None) -> Resolver:
        """Return what finds and opens its objects; to be closed."""
        return Resolver(self.store.file_path, self._follow, with_defaults(as_options(options), self._options))

    async def _follow(self, uri: str) -> Mapping[str, Any]:
        """Return the row of what an entry of another artifact finally means."""
        while True:
            entry = await find_entry_by_uri(uri, self._directory)
            if entry.ref is None or not is_entry_uri(entry.ref):
                return {name: getattr(entry, name) for name in ENTRY_FIELDS}
            uri = entry.ref
