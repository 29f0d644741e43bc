"""From rows of a manifest to W&B's entries, which are Python objects, and into a ``wandb.Artifact``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from refscan.errors import ArtifactError, InvalidPathError
from refscan.manifest.merge import conflict
from refscan.redact import redact
from refscan.wandb.sdk import entry_class, logical_path_class

if TYPE_CHECKING:
    from wandb.sdk.artifacts.artifact_manifest_entry import ArtifactManifestEntry

__all__ = ["bare_entries", "check_open", "entries_of", "insert"]

# What W&B refuses as an entry's path, on every system: absolute, with a drive, leading out, or the root itself.
_REFUSED = r"^(?:[/\\]|[A-Za-z]:)|(?:^|[/\\])\.\.(?:[/\\]|$)|^(?:\./*)*$"


def entries_of(
    rows: pa.RecordBatch, *, pins: bool = True, local_paths: Sequence[str | None] | None = None
) -> list[ArtifactManifestEntry]:
    """Return W&B's entries of rows (``MANIFEST_SCHEMA``): the fields that W&B sets for each kind of store.

    Their paths are byte for byte those of the rows: W&B's own constructor would make ``a/b`` of ``a//b``.

    Args:
        rows: The entries.
        pins: Record version IDs.
        local_paths: For each row the file to upload, if it is one.

    Raises:
        InvalidPathError: W&B takes no such path.
    """
    _check_paths(rows.column("path"))
    extras = _extras(rows, pins=pins)
    columns = (rows.column(name).to_pylist() for name in ("path", "ref", "digest", "size"))
    make, text, path_class = entry_class().model_construct, str.__new__, logical_path_class()
    found = []
    for path, ref, digest, size, extra, local in zip(
        *columns, extras, local_paths or [None] * rows.num_rows, strict=True
    ):
        # ``model_construct`` validates nothing, and costs half of what the constructor does.
        found.append(
            make(path=text(path_class, path), ref=ref, digest=digest, size=size, extra=extra, local_path=local)
        )
    return found


def bare_entries(paths: Iterable[str], refs: Iterable[str]) -> list[ArtifactManifestEntry]:
    """Return entries as W&B makes them with ``checksum=False``: the URI is the digest, and nothing else is known.

    Raises:
        InvalidPathError: W&B takes no such path.
    """
    paths = list(paths)
    _check_paths(pa.array(paths, pa.string()))
    make, text, path_class = entry_class().model_construct, str.__new__, logical_path_class()
    pairs = zip(paths, refs, strict=True)
    return [make(path=text(path_class, path), ref=ref, digest=ref) for path, ref in pairs]


def insert(artifact: Any, entries: Sequence[ArtifactManifestEntry]) -> None:
    """Put entries into a ``wandb.Artifact``: all, or none. An entry of the same path and digest is replaced.

    Raises:
        ArtifactError: The artifact was logged.
        PathConflictError: A path is taken by another digest.
    """
    check_open(artifact)
    standing = artifact.manifest.entries
    added: dict[str, ArtifactManifestEntry] = {}
    for entry in entries:
        other = added.get(entry.path) or standing.get(entry.path)
        if other is not None and other.digest != entry.digest:
            raise conflict(str(entry.path), *(redact(one.ref or "") or None for one in (entry, other)))
        added[entry.path] = entry
    standing.update(added)


def check_open(artifact: Any) -> None:
    """Make sure that an artifact can be added to.

    Raises:
        ArtifactError: It was logged, and keeps its entries.
    """
    if getattr(artifact, "_final", False) or not artifact.is_draft():
        raise ArtifactError(
            f"the W&B artifact {artifact.name!r} was logged and takes no more entries; make a new wandb.Artifact"
        )


def _extras(rows: pa.RecordBatch, *, pins: bool) -> list[dict[str, Any]]:
    """Return what W&B notes beside the digest: the ETag, and the pin; for Google the generation alone, a number."""
    google = pc.fill_null(pc.starts_with(rows.column("ref"), "gs://"), False).to_pylist()
    versions = rows.column("version_id").to_pylist() if pins else [None] * rows.num_rows
    return [
        _extra_of_google(version) if is_google else _extra(e_tag, version)
        for is_google, e_tag, version in zip(google, rows.column("e_tag").to_pylist(), versions, strict=True)
    ]


def _extra(e_tag: str | None, version: str | None) -> dict[str, Any]:
    extra = {} if e_tag is None else {"etag": e_tag}
    if version is not None and version != "null":
        extra["versionID"] = version
    return extra


def _extra_of_google(version: str | None) -> dict[str, Any]:
    return {} if version is None else {"versionID": int(version)}


def _check_paths(paths: pa.Array) -> None:
    refused = pc.match_substring_regex(paths, _REFUSED)
    if pc.any(refused).as_py():
        path = paths.filter(refused)[0].as_py()
        raise InvalidPathError(f"W&B takes no entry at the path {path!r}; give name=, or leave this object out")
