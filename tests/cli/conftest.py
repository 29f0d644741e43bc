"""What the command line's tests share: the verbs in this process, and in a process of their own."""

import json
import os
import subprocess
import sys
from typing import NamedTuple

import pytest

from refscan.cli.main import main


class Result(NamedTuple):
    """What a command left."""

    code: int
    output: str
    error: str

    @property
    def json(self):
        return json.loads(self.output)


@pytest.fixture
def refscan(capfd):
    """Run a command in this process: ``refscan("artifact", "ls", "--json").json``."""

    def run(*words):
        capfd.readouterr()
        try:
            code = main([str(word) for word in words])
        except SystemExit as exit_:
            code = exit_.code
        return Result(code, *capfd.readouterr())

    return run


@pytest.fixture
def command():
    """The words that run the command line in a process of its own, without this one's buffering and colours."""
    return [sys.executable, "-m", "refscan.cli.main"]


@pytest.fixture
def environment(tmp_path):
    """The environment for such a process: as users have it, output to a pipe is buffered."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return environment | {"REFSCAN_REGISTRY": str(tmp_path / "registry")}


@pytest.fixture
def shell(command, environment):
    """Run a command in a process of its own: ``shell("artifact", "ls").output``."""

    def run(*words, **options):
        done = subprocess.run(
            [*command, *map(str, words)],
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
            stdin=subprocess.DEVNULL,
            env=environment | options,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def tree(tmp_path):
    """A directory: ``a`` and ``deep/b``."""
    (tmp_path / "tree" / "deep").mkdir(parents=True)
    (tmp_path / "tree" / "a").write_text("a")
    (tmp_path / "tree" / "deep" / "b").write_text("bb")
    return tmp_path / "tree"


@pytest.fixture
def recorded(refscan, tree):
    """``demo/data:v0``: the tree as references."""
    result = refscan("artifact", "put", "--name", "demo/data", "--type", "dataset", f"file://{tree}")
    assert result.code == 0
    return tree
