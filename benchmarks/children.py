"""The processes of a benchmark: the listing server, and the contender that is measured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from targets import Measurement
from work import Contender, Setting

__all__ = ["child", "environment_of", "measure", "restart", "seen", "server", "warm"]

_HERE = Path(__file__).resolve().parent
# What would lead a contender somewhere else, or give it credentials.
_CLOUD = ("AWS_", "AZURE_", "CLOUDSDK_", "DATACHAIN_", "GOOGLE_", "GCLOUD_", "STORAGE_EMULATOR_HOST", "WANDB_")


def environment_of(scratch: str) -> dict[str, str]:
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
            "DATACHAIN_NO_ANALYTICS": "true",
            # gcsfs would first try gRPC for a minute, which a listing server does not speak.
            "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
            "NO_PROXY": "127.0.0.1",
            "PYTHONPATH": path,
            "TQDM_DISABLE": "1",
            "WANDB_MODE": "offline",
            "WANDB_SILENT": "true",
            "no_proxy": "127.0.0.1",
        }
    )


def child(script: str, *arguments: str, environment: dict[str, str]) -> dict[str, Any]:
    """Run one script of this folder and return the JSON it prints last."""
    command = [sys.executable, str(_HERE / script), *arguments]
    answer = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if answer.returncode:
        raise SystemExit(f"{' '.join(command[1:])} failed; what it said stands above")
    found: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    return found


@contextmanager
def server(setting: Setting, objects: int) -> Iterator[str]:
    """Serve that many objects and yield the endpoint."""
    command = [sys.executable, str(_HERE / "server.py"), *setting.options(objects)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            port = process.stdout.readline().strip() if process.stdout else ""
            if not port:
                raise RuntimeError("the listing server did not start")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def seen(endpoint: str) -> dict[str, Any]:
    """Return what the server has counted since it was last told to begin anew."""
    return _ask(f"{endpoint}/_requests")


def restart(endpoint: str) -> dict[str, Any]:
    """Return the same, and have the server begin anew."""
    return _ask(f"{endpoint}/_restart")


def measure(
    contender: Contender, uri: str, environment: dict[str, str], *, versions: bool = False, times: int = 1
) -> Measurement:
    """Run one contender and return what it cost."""
    arguments = [*_arguments(contender, uri, versions=versions), f"--times={times}"]
    return child("measure.py", *arguments, environment=environment)  # type: ignore[return-value]


def warm(contender: Contender, uri: str, environment: dict[str, str], *, versions: bool) -> None:
    """Have one object recorded, so that the server renders what this contender asks for, and its byte code is there.

    The contender may lose its patience over that; what else goes wrong is seen when it is measured.
    """
    command = [sys.executable, str(_HERE / "measure.py"), *_arguments(contender, uri, versions=versions)]
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


def _arguments(contender: Contender, uri: str, *, versions: bool) -> list[str]:
    imports = [f"--imports={','.join(contender.imports)}"] if contender.imports else []
    return [contender.module, uri, *(["--versions"] if versions else []), *imports]


def _ask(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(url) as answer:
        found: dict[str, Any] = json.load(answer)
        return found
