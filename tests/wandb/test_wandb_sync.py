"""``add_reference_sync``: from a plain script, from a notebook's running loop, from threads; and cancelling."""

import asyncio
import subprocess
import sys
import threading

import anyio
import pytest
import wandb
from servers.scripted import Forward, Stall

import refscan
import refscan.wandb
from refscan.errors import ObjectNotFoundError


@pytest.fixture
def tree(tmp_path):
    (tmp_path / "tree").mkdir()
    for name in "ab":
        (tmp_path / "tree" / name).write_text(name)
    return (tmp_path / "tree").as_uri()


def test_in_a_script(tree):
    artifact = wandb.Artifact("a", "b")
    assert [entry.path for entry in refscan.wandb.add_reference_sync(artifact, tree)] == ["a", "b"]


async def test_in_a_running_loop_which_waits(tree):
    artifact = wandb.Artifact("a", "b")
    threads = threading.active_count()
    assert len(refscan.wandb.add_reference_sync(artifact, tree)) == 2
    with pytest.raises(ObjectNotFoundError):
        refscan.wandb.add_reference_sync(artifact, tree + "/nothing")
    assert len(artifact.manifest) == 2
    assert threading.active_count() <= threads + 1  # none of its own is left; one may be a worker's that idles


async def test_in_a_run_of_refscan_and_a_running_loop(tree):
    artifact = wandb.Artifact("a", "b")
    async with refscan.init(project="demo"):
        assert len(refscan.wandb.add_reference_sync(artifact, tree)) == 2


async def test_many_at_once_fill_one_artifact(tree):
    artifact = wandb.Artifact("a", "b")
    names = [f"n{number}" for number in range(20)]
    await asyncio.gather(*(refscan.wandb.add_reference(artifact, tree, name) for name in names))
    assert set(artifact.manifest.entries) == {f"{name}/{file}" for name in names for file in "ab"}


async def test_cancelled_halfway_it_has_added_nothing(s3, bucket, scripted_s3):
    artifact, made = wandb.Artifact("a", "b"), bucket()
    made.put("d/a", b"1")

    def script(request):
        return Stall(b"<") if request.lists_versions or request.lists_objects else Forward(s3)

    async with scripted_s3(script) as server, anyio.create_task_group() as group:
        group.start_soon(refscan.wandb.add_reference, artifact, made.uri + "d/")
        await server.stalled.wait()
        group.cancel_scope.cancel()
    assert len(artifact.manifest) == 0


def test_importing_it_loads_no_wandb():
    code = "import refscan.wandb, sys; assert 'wandb' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_more_than_one_batch_keeps_every_entry():
    from refscan.sources.memory import MemorySource

    store = MemorySource("large")
    for index in range(20_001):
        store.put(f"d/{index:05}", b"1")
    artifact = wandb.Artifact("a", "b")
    found = refscan.wandb.add_reference_sync(artifact, "memory://large/d")
    assert [entry.path for entry in found] == [f"{index:05}" for index in range(20_001)]
    assert list(artifact.manifest.entries.values()) == found
