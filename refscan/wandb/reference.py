"""``add_reference`` for a ``wandb.Artifact``: the entries of its own method, found by refscan's scan."""

from __future__ import annotations

import asyncio
from functools import partial
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any

import anyio
from anyio import from_thread, to_thread

from refscan.errors import InvalidPathError
from refscan.redact import redact
from refscan.registry.artifact import Artifact
from refscan.sources.options import StoreOptions, as_options
from refscan.sources.schemes import has_source, locate
from refscan.uri import Location, scheme_of
from refscan.wandb.entries import bare_entries, check_open, entries_of, insert
from refscan.wandb.sdk import load_sdk, logical_path_class, translated
from refscan.wandb.shape import Shape, bare_place
from refscan.wandb.strict import strict_uri

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wandb.sdk.artifacts.artifact_manifest_entry import ArtifactManifestEntry

__all__ = ["add_reference", "add_reference_sync"]

_MOST_OBJECTS = 10_000_000  # the W&B SDK's own limit
_OF_WANDB = ("s3", "gs", "http", "https", "file")


async def add_reference(
    artifact: Any,
    uri: str | ArtifactManifestEntry,
    name: str | PathLike[str] | None = None,
    checksum: bool = True,  # noqa: FBT001, FBT002  the W&B SDK's own signature
    max_objects: int | None = None,
    *,
    strict: bool = False,
    options: StoreOptions | Iterable[StoreOptions] | None = None,
) -> list[ArtifactManifestEntry]:
    """Add to a ``wandb.Artifact`` the entries that its own ``add_reference`` would add.

    All of them are added, or none. Paths, references, digests, sizes and extras are W&B's, and so is the artifact's
    digest; the README lists where they differ because W&B's would be wrong.

    Args:
        artifact: A ``wandb.Artifact`` that is not logged yet.
        uri: An object, a folder, a bucket, a file, a directory, a URL, or an entry of another W&B artifact.
        name: Where it stands in the artifact.
        checksum: Digests tell the content; otherwise they tell the URI.
        max_objects: Refuse more objects than this; by default W&B's own limit, 10,000,000.
        strict: Record what W&B records, also where that is wrong.
        options: How the store is reached (``S3Options``, …), where its environment does not say so.

    Returns:
        The entries, in path order.

    Raises:
        ArtifactError: The artifact was logged, or the W&B SDK is not installed.
        InvalidURIError: The URI cannot be read.
        ObjectNotFoundError: There is nothing there.
        MaxObjectsExceededError: There is more than ``max_objects``.
        PathConflictError: A path is taken by another digest.
        InvalidPathError: W&B takes no such path.
    """
    load_sdk()
    check_open(artifact)
    given = as_options(options)
    placed = None if name is None else str(logical_path_class()(fspath(name)))
    if not isinstance(uri, str) or not _is_read(uri, strict=strict):
        return await _leave_to_wandb(artifact, uri, placed, checksum=checksum)
    location = locate(uri, given)
    if strict and location.store in ("s3", "gcs"):
        uri = strict_uri(uri, location.store)
        location = locate(uri, given)
    shown = redact(uri)
    is_object_store = location.store in ("s3", "gcs", "azure")
    if not checksum and ((strict and is_object_store) or _is_page(location, shown)):
        path, ref = bare_place(location, shown, placed)
        entries = bare_entries([str(logical_path_class()(path)) if strict else path], [ref])
    else:
        draft = Artifact("reference", "reference")
        receipt = await draft.add_reference(
            uri,
            _name_for_scan(location, shown, placed),
            checksum=checksum,
            max_objects=max_objects or _MOST_OBJECTS,
            options=next((option for option in given if option.store == location.store), None),
        )
        draft.seal()
        single = receipt is None or receipt.prefix is None
        if single and placed == ".":
            raise InvalidPathError(f"name={name!r} names no file; give one for {location.uri}", uri=location.uri)
        shape = Shape(location, shown, placed, single=single, strict=strict)
        bare = not checksum and is_object_store
        entries = await _entries(draft, shape, bare=bare)
        draft.draft.close()
    insert(artifact, entries)
    return entries


def add_reference_sync(
    artifact: Any,
    uri: str | ArtifactManifestEntry,
    name: str | PathLike[str] | None = None,
    checksum: bool = True,  # noqa: FBT001, FBT002  the W&B SDK's own signature
    max_objects: int | None = None,
    *,
    strict: bool = False,
    options: StoreOptions | Iterable[StoreOptions] | None = None,
) -> list[ArtifactManifestEntry]:
    """Do as ``add_reference`` does, and return when it is done.

    For plain scripts, and for notebooks, whose running event loop waits meanwhile: then the work is done in another
    thread with a loop of its own. Arguments, result and errors are those of ``add_reference``.
    """
    call = partial(add_reference, artifact, uri, name, checksum, max_objects, strict=strict, options=options)
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return anyio.run(call)
    with from_thread.start_blocking_portal() as portal:
        return portal.call(call)


def _is_read(uri: str, *, strict: bool) -> bool:
    """Tell whether refscan reads a URI; what W&B only tracks, it does too if it must be as W&B has it."""
    scheme = scheme_of(uri)
    if scheme in _OF_WANDB:
        return True
    return not strict and scheme not in ("wandb-artifact", "wandb-client-artifact", "refscan") and has_source(uri)


def _is_page(location: Location, uri: str) -> bool:
    """Tell whether a URL can be an entry by itself: it has a last segment."""
    return location.store == "http" and not uri.endswith("/")


def _name_for_scan(location: Location, uri: str, name: str | None) -> str | None:
    if name == ".":
        return None
    if name is None and location.store == "http" and "?" in uri and not uri.endswith("/"):
        return "page"  # a query's URL may have no last segment of a path; its place is W&B's to say
    return name


async def _entries(draft: Artifact, shape: Shape, *, bare: bool) -> list[ArtifactManifestEntry]:
    """Make Python objects of the draft's rows, in a thread, a batch at a time."""
    entries: list[ArtifactManifestEntry] = []
    for batch in draft.draft.batches():
        rows = shape.apply(batch)
        if not bare:
            entries += await to_thread.run_sync(partial(entries_of, rows, pins=shape.pins))
            continue
        paths = rows.column("path").to_pylist()
        if shape.single:
            paths = [bare_place(shape.location, shape.uri, shape.name)[0]]
        entries += await to_thread.run_sync(bare_entries, paths, rows.column("ref").to_pylist())
    return entries


async def _leave_to_wandb(
    artifact: Any, uri: str | ArtifactManifestEntry, name: str | None, *, checksum: bool
) -> list[ArtifactManifestEntry]:
    shown: Any = redact(uri) if isinstance(uri, str) else uri
    with translated(str(getattr(uri, "path", shown))):
        return list(await to_thread.run_sync(partial(artifact.add_reference, shown, name, checksum=checksum)))
