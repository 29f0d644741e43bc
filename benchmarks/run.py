"""All contenders on the same work, each in a process of its own: ``python benchmarks/run.py``."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import tree
from table import Measurement, facts, render

__all__ = ["main"]

_HERE = Path(__file__).resolve().parent
_CONTENDERS = {
    "refscan": "refscan_scan",
    "wandb": "wandb_sdk",
    "boto3": "boto3_paginator",
    "aiobotocore": "aiobotocore_paginator",
}
_READ_TREES = ("refscan", "wandb")


@dataclass(frozen=True, slots=True)
class _BucketWork:
    title: str
    layout: str
    versions: bool


_BUCKETS = {
    "s3-versions": _BucketWork("S3, one folder, with version IDs", "flat", versions=True),
    "s3-plain": _BucketWork("S3, one folder, never versioned", "flat", versions=False),
    "s3-hierarchical": _BucketWork("S3, folders in folders, with version IDs", "hierarchical", versions=True),
}
_WORKS = (*_BUCKETS, "tree", "log", "import")


def _environment(scratch: str) -> dict[str, str]:
    """Return the environment of every child: dummy credentials, no profile, no proxy, W&B offline and silent."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "WANDB_"))}
    path = os.pathsep.join(filter(None, (str(_HERE.parent), os.environ.get("PYTHONPATH"))))
    folders = {f"WANDB_{name}": scratch for name in ("DIR", "CACHE_DIR", "CONFIG_DIR", "DATA_DIR")}
    return (
        kept
        | folders
        | {
            "AWS_ACCESS_KEY_ID": "benchmark",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_SECRET_ACCESS_KEY": "benchmark",
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "NO_PROXY": "127.0.0.1",
            "PYTHONPATH": path,
            "WANDB_MODE": "offline",
            "WANDB_SILENT": "true",
            "no_proxy": "127.0.0.1",
        }
    )


def _child(script: str, *arguments: str, environment: dict[str, str]) -> dict[str, object]:
    """Run one script of this folder and return the JSON it prints last."""
    command = [sys.executable, str(_HERE / script), *arguments]
    answer = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if answer.returncode:
        raise SystemExit(f"{' '.join(command[1:])} failed; what it said stands above")
    found: dict[str, object] = json.loads(answer.stdout.splitlines()[-1])
    return found


@contextmanager
def _server(work: _BucketWork, objects: int, delay_ms: float) -> Iterator[str]:
    """Serve a bucket of that many objects and yield its endpoint."""
    options = [f"--objects={objects}", f"--layout={work.layout}", f"--delay-ms={delay_ms}"]
    command = [sys.executable, str(_HERE / "server.py"), *options, *(["--versions"] if work.versions else [])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            port = server.stdout.readline().strip() if server.stdout else ""
            if not port:
                raise RuntimeError("the listing server did not start")
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


def _requests(endpoint: str) -> int:
    """Return how many requests the server answered since it was last asked."""
    with urllib.request.urlopen(f"{endpoint}/_requests") as answer:
        return int(json.load(answer)["requests"])


def _measure(contender: str, objects: int, arguments: list[str], environment: dict[str, str]) -> Measurement:
    """Run one contender, and see that it recorded every object."""
    found = _child("measure.py", _CONTENDERS[contender], *arguments, environment=environment)
    if found["objects"] != objects:
        raise SystemExit(f"{contender} recorded {found['objects']} of {objects} objects")
    return {"contender": contender, **found}  # type: ignore[typeddict-item]


def _bucket(work: _BucketWork, options: argparse.Namespace, environment: dict[str, str]) -> list[Measurement]:
    counts = {name: options.wandb_objects if name == "wandb" else options.objects for name in options.contenders}
    measured: dict[str, Measurement] = {}
    for objects in sorted(set(counts.values())):
        with _server(work, objects, options.delay_ms) as endpoint:
            for contender in (name for name, count in counts.items() if count == objects):
                runs = [_list(contender, work, objects, endpoint, environment) for _ in range(options.repeat)]
                measured[contender] = _cheapest(runs)
    return [measured[contender] for contender in counts]


def _list(contender: str, work: _BucketWork, objects: int, endpoint: str, environment: dict[str, str]) -> Measurement:
    arguments = ["s3://bench/data/", *(["--versions"] if work.versions else [])]
    _requests(endpoint)
    one = _measure(contender, objects, arguments, environment | {"AWS_S3_ENDPOINT_URL": endpoint})
    one["requests"] = _requests(endpoint)
    return one


def _tree(options: argparse.Namespace, environment: dict[str, str]) -> list[Measurement]:
    measured = []
    with tree.temporary(options.objects) as root:
        for contender in filter(_READ_TREES.__contains__, options.contenders):
            arguments = (contender, options.objects, [root.as_uri()], environment)
            measured.append(_cheapest([_measure(*arguments) for _ in range(options.repeat)]))
    return measured


def _cheapest(runs: list[Measurement]) -> Measurement:
    return min(runs, key=lambda run: run["cpu_s"])


def _options() -> argparse.Namespace:
    def names(text: str) -> list[str]:
        return [name for name in text.split(",") if name]

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=100_000)
    parser.add_argument("--contenders", type=names, default=list(_CONTENDERS), help=",".join(_CONTENDERS))
    parser.add_argument("--work", type=names, default=list(_WORKS), help=",".join(_WORKS))
    parser.add_argument("--delay-ms", type=float, default=0.0, help="the server waits before each answer")
    parser.add_argument("--repeat", type=int, default=1, help="times each is run; the one with least CPU counts")
    parser.add_argument(
        "--wandb-objects", type=int, help="objects for the W&B SDK in buckets: it sends a request for each"
    )
    parser.add_argument("--versions-logged", type=int, default=1_000, help="versions of the work `log`")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    options = parser.parse_args()
    if unknown := [*(set(options.contenders) - set(_CONTENDERS)), *(set(options.work) - set(_WORKS))]:
        parser.error(f"unknown: {', '.join(unknown)}")
    options.wandb_objects = options.wandb_objects or options.objects
    return options


def _work(name: str, options: argparse.Namespace, environment: dict[str, str]) -> tuple[object, str]:
    """Do one work; return what was measured, and that as text."""
    if name == "log":
        counted = f"--count={options.versions_logged}"
        found = _child("log_queue.py", counted, environment=environment)
        return found, facts("log_artifact, ten entries each, none awaited before the last call", found)
    if name == "import":
        found = _child("import_time.py", environment=environment)
        return found, facts("import refscan, without the interpreter's own start", found)
    if name == "tree":
        measured = _tree(options, environment)
        return measured, render("Local tree, small files with MD5, warm cache", measured, options.objects)
    work = _BUCKETS[name]
    measured = _bucket(work, options, environment)
    return measured, render(f"{work.title}, {options.delay_ms:g} ms a request", measured, options.objects)


def main() -> None:
    options = _options()
    results: dict[str, object] = {}
    with tempfile.TemporaryDirectory(prefix="refscan-bench-") as scratch:
        environment = _environment(scratch)
        for name in options.work:
            results[name], text = _work(name, options, environment)
            if not options.json:
                print(text, flush=True)
    if options.json:
        print(json.dumps({"objects": options.objects, "delay_ms": options.delay_ms, "work": results}, indent=2))


if __name__ == "__main__":
    main()
