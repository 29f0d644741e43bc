"""A scan on the command line that is killed at half, and goes on: how many requests are sent again."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow.parquet as pq
from children import restart, seen, server
from table import facts
from work import Setting

__all__ = ["run"]

# So many that what is under way when it is killed, 64 pages, is no large part of all.
_SETTING = Setting(objects=3_000_000, delay_ms=100.0)
_MOST_REPEATED = 0.05
_POLL = 0.01


def run(objects: int | None, delay_ms: float | None, environment: dict[str, str]) -> tuple[dict[str, object], str]:
    """Return what was measured, and that as text.

    The same scan is done without a break first; a scan that is killed when the server has counted half as many
    requests is then resumed. What both parts sent beyond the unbroken one was repeated.
    """
    title = "S3, a scan that is killed at half and resumed"
    setting = Setting(objects=objects or _SETTING.objects, delay_ms=_SETTING.delay_ms if delay_ms is None else delay_ms)
    with server(setting, setting.objects) as endpoint, tempfile.TemporaryDirectory(prefix="refscan-bench-") as scratch:
        environment = environment | setting.environment(endpoint)
        found = _measured(setting.uri(endpoint, setting.objects), endpoint, Path(scratch), environment)
    return found, facts(f"{title}, {setting.delay_ms:g} ms a request", found)


def _measured(uri: str, endpoint: str, scratch: Path, environment: dict[str, str]) -> dict[str, object]:
    scan = ["scan", uri, "--max-objects=none"]
    _run(["scan", f"{uri.removesuffix('data/')}warm/", "--max-objects=none"], environment)  # the server renders
    restart(endpoint)
    _run([*scan, f"--output={scratch / 'whole.parquet'}", f"--resume={scratch / 'whole'}"], environment)
    whole = restart(endpoint)["requests"]
    again = [*scan, f"--output={scratch / 'parts.parquet'}", f"--resume={scratch / 'parts'}"]
    with subprocess.Popen([*_COMMAND, *again], env=environment, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None and seen(endpoint)["requests"] < whole // 2:
            time.sleep(_POLL)
        killed = process.poll() is None
        process.kill()
    first = restart(endpoint)["requests"]
    _run(again, environment)
    second = restart(endpoint)["requests"]
    repeated = (first + second - whole) / whole
    same = pq.read_table(scratch / "whole.parquet").equals(pq.read_table(scratch / "parts.parquet"))
    return {
        "killed": killed,
        "requests_unbroken": whole,
        "requests_until_killed": first,
        "requests_after": second,
        "repeated": repeated,
        "to_reach": f"<= {_MOST_REPEATED}, and the same rows",
        "same_rows": same,
        "reached": killed and same and repeated <= _MOST_REPEATED,
    }


_COMMAND = [sys.executable, "-m", "refscan.cli.main"]


def _run(arguments: list[str], environment: dict[str, str]) -> None:
    subprocess.run([*_COMMAND, *arguments], env=environment, stdout=subprocess.DEVNULL, check=True)
