"""A W&B manifest becomes a version of the registry, which can be verified, compared and downloaded."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, closing
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from anyio import to_thread

from refscan.errors import ArtifactError, DigestMismatchError, ListingOrderError, ObjectNotFoundError, RegistryError
from refscan.manifest.digest import ContentDigest
from refscan.manifest.schema import MANIFEST_SCHEMA
from refscan.registry.artifact import Artifact
from refscan.registry.current import current_run
from refscan.registry.run import Run, init
from refscan.registry.staging import StagingSource
from refscan.registry.version import Version
from refscan.scan.sorter import Sorter
from refscan.scan.spool import Spool
from refscan.sources.local.errors import translated
from refscan.wandb.manifest_json import ManifestError, read_entries
from refscan.wandb.rows import rows_of, stored_in

__all__ = ["from_wandb"]

_ROWS = 16_384


async def from_wandb(
    source: Any,
    *,
    name: str | None = None,
    type: str | None = None,  # noqa: A002  the word of the field
    project: str | None = None,
    aliases: Sequence[str] = (),
    files: str | PathLike[str] | None = None,
    digest: str | None = None,
    run: Run | None = None,
) -> Version:
    """Record a W&B artifact, or the file of its manifest, as a version.

    Paths, references, pins, sizes and digests are kept, and so the version has W&B's own digest; nothing is scanned.
    Memory does not grow with the number of entries of a file.

    Args:
        source: A ``wandb.Artifact``, or the path of a W&B manifest (``wandb_manifest.json``, version 1).
        name: The artifact's name; by default that of the W&B artifact.
        type: Its type; by default that of the W&B artifact, and ``dataset`` for a file.
        project: Where to log it without a run; by default the W&B artifact's project.
        aliases: Names that shall mean this version.
        files: A folder with the files that W&B has itself (``wandb_artifact.download()`` fills one); they are stored
            with the registry. Without it such entries are refused.
        digest: What the manifest's digest must be; by default that of the W&B artifact.
        run: Logs the version; by default the current run, else one that is made for it.

    Returns:
        The version.

    Raises:
        ArtifactError: The manifest is damaged, has another digest, or entries that only W&B has.
        RegistryError: No run, and no project.
        DigestMismatchError: A file in ``files`` is not the one that was recorded.
    """
    is_file = isinstance(source, (str, PathLike))
    shown = fspath(source) if is_file else f"the W&B artifact {source.name!r}"
    chosen = name or (Path(shown).name.partition(".")[0] if is_file else source.name.partition(":")[0])
    artifact = Artifact(
        chosen,
        type or ("dataset" if is_file else source.type),
        description=None if is_file else source.description,
        metadata=None if is_file else source.metadata,
    )
    expected = digest or (None if is_file else await to_thread.run_sync(_digest_of, source, shown))
    batches = _of_file(Path(source)) if is_file else _of_artifact(source, shown)
    folder = None if files is None else Path(files)
    rows = await to_thread.run_sync(_collect, batches, shown, expected, folder)
    with closing(rows):
        await _store(artifact, rows, shown, folder)
        await artifact.draft.add_runs([await to_thread.run_sync(_references, rows)], None)
    async with AsyncExitStack() as stack:
        run = run or current_run()
        if run is None:
            project = project or (None if is_file or source.is_draft() else source.project)
            if not project:
                raise RegistryError(f"{shown}: no project to record it in; give project=, or call it in a run")
            run = await stack.enter_async_context(init(project=project, job_type="pull"))
        return await run.log_artifact(artifact, aliases=aliases)


def _digest_of(source: Any, shown: str) -> str | None:
    """Return the digest that the artifact has, if it is one that refscan computes too.

    Raises:
        ArtifactError: The artifact's manifest is not the one that its digest says.
    """
    if source.manifest.digest() != source.digest:
        raise ManifestError(f"{shown} has the digest {source.digest}, its manifest another; get it again")
    of_md5: str = source.digest
    return of_md5 if getattr(source, "digest_algorithm", "MANIFEST_MD5") == "MANIFEST_MD5" else None


def _of_file(path: Path) -> Iterator[pa.RecordBatch]:
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise ObjectNotFoundError(f"{path}: no such file") from None
    with file:
        for entries in read_entries(file, str(path)):
            yield rows_of(str(path), list(entries), list(entries.values()))


def _of_artifact(source: Any, shown: str) -> Iterator[pa.RecordBatch]:
    items = iter(source.manifest.entries.items())
    while some := list(itertools.islice(items, _ROWS)):
        fields = [
            {"ref": entry.ref, "digest": entry.digest, "size": entry.size, "extra": entry.extra} for _, entry in some
        ]
        yield rows_of(shown, [str(path) for path, _ in some], fields)


def _collect(batches: Iterator[pa.RecordBatch], shown: str, expected: str | None, files: Path | None) -> Spool:
    """Return all rows in path order.

    Raises:
        ArtifactError: A path stands there twice, the digest is another, or W&B has a file that ``files`` is not for.
    """
    sorter, found, content = Sorter(shown, MANIFEST_SCHEMA, "path"), Spool(MANIFEST_SCHEMA, "path"), ContentDigest()
    for rows in batches:
        stored = stored_in(rows)
        if files is None and stored.num_rows:
            path = stored.column("path")[0].as_py()
            raise ArtifactError(
                f"{shown}: the file of {path!r} is stored with W&B itself; download the artifact there and give its "
                f"folder (files=, --files)"
            )
        sorter.add(rows)
    try:
        for rows in sorter.batches():
            content.update(rows)
            found.append(rows)
    except ListingOrderError:
        raise ManifestError(f"{shown} is damaged: a path stands there twice; get it again") from None
    found.seal()
    if expected is not None and content.hexdigest() != expected:
        raise ManifestError(
            f"{shown} is damaged: its digest is {content.hexdigest()}, and should be {expected}; get it again"
        )
    return found


async def _store(artifact: Artifact, rows: Spool, shown: str, files: Path | None) -> None:
    """Add the files that W&B has itself.

    Raises:
        ObjectNotFoundError: One is not in the folder.
        DigestMismatchError: One is another.
    """
    if files is None:
        return
    staging = StagingSource(artifact.staging)
    for batch in rows:
        for row in stored_in(batch).to_pylist():
            name = row["path"]
            path = files / name
            if not path.resolve().is_relative_to(files.resolve()):
                raise ManifestError(f"{shown} is damaged: the entry {name!r} leads out of its folder")
            with translated(str(path)):
                facts = await to_thread.run_sync(staging.read_facts, str(path))
            if facts is None:
                raise ObjectNotFoundError(f"{path}: not a file")
            if facts.md5 != row["digest"]:
                raise DigestMismatchError(f"{path} is not the file that {shown} has as {name!r}; download it anew")
            await artifact.draft.add_row({"path": name, "digest": row["digest"], "size": facts.size})


def _references(rows: Spool) -> Spool:
    references = Spool(MANIFEST_SCHEMA, "path")
    for batch in rows:
        references.append(batch.filter(pc.is_valid(batch.column("ref"))))
    references.seal()
    return references
