"""One entry of a logged version, and the URI that other artifacts refer to it by."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pyarrow as pa
from anyio import to_thread

from refscan.errors import InvalidURIError, ObjectNotFoundError
from refscan.manifest.seek import ManifestRows
from refscan.registry.current import current_run
from refscan.registry.registry import Registry
from refscan.settings import registry_directory

__all__ = ["ENTRY_FIELDS", "Entry", "entry_of", "find_entry_by_uri", "is_entry_uri", "split_entry_uri"]

ENTRY_FIELDS = ("path", "ref", "digest", "size", "version_id", "e_tag", "checksum", "last_modified")
"""The columns of ``MANIFEST_SCHEMA`` that an entry has."""

_URI = re.compile(r"refscan://([^/]+)/([^/:]+):([^/]+)/(.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of a logged artifact version.

    Attributes:
        uri: ``refscan://PROJECT/NAME:vN/PATH``.
        path: Its path in the artifact.
        ref: Where the object lies; ``None`` for a file that is stored with the registry.
        digest: Its identity, as W&B records it.
        size: In bytes, if it is known.
        version_id: The pin, if there is one.
        e_tag: The store's ETag, if there is one.
        checksum: ``ALGORITHM:BASE64``, if the store tells one that ``digest`` is not.
        last_modified: When the object was written, if it is known.
    """

    uri: str
    path: str
    ref: str | None
    digest: str
    size: int | None
    version_id: str | None
    e_tag: str | None
    checksum: str | None
    last_modified: datetime | None


def is_entry_uri(uri: str) -> bool:
    """Tell whether a URI means an entry of a logged artifact."""
    return uri.startswith("refscan://")


def split_entry_uri(uri: str) -> tuple[str, str, str, str]:
    """Return project, artifact, alias and path.

    Raises:
        InvalidURIError: It is not ``refscan://PROJECT/NAME:ALIAS/PATH``.
    """
    match = _URI.fullmatch(uri)
    if match is None:
        raise InvalidURIError(f"{uri!r} is not refscan://PROJECT/NAME:ALIAS/PATH", uri=uri)
    return match[1], match[2], match[3], match[4]


def entry_of(rows: pa.RecordBatch, artifact_uri: str, path: str) -> Entry:
    """Return the one row as an entry.

    Raises:
        ObjectNotFoundError: There is no row.
    """
    if rows.num_rows == 0:
        uri = f"{artifact_uri}/{path}"
        raise ObjectNotFoundError(f"{uri}: the version has no such entry", uri=uri)
    row = rows.to_pylist()[0]
    return Entry(uri=f"{artifact_uri}/{path}", **{name: row[name] for name in ENTRY_FIELDS})


async def find_entry_by_uri(uri: str, directory: Path | None = None) -> Entry:
    """Return the entry that a URI means: in ``directory``, else the current run's registry, else the default one.

    Raises:
        RegistryError: There is no such version.
        ObjectNotFoundError: It has no such entry.
    """
    project, name, alias, path = split_entry_uri(uri)
    run = current_run()
    chosen = directory or (run.registry.directory if run is not None else registry_directory())
    async with Registry(chosen) as registry:
        record = await registry.catalog.find(project, name, alias)
        store = registry.store
        rows = await to_thread.run_sync(
            lambda: ManifestRows(store.read_index(record.manifest), store.segment_path).find(path)
        )
        return entry_of(rows, f"refscan://{project}/{name}:v{record.number}", path)
