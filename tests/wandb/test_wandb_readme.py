"""The README's page for those who come from W&B: each example runs as it stands there, beside W&B's."""

import ast
import asyncio
import inspect
import os
import re
import shlex
from pathlib import Path

import pytest
import wandb
from datastore import logged_artifacts
from servers.s3 import s3_client, serve_s3

import refscan
from refscan.cli.main import main

README = Path(__file__).parent.parent.parent / "README.md"
PAIRS = ["bucket", "files", "model"]


def block(mark):
    match = re.search(rf"<!-- moving: {re.escape(mark)} -->\n```\w+\n(.*?)```", README.read_text(), re.DOTALL)
    assert match, f"README.md has no block marked {mark!r}"
    return match[1]


def run(code):
    """Run code that may await at its top, as a notebook does, and return its names."""
    names = {}
    compiled = compile(code, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    result = eval(compiled, names)
    if inspect.isawaitable(result):

        async def finish():
            await result

        asyncio.run(finish())
    return names


@pytest.fixture(autouse=True)
def place(aws, tmp_path, monkeypatch):
    """``s3://my-bucket`` and ``/mount``, and the folder that examples write to."""
    files = {"datasets/mnist/one.png": b"1", "datasets/mnist/deep/two.png": b"22", "cnn/my_model.h5": b"model"}
    for name, data in files.items():
        (tmp_path / "mount" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "mount" / name).write_bytes(data)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path / "here"))
    wandb.teardown()  # so that the setting is read
    with serve_s3() as endpoint, s3_client(endpoint) as client:
        aws.setenv("AWS_S3_ENDPOINT_URL", endpoint)
        client.create_bucket(Bucket="my-bucket")
        client.put_bucket_versioning(Bucket="my-bucket", VersioningConfiguration={"Status": "Enabled"})
        for name, data in files.items():
            client.put_object(Bucket="my-bucket", Key=name, Body=data)
        yield tmp_path


def example(mark, place):
    return block(mark).replace("/mount/", f"{place}/mount/")


def logged_by_wandb(place):
    wandb.teardown()  # the service has written all when it has ended
    found = [logged_artifacts(directory) for directory in sorted((place / "here" / "wandb").glob("offline-run-*"))]
    return [artifact for artifacts in found for artifact in artifacts]


@pytest.mark.parametrize("pair", PAIRS)
def test_both_record_the_same(place, pair):
    run(example(f"{pair} wandb", place))
    (theirs,) = logged_by_wandb(place)
    names = run(example(f"{pair} refscan", place))
    ours = asyncio.run(_newest(names["artifact"].name))
    assert (ours.artifact_name, ours.type, ours.digest) == (theirs.name, theirs.type, theirs.digest)
    assert ours.entry_count == len(theirs.manifest.contents) > 0


def test_refscan_fills_their_artifact_with_the_same(place):
    run(block("bucket wandb"))
    run(block("bucket both"))
    theirs, ours = logged_by_wandb(place)
    assert ours.digest == theirs.digest
    assert list(ours.manifest.contents) == list(theirs.manifest.contents)


def test_what_was_recorded_is_used(place):
    compile(block("use wandb"), "README.md", "exec")  # it needs their server
    run(block("bucket refscan"))
    directory = run(block("use refscan"))["artifact_dir"]
    assert (place / "here" / directory / "deep" / "two.png").read_bytes() == b"22"


def test_the_command_records_the_same(place, capfd):  # noqa: ARG001
    words = shlex.split(block("command"))
    assert words[0] == "refscan"
    assert main(words[1:]) == 0
    recorded = asyncio.run(_newest("mnist"))
    assert f"my-project/mnist:v0: 2 entries, 3 B, digest {recorded.digest}" in capfd.readouterr().out


@pytest.mark.parametrize("verb", ["push", "pull"])
def test_the_commands_are_there(verb):
    lines = [line for line in README.read_text().splitlines() if line.startswith(f"refscan artifact {verb} ")]
    assert lines
    for line in lines:
        with pytest.raises(SystemExit) as raised:
            main([*shlex.split(line)[1:], "--help"])
        assert raised.value.code == 0


def test_each_row_of_the_table_has_four_cells():
    table = README.read_text().partition("### Where entries differ from W&B's")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("|")]
    assert len(rows) > 10
    assert {len(line.split("|")) for line in rows} == {6}


async def _newest(name):
    async with refscan.init(project="my-project", registry=os.environ["REFSCAN_REGISTRY"]) as opened:
        return await opened.use_artifact(f"{name}:latest")
