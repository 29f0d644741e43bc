"""``refscan artifact push``: versions in an offline W&B run."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import wandb
from datastore import logged_artifacts

from refscan.cli.main import main


@pytest.fixture
def versions(tmp_path):
    """``demo/data`` with three versions of one file."""
    file = tmp_path / "file"
    for number in range(3):
        file.write_text("x" * number)
        assert main(["artifact", "put", "--name", "demo/data", "--type", "dataset", file.as_uri()]) == 0


def test_versions_are_pushed_in_the_order_given(versions, tmp_path, capfd, monkeypatch):  # noqa: ARG001
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    wandb.teardown()  # so that the setting is read
    capfd.readouterr()
    names = [f"demo/data:v{number}" for number in (0, 1, 2, 1)]
    assert main(["artifact", "push", "--wandb", "me/there", "--name", "mine", "--alias", "a", "--json", *names]) == 0
    printed = json.loads(capfd.readouterr().out)
    assert [(one["version"], one["wandb"], one["entries"]) for one in printed] == [
        (name.partition(":")[2], "me/there/mine", 1) for name in names
    ]
    (directory,) = {one["offline"] for one in printed}
    logged = logged_artifacts(Path(directory))
    assert [one.digest for one in logged] == [one["digest"] for one in printed]
    found = {(one.entity, one.project, one.name, tuple(sorted(one.aliases))) for one in logged}
    assert found == {("me", "there", "mine", ("a", "latest"))}


def test_the_command_in_a_process_of_its_own_leaves_the_run_whole(versions, tmp_path):  # noqa: ARG001
    words = [sys.executable, "-m", "refscan.cli.main", "artifact", "push", "--wandb", "me/there", "demo/data"]
    done = subprocess.run(
        words, env=os.environ | {"WANDB_DIR": str(tmp_path)}, capture_output=True, text=True, check=False, timeout=100
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("demo/data:v2 -> me/there/data, offline in ")
    (directory,) = (tmp_path / "wandb").glob("offline-run-*")
    (logged,) = logged_artifacts(directory)
    assert logged.digest in done.stdout


@pytest.mark.parametrize("where", ["", "me", "me/", "/there", "me/there/more", "me/there:v0"])
def test_a_wrong_project_is_wrong_usage(where, capfd):
    with pytest.raises(SystemExit) as raised:
        main(["artifact", "push", "--wandb", where, "demo/data"])
    assert raised.value.code == 2
    assert "is not ENTITY/PROJECT" in capfd.readouterr().err


def test_a_version_that_is_not_there_is_one_line(capfd):
    assert main(["artifact", "push", "--wandb", "me/there", "demo/nothing"]) == 1
    assert capfd.readouterr().err.count("\n") == 1


def test_without_the_sdk_one_line_says_what_to_install(versions, capfd, monkeypatch):  # noqa: ARG001
    monkeypatch.setitem(sys.modules, "wandb", None)
    capfd.readouterr()
    assert main(["artifact", "push", "--wandb", "me/there", "demo/data"]) == 1
    assert capfd.readouterr().err == "refscan: the W&B SDK is not installed; pip install 'refscan[wandb]'\n"
