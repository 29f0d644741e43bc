"""A recorded version becomes a version of a W&B artifact: its manifest goes over, nothing is scanned again."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import anyio
import pyarrow as pa
import pyarrow.compute as pc
from anyio import to_thread

from refscan.errors import DigestMismatchError, StoreError
from refscan.registry.entry import ENTRY_FIELDS, find_entry_by_uri, is_entry_uri
from refscan.registry.version import Version
from refscan.scan.quoting import unquote_keys
from refscan.wandb.entries import entries_of, insert
from refscan.wandb.sdk import load_sdk, translated
from refscan.wandb.shape import with_columns

__all__ = ["to_wandb"]

_AZURE = r"^https://[^/]+\.blob\.core\.windows\.net/.*%"

_turns: weakref.WeakKeyDictionary[Any, anyio.Lock] = weakref.WeakKeyDictionary()


async def to_wandb(version: Version, run: Any, *, name: str | None = None, aliases: Sequence[str] | None = None) -> Any:
    """Log a recorded version to a W&B run, with its references, pins, description and metadata.

    Versions of one run are logged in the order of the calls, each when W&B has committed the one before; an offline
    run has it in its directory then, for ``wandb sync``. Files that are stored with the registry go along as files,
    read from there when W&B uploads them. The W&B artifact has the version's digest.

    Args:
        version: The version.
        run: A ``wandb.Run``.
        name: The W&B artifact's name; by default the artifact's own.
        aliases: Its aliases; by default the version's own.

    Returns:
        The ``wandb.Artifact``.

    Raises:
        ArtifactError: W&B refuses the name, the type, an alias or the metadata.
        InvalidPathError: W&B takes no entry at such a path.
        StoreError: W&B cannot be reached, or fails; or a stored file is lost.
    """
    lock = _turns.setdefault(run, anyio.Lock())
    async with lock:
        wandb = load_sdk()
        with translated(version.uri):
            artifact = wandb.Artifact(
                name or version.artifact_name,
                version.type,
                description=version.description,
                metadata=dict(version.metadata),
            )
        for batch in version.batches():
            rows = await _followed(batch, version)
            paths = await to_thread.run_sync(_stored_paths, rows, version)
            entries = await to_thread.run_sync(partial(entries_of, _as_wandb(rows), local_paths=paths))
            insert(artifact, entries)
        chosen = list(version.aliases if aliases is None else aliases)
        with translated(version.uri):
            await to_thread.run_sync(partial(run.log_artifact, artifact, aliases=chosen or None))
            if not run.offline:
                await to_thread.run_sync(artifact.wait)
        return artifact


async def _followed(rows: pa.RecordBatch, version: Version) -> pa.RecordBatch:
    """Return the rows with what entries of other artifacts finally mean, since W&B knows nothing of those."""
    named = pc.fill_null(pc.starts_with(rows.column("ref"), "refscan://"), False)
    if not pc.any(named).as_py():
        return rows
    found = rows.to_pylist()
    for index in pc.indices_nonzero(named).to_pylist():
        meant = await _meant(found[index]["ref"], version)
        if meant["digest"] != found[index]["digest"]:
            uri = found[index]["ref"]
            raise DigestMismatchError(
                f"{uri} has another digest in this registry; it was recorded from another", uri=uri
            )
        found[index] |= {name: meant[name] for name in ENTRY_FIELDS if name not in ("path", "digest")}
    return pa.RecordBatch.from_pylist(found, rows.schema)


async def _meant(uri: str, version: Version) -> Mapping[str, Any]:
    while True:
        entry = await find_entry_by_uri(uri, version.store.root)
        if entry.ref is None or not is_entry_uri(entry.ref):
            return {name: getattr(entry, name) for name in ENTRY_FIELDS}
        uri = entry.ref


def _stored_paths(rows: pa.RecordBatch, version: Version) -> list[str | None]:
    """Return the registry's file of each row that is stored, else ``None``.

    Raises:
        StoreError: One is not there, or has another size: W&B would notice when it uploads it, or never.
    """
    columns = (rows.column(name).to_pylist() for name in ("ref", "digest", "size"))
    return [
        _stored_path(digest, size, version) if ref is None else None for ref, digest, size in zip(*columns, strict=True)
    ]


def _stored_path(digest: str, size: int, version: Version) -> str:
    path = version.store.file_path(digest)
    try:
        whole = path.stat().st_size == size
    except FileNotFoundError:
        whole = False
    if not whole:
        raise StoreError(f"the registry's store lacks {path}, or it is damaged; restore it from a backup")
    return str(path)


def _as_wandb(rows: pa.RecordBatch) -> pa.RecordBatch:
    """Return the rows with blobs' names as they are, which is how W&B reads them."""
    refs = rows.column("ref")
    escaped = pc.fill_null(pc.match_substring_regex(refs, _AZURE), False)
    if not pc.any(escaped).as_py():
        return rows
    return with_columns(rows, ref=pc.if_else(escaped, unquote_keys(refs, "azure"), refs))
