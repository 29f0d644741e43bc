"""A logged version of an artifact."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from os import PathLike
from pathlib import Path
from typing import Any

import pyarrow as pa
from anyio import to_thread

from refscan.download.fetch import Downloaded, download
from refscan.download.resolver import Resolver
from refscan.download.verify import Verification, verify
from refscan.manifest.index import Index
from refscan.manifest.reader import find_entry, read_manifest
from refscan.manifest.receipt import Receipt
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

    async def get_entry(self, path: str) -> Entry:
        """Return one entry by its path.

        Raises:
            ObjectNotFoundError: There is none.
        """
        return entry_of(await to_thread.run_sync(self._find, path), self.uri, path)

    def _find(self, path: str) -> pa.RecordBatch:
        return find_entry(self.index, self.store.segment_path, path)

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
            self._resolver(options),
            report,
            allow_missing=allow_missing_references,
        )
        return report

    async def verify(self, *, options: StoreOptions | Iterable[StoreOptions] | None = None) -> Verification:
        """Check which references still resolve to what was recorded.

        References are listed again, not asked for one by one; local files are read again; overwritten objects count
        as present while their recorded version can be had. ``options`` are as for ``download``.
        """
        index, store = self.index, self.store
        return await verify(read_manifest(index, store.segment_path), self.receipts, self._resolver(options))

    def _resolver(self, options: StoreOptions | Iterable[StoreOptions] | None) -> Resolver:
        return Resolver(self.store.file_path, self._follow, with_defaults(as_options(options), self._options))

    async def _follow(self, uri: str) -> Mapping[str, Any]:
        """Return the row of what an entry of another artifact finally means."""
        while True:
            entry = await find_entry_by_uri(uri, self._directory)
            if entry.ref is None or not is_entry_uri(entry.ref):
                return {name: getattr(entry, name) for name in ENTRY_FIELDS}
            uri = entry.ref
