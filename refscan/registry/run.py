"""A run: logs artifacts in the order of the calls, and remembers what it used and logged."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Iterable, Sequence
from contextvars import Token
from dataclasses import dataclass
from os import PathLike
from types import TracebackType
from typing import Self

import anyio
import pyarrow.compute as pc
from anyio import to_thread

from refscan.errors import ArtifactError
from refscan.manifest.index import Index
from refscan.manifest.writer import write_manifest
from refscan.registry.artifact import Artifact
from refscan.registry.current import enter_run, leave_run
from refscan.registry.draft import Draft
from refscan.registry.links import linked_versions
from refscan.registry.queue import LogHandle, LogQueue
from refscan.registry.records import Proposal
from refscan.registry.registry import Registry
from refscan.registry.text import check_text
from refscan.registry.version import Version
from refscan.scan.pipeline import Scan
from refscan.settings import registry_directory
from refscan.sources.options import StoreOptions, as_options

__all__ = ["Run", "check_aliases", "init"]

_QUEUE_SIZE = 1_024
_PROJECT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_NUMBERED = re.compile(r"v\d+")


@dataclass(frozen=True, slots=True)
class _Asked:
    artifact: Artifact
    aliases: tuple[str, ...]
    metadata: str
    description: str | None


def init(
    *,
    project: str,
    job_type: str | None = None,
    group: str | None = None,
    registry: str | PathLike[str] | None = None,
    options: StoreOptions | Iterable[StoreOptions] | None = None,
    queue_size: int = _QUEUE_SIZE,
) -> Run:
    """Begin a run, with ``async with``; leaving the block waits until everything it logged is committed.

    Args:
        project: The project; made if it is new.
        job_type: What kind of run it is.
        group: The group of runs it belongs to.
        registry: The registry's directory; by default ``REFSCAN_REGISTRY``, else the user's data directory.
        options: How stores are reached (``S3Options``, …) by what is added, downloaded and verified in this run.
        queue_size: Versions waiting to be committed at which additions to new artifacts wait.

    Raises:
        ArtifactError: A project name that cannot be used.
        ValueError: ``queue_size`` is less than 1.
    """
    if queue_size < 1:
        raise ValueError(f"queue_size must be at least 1, not {queue_size}")
    if not _PROJECT.fullmatch(project):
        raise ArtifactError(f"{project!r} cannot name a project; use letters, digits, '.', '-' and '_'")
    return Run(
        project,
        job_type=job_type,
        group=group,
        registry=Registry(registry_directory(registry)),
        options=as_options(options),
        queue_size=queue_size,
    )


def check_aliases(aliases: str | Sequence[str]) -> tuple[str, ...]:
    """Return the aliases, if they can be.

    Raises:
        ArtifactError: One is empty, a version number, or has a character that names of versions are cut at.
    """
    names = (aliases,) if isinstance(aliases, str) else tuple(aliases)
    for name in names:
        if not name or _NUMBERED.fullmatch(name) or re.search(r"[/:\s\x00-\x1f]", name):
            raise ArtifactError(f"{name!r} cannot be an alias; use a word that is not 'v' and a number")
        check_text(name)
    return names


class Run:
    """One run of a project; made by ``refscan.init``.

    Attributes:
        id: Its name in the registry.
        project: The project it belongs to.
        job_type: What kind of run it is.
        group: The group of runs it belongs to.
        registry: Where it logs to.
        options: How stores are reached.
        on_scan: Called with each scan that artifacts made in this run begin, to watch it.
    """

    def __init__(
        self,
        project: str,
        *,
        job_type: str | None,
        group: str | None,
        registry: Registry,
        options: tuple[StoreOptions, ...],
        queue_size: int,
    ) -> None:
        self.id = uuid.uuid4().hex[:12]
        self.project = project
        self.job_type = job_type
        self.group = group
        self.registry = registry
        self.options = options
        self.on_scan: Callable[[Scan], None] | None = None
        # Of what is prepared and not committed.
        self._drafts: dict[int, Draft] = {}
        self._queue: LogQueue[_Asked, Proposal, Version] = LogQueue(self._prepare, self._commit, size=queue_size)
        self._tasks = anyio.create_task_group()
        self._token: Token[Run | None] | None = None

    async def __aenter__(self) -> Self:
        await self.registry.__aenter__()
        try:
            await self.registry.catalog.start_run(self.id, self.project, self.job_type, self.group)
        except BaseException:
            await self.registry.__aexit__(None, None, None)
            raise
        await self._tasks.__aenter__()
        self._queue.start(self._tasks)
        self._token = enter_run(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._token is not None:
            leave_run(self._token)
        state = "failed"
        try:
            if error is None or isinstance(error, Exception):
                self._queue.end()
            else:
                self._tasks.cancel_scope.cancel()
            await self._tasks.__aexit__(None, None, None)
            if error is None and not self._queue.unseen_errors():
                state = "finished"
        finally:
            with anyio.CancelScope(shield=True):
                self._queue.abandon()
                try:
                    await self.registry.catalog.end_run(self.id, state)
                finally:
                    await self.registry.__aexit__(None, None, None)
        if error is None and (unseen := self._queue.unseen_errors()):
            if len(unseen) > 1:
                unseen[0].add_note(f"{len(unseen) - 1} more versions of this run failed")
            raise unseen[0]

    async def room(self) -> None:
        """Wait until the log queue is not full."""
        await self._queue.room()

    def log_artifact(self, artifact: Artifact, *, aliases: Sequence[str] = ()) -> LogHandle[Version]:
        """Log an artifact; returns at once.

        Versions ``v0``, ``v1``, … are numbered in the order of the calls, always. The alias ``latest`` moves with
        them. Content that equals the newest version's makes no new version. Nothing can be added to the artifact
        afterwards.

        Args:
            artifact: The draft.
            aliases: Names that shall mean this version from now on.

        Returns:
            An awaitable: the version, or the error that kept it from being committed. An error that nobody awaits
            is raised when the run is left.

        Raises:
            ArtifactError: Additions are still under way, an alias cannot be used, or the run is closed.
        """
        names = check_aliases(aliases)
        self._queue.check_open()
        artifact.check()
        metadata = artifact.metadata_json()
        artifact.seal()
        return self._queue.put(_Asked(artifact, names, metadata, artifact.description))

    async def use_artifact(self, artifact: str | Artifact, *, type: str | None = None) -> Version:  # noqa: A002
        """Mark an artifact version as an input of this run.

        Args:
            artifact: ``NAME``, ``NAME:ALIAS`` or ``NAME:vN``, with ``PROJECT/`` before it for another project;
                or a draft, which is logged first and makes a new version only if its files changed.
            type: The type it must have.

        Raises:
            RegistryError: There is no such version.
            ArtifactError: It has another type.
        """
        if isinstance(artifact, Artifact):
            logged = await self.log_artifact(artifact)
            name, created = f"{logged.project}/{logged.name}", logged.created
        else:
            name, created = artifact, False
        project, _, rest = name.rpartition("/")
        name, _, alias = rest.partition(":")
        record = await self.registry.catalog.find(project or self.project, name, alias or "latest")
        if type is not None and record.type != type:
            raise ArtifactError(f"{record.project}/{record.name} has the type {record.type!r}, not {type!r}")
        await self.registry.catalog.use(self.id, record)
        return Version.of(record, self.registry, created=created, options=self.options)

    async def _prepare(self, asked: _Asked) -> Proposal:
        artifact = asked.artifact
        index, name, links = await to_thread.run_sync(self._write, artifact)
        receipts = [receipt.to_json() for receipt in artifact.draft.receipts]
        proposal = Proposal(
            project=self.project,
            name=artifact.name,
            type=artifact.type,
            description=asked.description,
            metadata=asked.metadata,
            receipts=json.dumps(receipts),
            digest=index.digest,
            pin_digest=index.pin_digest,
            manifest=name,
            entry_count=index.entry_count,
            size=index.size,
            aliases=asked.aliases,
            run_id=self.id,
            links=links,
        )
        self._drafts[id(proposal)] = artifact.draft
        return proposal

    def _write(self, artifact: Artifact) -> tuple[Index, str, tuple[str, ...]]:
        """Store files, segments and index; the transaction that makes them a version comes after.

        Returns:
            The index, its name, and the versions that are referred to.
        """
        store = self.registry.store
        with artifact.writing:
            again = artifact.staging.moved
            artifact.staging.move_to(store)
            if again:
                # Another run has stored them. Garbage collection is to see that this one needs them, too.
                for rows in artifact.draft.batches():
                    stored = rows.filter(pc.is_null(rows.column("ref")))
                    store.touch_files(stored.column("digest").to_pylist())
            index = write_manifest(artifact.draft.batches(), store.put_segment)
            name = store.put_index(index)
        linked = any(segment.links for segment in index.segments)
        return index, name, tuple(uri for _, uri in linked_versions(store, [name])) if linked else ()

    async def _commit(self, proposals: Sequence[Proposal]) -> Sequence[Version | Exception]:
        outcomes = await self.registry.catalog.commit(proposals)
        for proposal, outcome in zip(proposals, outcomes, strict=True):
            draft = self._drafts.pop(id(proposal))
            if not outcome.error:
                draft.logged()
        return [
            outcome.error
            or Version.of(
                outcome.record,  # type: ignore[arg-type]  # there if there is no error
                self.registry,
                created=outcome.created,
                options=self.options,
            )
            for outcome in outcomes
        ]
