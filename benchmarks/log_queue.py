"""1,000 versions logged in a row and not awaited: how many a second, and is the numbering the order of the calls."""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time

from measure import cpu_seconds

import refscan
from refscan.sources.memory import MemorySource

__all__ = ["run"]

_ENTRIES = 10


async def _prepare(count: int) -> list[refscan.Artifact]:
    """Fill artifacts of ten entries, no two with the same content."""
    bucket = MemorySource("bench")
    artifacts = []
    for index in range(count):
        for entry in range(_ENTRIES):
            bucket.put(f"{index:06}/{entry}.txt", b"%d of %d" % (entry, index))
        artifact = refscan.Artifact("queue", "dataset", metadata={"index": index})
        await artifact.add_reference(f"memory://bench/{index:06}/")
        artifacts.append(artifact)
    return artifacts


async def run(count: int, registry: str) -> dict[str, float | int | bool]:
    """Log ``count`` artifacts in a row, then await every handle."""
    async with refscan.init(project="bench", registry=registry) as session:
        artifacts = await _prepare(count)
        cpu, wall = cpu_seconds(), time.perf_counter()
        handles = [session.log_artifact(artifact) for artifact in artifacts]
        versions = [await handle for handle in handles]
        wall, cpu = time.perf_counter() - wall, cpu_seconds() - cpu
    return {
        "versions": len(versions),
        "wall_s": wall,
        "cpu_s": cpu,
        "versions_per_s": len(versions) / wall,
        "in_call_order": all(
            version.version == f"v{index}" and version.metadata["index"] == index and version.created
            for index, version in enumerate(versions)
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="refscan-bench-") as registry:
        print(json.dumps(asyncio.run(run(options.count, registry))))


if __name__ == "__main__":
    main()
