"""One contender in one process: ``python benchmarks/measure.py MODULE URI`` prints what the work cost as JSON."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import os
import resource
import sys
import time

__all__ = ["cpu_seconds", "peak_megabytes"]


def cpu_seconds() -> float:
    """Return the CPU seconds of this process, all its threads, and the children it has waited for."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def peak_megabytes() -> float:
    """Return the most memory this process ever held, in 10^6 bytes."""
    unit = 1 if sys.platform == "darwin" else 1_024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("module")
    parser.add_argument("uri")
    parser.add_argument("--versions", action="store_true", help="the bucket is versioned")
    parser.add_argument("--imports", nargs="*", default=[], help="modules to import before the clock starts")
    options = parser.parse_args()
    contender = importlib.import_module(options.module)
    for name in options.imports:
        importlib.import_module(name)
    imported = peak_megabytes()
    cpu, wall = cpu_seconds(), time.perf_counter()
    objects = asyncio.run(contender.run(options.uri, versions=options.versions))
    wall, cpu = time.perf_counter() - wall, cpu_seconds() - cpu
    print(
        json.dumps(
            {
                "objects": objects,
                "cpu_s": cpu,
                "wall_s": wall,
                "peak_mb": peak_megabytes(),
                "peak_mb_imported": imported,
            }
        ),
        flush=True,
    )
    # All is measured; obstore's threads may abort a process that takes itself down in order.
    os._exit(0)


if __name__ == "__main__":
    main()
