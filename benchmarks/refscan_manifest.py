"""refscan: one reference to a sealed manifest on disk, in a registry that goes away with the work."""

from __future__ import annotations

import tempfile

from measure import Recorded

from refscan import Artifact, init  # with all they bring along: the names of the package load lazily

__all__ = ["run"]


async def run(uri: str, *, versions: bool) -> Recorded:
    """Return the number of objects recorded, and the manifest's digests."""
    del versions  # it finds out by itself
    with tempfile.TemporaryDirectory(prefix="refscan-bench-") as registry:
        async with init(project="bench", registry=registry) as session:
            artifact = Artifact("bench", "dataset")
            receipt = await artifact.add_reference(uri, max_objects=None)
            version = await session.log_artifact(artifact)
            if receipt is None:
                raise TypeError(f"{uri} was tracked, not scanned")
            return Recorded(receipt.objects, f"{version.digest} {version.pin_digest}")
