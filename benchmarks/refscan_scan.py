"""refscan: one reference into an artifact, its rows in path order with their pins."""

from __future__ import annotations

from refscan import Artifact  # with all it brings along: the names of the package load lazily

__all__ = ["run"]


async def run(uri: str, *, versions: bool) -> int:
    """Return the number of objects recorded."""
    del versions  # it finds out by itself
    artifact = Artifact("bench", "dataset")
    receipt = await artifact.add_reference(uri, max_objects=None)
    if receipt is None:
        raise TypeError(f"{uri} was tracked, not scanned")
    return receipt.objects
