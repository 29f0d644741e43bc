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
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

__all__ = ["Recorded", "cpu_seconds", "peak_megabytes"]

_UNIT = 1 if sys.platform == "darwin" else 1_024


class Recorded(NamedTuple):
    """What a contender recorded, where its number does not say enough; ``digest`` is that of the whole."""

    objects: int
    digest: str


def cpu_seconds() -> float:
    """Return the CPU seconds of this process, all its threads, and the children it has waited for."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def peak_megabytes() -> float:
    """Return the most memory that this process, or the largest child it has waited for, ever held, in 10^6 bytes."""
    return max(_own_peak(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * _UNIT) / 1e6


def _own_peak() -> int:
    """Return the most bytes this process ever held.

    Linux knows it by the kibibyte since the program began; ``ru_maxrss`` may be that of the process that started it.
    """
    try:
        status = Path("/proc/self/status").read_text()
    except FileNotFoundError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT
    return int(status.partition("VmHWM:")[2].split()[0]) * 1_024


async def _run(contender: ModuleType, uri: str, *, versions: bool, times: int) -> tuple[int, str | None]:
    """Do the work so many times in a row; return the objects of all of them."""
    objects, digest = 0, None
    for _ in range(times):
        found = await contender.run(uri, versions=versions)
        count, digest = found if isinstance(found, Recorded) else (found, None)
        objects += count
    return objects, digest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("module")
    parser.add_argument("uri")
    parser.add_argument("--versions", action="store_true", help="the bucket is versioned")
    parser.add_argument("--imports", default="", help="modules to import before the clock starts, with commas")
    parser.add_argument("--times", type=int, default=1, help="do the work so many times, and tell what once costs")
    options = parser.parse_args()
    contender = importlib.import_module(options.module)
    for name in filter(None, options.imports.split(",")):
        importlib.import_module(name)
    if hasattr(contender, "prepare"):
        asyncio.run(contender.prepare(options.uri))
    imported = peak_megabytes()
    cpu, wall = cpu_seconds(), time.perf_counter()
    running = _run(contender, options.uri, versions=options.versions, times=options.times)
    objects, digest = asyncio.run(running)
    wall, cpu = time.perf_counter() - wall, cpu_seconds() - cpu
    print(
        json.dumps(
            {
                "objects": objects // options.times,
                "digest": digest,
                "cpu_s": cpu / options.times,
                "wall_s": wall / options.times,
                "peak_mb": peak_megabytes(),
                "peak_mb_imported": imported,
            }
        ),
        flush=True,
    )
    # All is measured; obstore's threads may abort a process that takes itself down in order.
    os._exit(0)


if __name__ == "__main__":
    # Contenders import this module by its name, and must find the same classes in it.
    sys.modules["measure"] = sys.modules["__main__"]
    main()
