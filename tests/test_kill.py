"""`put`, killed at many points: the version is there whole or not at all, and the next put gets its number."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from refscan.cli.main import main

REFERENCED = 2_000
STORED = 150
POINTS = 26
NAME = "demo/killed"


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    root = tmp_path_factory.mktemp("trees")
    for folder, count in (("referenced", REFERENCED), ("stored", STORED)):
        (root / folder).mkdir()
        for index in range(count):
            (root / folder / f"{folder}-{index:05}").write_text(f"{folder} {index}")
    return root


def start(trees, registry, alias="latest"):
    arguments = ["--registry", str(registry), "--name", NAME, "--type", "dataset", "--alias", alias]
    sources = [f"file://{trees}/referenced", str(trees / "stored")]
    return subprocess.Popen(
        [sys.executable, "-m", "refscan.cli.main", "artifact", "put", *arguments, *sources],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def listed(registry, capsys) -> list[dict]:
    capsys.readouterr()
    assert main(["artifact", "ls", "--registry", str(registry), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def check_whole(registry, trees, root) -> None:
    assert main(["artifact", "get", "--registry", str(registry), "--root", str(root), NAME]) == 0
    found = {path.name: path.read_text() for path in root.iterdir()}
    truth = {path.name: path.read_text() for tree in ("referenced", "stored") for path in (trees / tree).iterdir()}
    assert found == truth


def files_below(folder) -> int:
    with contextlib.suppress(FileNotFoundError):
        return sum(1 for path in folder.rglob("*") if path.is_file())
    return 0


@pytest.mark.timeout(600)
def test_a_killed_put_leaves_a_whole_version_or_none(trees, tmp_path, capsys):
    started = time.monotonic()
    assert start(trees, tmp_path / "undisturbed").wait() == 0
    duration = time.monotonic() - started
    written = files_below(tmp_path / "undisturbed")

    outcomes = set()
    for point in range(POINTS):
        registry = tmp_path / f"killed-{point}"
        process = start(trees, registry)
        if point % 2:
            # By the clock: anywhere from the first import to after the end.
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=duration * (0.2 + 0.9 * point / POINTS))
        else:
            # By progress: while the files of the version appear one after the other.
            while process.poll() is None and files_below(registry) < written * point / POINTS:
                pass
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
        process.wait()

        rows = listed(registry, capsys)
        if rows:
            assert (rows[0]["version"], rows[0]["entries"]) == ("v0", REFERENCED + STORED)
            check_whole(registry, trees, tmp_path / f"before-{point}")
        outcomes.add(bool(rows))

        assert start(trees, registry, alias="again").wait() == 0
        (row,) = listed(registry, capsys)
        assert (row["version"], row["entries"], row["aliases"]) == ("v0", REFERENCED + STORED, ["again", "latest"])
        check_whole(registry, trees, tmp_path / f"after-{point}")
    assert False in outcomes, "no kill came before the commit"


def test_an_interrupted_put_leaves_no_version_and_says_so(trees, tmp_path, capsys):
    registry = tmp_path / "registry"
    process = subprocess.Popen(
        [
            sys.executable, "-m", "refscan.cli.main", "artifact", "put", "--registry", str(registry),
            "--name", NAME, "--type", "dataset", str(trees / "stored"), "file:///usr", "--max-objects", "none",
        ],
        stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    while files_below(registry / "tmp") < STORED:
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, error = process.communicate()
    assert process.returncode == 130
    assert error == "refscan: interrupted; nothing half-done was kept\n"
    assert listed(registry, capsys) == []
    assert files_below(registry / "tmp") == 0
