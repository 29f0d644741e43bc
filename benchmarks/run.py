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
from pathlib import Path

import tree
from table import Measurement, facts, render
from works import CONTENDERS, SERVED, TREE, Contender, Work

__all__ = ["main"]

_HERE = Path(__file__).resolve().parent
_WORKS = (*SERVED, "tree", "log", "import")
_TREE_FILES = 100_000
# What would lead a contender somewhere else, or give it credentials.
_CLOUD = ("AWS_", "AZURE_", "CLOUDSDK_", "GOOGLE_", "GCLOUD_", "STORAGE_EMULATOR_HOST", "WANDB_")


def _environment(scratch: str) -> dict[str, str]:
    """Return the environment of every child: dummy credentials, no profile, no proxy, W&B offline and silent."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_CLOUD)}
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
            # gcsfs would first try gRPC for a minute, which a listing server does not speak.
            "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
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
def _server(work: Work, objects: int, delay_ms: float) -> Iterator[str]:
    """Serve that many objects and yield the endpoint."""
    options = [f"--objects={objects}", f"--layout={work.layout}", f"--delay-ms={delay_ms}"]
    options += ["--versions"] if work.versions else []
    command = [sys.executable, str(_HERE / "server.py"), work.kind, *options]
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


def _measure(
    name: str, contender: Contender, uri: str, objects: int, environment: dict[str, str], *, versions: bool = False
) -> Measurement:
    """Run one contender, and see that it recorded every object."""
    found = _child("measure.py", *_arguments(contender, uri, versions=versions), environment=environment)
    if found["objects"] != objects:
        raise SystemExit(f"{name} recorded {found['objects']} of {objects} objects")
    return {"contender": name, **found}  # type: ignore[typeddict-item]


def _arguments(contender: Contender, uri: str, *, versions: bool) -> list[str]:
    imports = ["--imports", *contender.imports] if contender.imports else []
    return [contender.module, uri, *(["--versions"] if versions else []), *imports]


def _warm(contender: Contender, uri: str, environment: dict[str, str], *, versions: bool) -> None:
    """Have one object recorded, so that the server renders what this contender asks for, and its byte code is there.

    The contender may lose its patience over that; what else goes wrong is seen when it is measured.
    """
    command = [sys.executable, str(_HERE / "measure.py"), *_arguments(contender, uri, versions=versions)]
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


def _served(work: Work, options: argparse.Namespace, environment: dict[str, str]) -> tuple[list[Measurement], int]:
    most = options.objects or work.objects
    counts = {
        name: options.wandb_objects or most if name == work.slow else most
        for name in work.contenders
        if name in options.contenders
    }
    measured: dict[str, Measurement] = {}
    for objects in sorted(set(counts.values())):
        with _server(work, objects, options.delay_ms) as endpoint:
            for name in (name for name, count in counts.items() if count == objects):
                measured[name] = _list(
                    name, work, objects, endpoint=endpoint, repeat=options.repeat, environment=environment
                )
    return [measured[name] for name in counts], most


def _list(
    name: str, work: Work, objects: int, *, endpoint: str, repeat: int, environment: dict[str, str]
) -> Measurement:
    contender = work.contenders[name]
    environment = environment | work.environment(endpoint)
    _warm(contender, work.warm_uri(endpoint), environment, versions=work.versions)
    runs = []
    for _ in range(repeat):
        _requests(endpoint)
        one = _measure(name, contender, work.uri(endpoint, objects), objects, environment, versions=work.versions)
        one["requests"] = _requests(endpoint)
        runs.append(one)
    return _cheapest(runs)


def _tree(options: argparse.Namespace, environment: dict[str, str]) -> tuple[list[Measurement], int]:
    measured = []
    files = options.objects or _TREE_FILES
    with tree.temporary(files) as root:
        for name in filter(TREE.__contains__, options.contenders):
            runs = [_measure(name, TREE[name], root.as_uri(), files, environment) for _ in range(options.repeat)]
            measured.append(_cheapest(runs))
    return measured, files


def _cheapest(runs: list[Measurement]) -> Measurement:
    return min(runs, key=lambda run: run["cpu_s"])


def _options() -> argparse.Namespace:
    def names(text: str) -> list[str]:
        return [name for name in text.split(",") if name]

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, help="100,000 if not given, 10,000 for `urls`")
    parser.add_argument("--contenders", type=names, default=list(CONTENDERS), help=",".join(CONTENDERS))
    parser.add_argument("--work", type=names, default=list(_WORKS), help=",".join(_WORKS))
    parser.add_argument("--delay-ms", type=float, default=0.0, help="the server waits before each answer")
    parser.add_argument("--repeat", type=int, default=1, help="times each is run; the one with least CPU counts")
    parser.add_argument(
        "--wandb-objects", type=int, help="objects for the W&B SDK in S3 buckets: it sends a request for each"
    )
    parser.add_argument("--versions-logged", type=int, default=1_000, help="versions of the work `log`")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    options = parser.parse_args()
    if unknown := [*(set(options.contenders) - set(CONTENDERS)), *(set(options.work) - set(_WORKS))]:
        parser.error(f"unknown: {', '.join(unknown)}")
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
        measured, files = _tree(options, environment)
        return measured, render("Local tree, small files with MD5, warm cache", measured, files)
    work = SERVED[name]
    measured, objects = _served(work, options, environment)
    return measured, render(f"{work.title}, {options.delay_ms:g} ms a request", measured, objects)


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
        print(json.dumps({"delay_ms": options.delay_ms, "work": results}, indent=2))


if __name__ == "__main__":
    main()
