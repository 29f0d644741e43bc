"""refscan: ``verify`` of a version, every pin against the bucket; recording it beforehand is not measured."""

from __future__ import annotations

import tempfile

from recorded import forget_requests

from refscan import Artifact, Version, init

__all__ = ["prepare", "run"]

_RECORDED: dict[str, Version] = {}
_REGISTRY = tempfile.TemporaryDirectory(prefix="refscan-bench-")


async def prepare(uri: str) -> None:
    """Record what is to be verified."""
    async with init(project="bench", registry=_REGISTRY.name) as session:
        artifact = Artifact("bench", "dataset")
        await artifact.add_reference(uri, max_objects=None)
        _RECORDED[uri] = await session.log_artifact(artifact)
    forget_requests()


async def run(uri: str, *, versions: bool) -> int:
    """Return the number of entries that were checked and found present."""
    del versions
    found = await _RECORDED[uri].verify()
    if set(found.counts) != {"present"}:
        raise ValueError(f"not all is as recorded: {found.counts}")
    return found.checked
