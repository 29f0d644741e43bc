"""The README's examples run as they stand there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"


def block(mark: str) -> str:
    match = re.search(rf"<!-- {re.escape(mark)} -->\n```\w+\n(.*?)```", README.read_text(), re.DOTALL)
    assert match, f"README.md has no block marked {mark!r}"
    return match[1]


def run_python(code: str, cwd: Path) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "REFSCAN_"))}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=cwd,
        env=clean | {"REFSCAN_REGISTRY": str(cwd / "registry")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_tour_prints_what_the_readme_says(tmp_path):
    printed = run_python(block("tour: setup") + block("tour: main"), tmp_path)
    assert printed == block("tour: output")


def test_the_scan_example_runs(tmp_path):
    printed = run_python(block("example: scan"), tmp_path)
    assert printed.splitlines()[-1] == "True"


@pytest.mark.parametrize("example", ["version", "fsspec"])
def test_an_example_prints_what_the_readme_says(tmp_path, example):
    assert run_python(block(f"example: {example}"), tmp_path) == block(f"example: {example} output")


def test_the_first_line_makes_a_version(tmp_path):
    install, _, command = block("first line").strip().partition(" && ")
    assert install == "pip install ."
    command = command.replace("refscan ", f"{sys.executable} -m refscan.cli.main ", 1)
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=tmp_path,
        env=os.environ | {"REFSCAN_REGISTRY": str(tmp_path / "registry")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert re.match(r"demo/python:v0: [\d,]+ entries, .* digest [0-9a-f]{32}\n", done.stdout)


@pytest.mark.parametrize(
    "verb", ["scan", "artifact put", "artifact ls", "artifact diff", "artifact get", "artifact verify"]
)
def test_every_command_of_the_readme_is_one(verb):
    assert f"refscan {verb}" in README.read_text()
    done = subprocess.run(
        [sys.executable, "-m", "refscan.cli.main", *verb.split(), "--help"], capture_output=True, check=False
    )
    assert done.returncode == 0
