"""``import refscan`` in fresh processes: how long, and does it bring a cloud SDK or an HTTP client along.

The package's names load lazily, so the first use of all of them is measured too.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys

__all__ = ["run"]

_HEAVY = ("boto3", "botocore", "aiobotocore", "aioboto3", "google.cloud", "gcloud", "azure", "aiohttp")
_CHILD = """
import sys, time
start = time.perf_counter()
import refscan
imported = time.perf_counter()
modules = list(sys.modules)
for name in refscan.__all__:
    getattr(refscan, name)
print(imported - start, time.perf_counter() - start)
print(*modules)
print(*sys.modules)
"""


def run(times: int) -> dict[str, object]:
    """Import it ``times`` times, after one import that fills the file cache and writes the byte code."""
    imports: list[float] = []
    uses: list[float] = []
    modules: set[str] = set()
    used: set[str] = set()
    for _ in range(times + 1):
        answer = subprocess.run([sys.executable, "-c", _CHILD], check=True, capture_output=True, text=True)
        seconds, first, second = answer.stdout.splitlines()
        imported, all_used = map(float, seconds.split())
        imports.append(imported)
        uses.append(all_used)
        modules, used = set(first.split()), set(second.split())
    return {
        "import_ms": statistics.median(imports[1:]) * 1_000,
        "import_best_ms": min(imports[1:]) * 1_000,
        "import_and_all_names_ms": statistics.median(uses[1:]) * 1_000,
        "processes": times,
        "heavy_after_import": sorted(modules.intersection(_HEAVY)),
        "heavy_after_all_names": sorted(used.intersection(_HEAVY)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=11)
    options = parser.parse_args()
    print(json.dumps(run(options.times)))


if __name__ == "__main__":
    main()
