"""A run from its beginning to its end: left with an error, cancelled, inside another one."""

import asyncio
import json
import sqlite3

import anyio
import pytest

import refscan
from refscan import Artifact, ArtifactError, StoreError
from refscan.registry.current import current_run


async def test_a_run_is_finished_once_it_is_left(catalog, draft):
    async with refscan.init(project="demo", job_type="train", group="nightly") as run:
        assert catalog("SELECT state, ended_at FROM run WHERE id = ?", run.id) == [("running", None)]
        run.log_artifact(await draft(files={"f": "0"}))
    question = "SELECT project.name, job_type, run_group, state FROM run JOIN project ON project.id = project_id"
    assert catalog(question) == [("demo", "train", "nightly", "finished")]
    assert catalog("SELECT count(*) FROM run WHERE started_at <= ended_at") == [(1,)]


async def test_leaving_with_an_error_still_commits_what_was_logged(catalog, draft):
    async def work():
        async with refscan.init(project="demo") as run:
            for index in range(10):
                run.log_artifact(await draft(files={"f": str(index)}))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await work()
    assert catalog("SELECT number FROM version ORDER BY number") == [(index,) for index in range(10)]
    assert catalog("SELECT state FROM run") == [("failed",)]


async def test_the_error_of_the_block_wins_over_those_of_the_queue(draft):
    async def work():
        async with refscan.init(project="demo") as run:
            run.log_artifact(await draft(files={"f": "0"}))
            run.log_artifact(await draft(files={"f": "1"}, type_name="model"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await work()


async def test_handles_may_be_awaited_again_and_after_the_run(draft):
    async with refscan.init(project="demo") as run:
        handle = run.log_artifact(await draft(files={"f": "0"}))
        failing = run.log_artifact(await draft(files={"f": "1"}, type_name="model"))
        late = run.log_artifact(await draft(files={"f": "2"}))
        assert await handle is await handle
        for _ in range(2):
            with pytest.raises(ArtifactError):
                await failing
    assert (await handle).version == "v0"
    assert (await late).version == "v1"
    assert await asyncio.gather(handle, late, handle) == [await handle, await late, await handle]
    with pytest.raises(ArtifactError):
        await failing


async def test_logging_after_the_run_is_refused_and_leaves_the_draft_open(draft):
    async with refscan.init(project="demo") as run:
        artifact = await draft(files={"f": "0"})
    with pytest.raises(ArtifactError, match="the run is closed"):
        run.log_artifact(artifact)
    async with artifact.new_file("g") as file:
        await file.write("1")
    async with refscan.init(project="demo") as run:
        assert (await run.log_artifact(artifact)).entry_count == 2


async def test_giving_up_waiting_for_a_version_does_not_give_up_the_version(draft):
    async with refscan.init(project="demo") as run:
        handle = run.log_artifact(await draft(files={"f": "0"}))
        with anyio.CancelScope() as scope:
            scope.cancel()
            await handle
        assert (await handle).version == "v0"


@pytest.mark.parametrize("awaited", [0, 1, 7, 30, 59])
@pytest.mark.parametrize("how", ["scope", "task"])
async def test_a_cancelled_run_keeps_a_beginning_of_what_was_logged(catalog, draft, awaited, how):
    handles = []
    reached = anyio.Event()

    async def work():
        async with refscan.init(project="demo") as run:
            drafts = [await draft(files={"f": str(index)}, metadata={"index": index}) for index in range(60)]
            handles.extend(run.log_artifact(artifact) for artifact in drafts)
            await handles[awaited]
            reached.set()
            await anyio.sleep_forever()

    if how == "scope":
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work)
            await reached.wait()
            tasks.cancel_scope.cancel()
    else:
        task = asyncio.create_task(work())
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    rows = catalog("SELECT number, metadata FROM version ORDER BY number")
    assert len(rows) > awaited
    assert [number for number, _ in rows] == [json.loads(metadata)["index"] for _, metadata in rows]
    assert [number for number, _ in rows] == list(range(len(rows)))
    assert catalog("SELECT state FROM run") == [("failed",)]
    assert [(await handle).number for handle in handles[: len(rows)]] == list(range(len(rows)))
    for handle in handles[len(rows) :]:
        with pytest.raises(ArtifactError, match="cancelled before this version was committed"):
            await handle
    async with refscan.init(project="demo") as run:
        version = await run.log_artifact(await draft(files={"f": "after"}))
        assert version.number == len(rows)


async def test_a_run_that_is_cancelled_as_it_opens_leaves_the_registry_usable(draft):
    async def work():
        async with refscan.init(project="demo"):
            await anyio.sleep_forever()

    for steps in (*range(0, 40, 2), 60, 100, 200, 400, 800):
        task = asyncio.create_task(work())
        for _ in range(steps):
            await anyio.lowlevel.checkpoint()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    async with refscan.init(project="demo") as run:
        assert (await run.log_artifact(await draft(files={"f": "0"}))).version == "v0"


@pytest.mark.parametrize("how", ["scope", "task"])
async def test_a_cancelled_transaction_leaves_the_database_unlocked(draft, tmp_path, how):
    async def use(run):
        await run.use_artifact("data")

    async with refscan.init(project="demo") as run:
        await run.log_artifact(await draft(files={"f": "0"}))
        for steps in (*range(1, 60), 80, 120, 200, 400):
            if how == "task":
                task = asyncio.create_task(use(run))
                for _ in range(steps):
                    await anyio.lowlevel.checkpoint()
                task.cancel()
                await asyncio.wait([task])
            else:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(use, run)
                    for _ in range(steps):
                        await anyio.lowlevel.checkpoint()
                    tasks.cancel_scope.cancel()
            other = sqlite3.connect(tmp_path / "registry" / "catalog.sqlite", timeout=0, isolation_level=None)
            try:
                other.execute("BEGIN IMMEDIATE")
            finally:
                other.close()


async def test_runs_may_be_nested(catalog, draft, tmp_path):
    assert current_run() is None
    async with refscan.init(project="outer") as outer:
        assert current_run() is outer
        first = await draft(files={"f": "0"})
        async with refscan.init(project="inner", registry=tmp_path / "inner") as inner:
            assert current_run() is inner
            second = await draft(files={"f": "1"})
            assert (await inner.log_artifact(second)).uri == "refscan://inner/data:v0"
            assert (await outer.log_artifact(first)).uri == "refscan://outer/data:v0"
        assert current_run() is outer
        assert (await outer.log_artifact(await draft(files={"f": "2"}))).uri == "refscan://outer/data:v1"
    assert current_run() is None
    assert catalog("SELECT count(*) FROM version") == [(2,)]
    assert catalog("SELECT count(*) FROM version", registry=tmp_path / "inner") == [(1,)]


async def test_runs_may_run_side_by_side_on_one_registry(catalog, draft):
    async def work(name):
        async with refscan.init(project="demo") as run:
            assert current_run() is run
            for index in range(20):
                run.log_artifact(await draft(files={"f": f"{name}{index}"}, metadata={"by": name, "index": index}))

    async with anyio.create_task_group() as tasks:
        for name in "abc":
            tasks.start_soon(work, name)
    rows = catalog("SELECT number, metadata FROM version ORDER BY number")
    assert [number for number, _ in rows] == list(range(60))
    said = [json.loads(metadata) for _, metadata in rows]
    for name in "abc":
        assert [row["index"] for row in said if row["by"] == name] == list(range(20))


async def test_a_draft_made_outside_a_run_can_be_logged(draft, tmp_path):
    artifact = await draft(files={"f": "0"})
    folder = artifact.staging.folder
    assert [path.read_text() for path in folder.iterdir()] == ["0"]
    async with refscan.init(project="demo") as run:
        version = await run.log_artifact(artifact)
    directory = await version.download(tmp_path / "there")
    assert (directory / "f").read_text() == "0"
    del artifact
    assert not folder.exists(), "the copies are gone with the draft"


async def test_nothing_is_left_in_the_staging_folder(draft, tmp_path):
    async with refscan.init(project="demo") as run:
        handles = [run.log_artifact(await draft(files={"f": str(index)})) for index in range(5)]
        await draft(files={"f": "never logged"})
    del handles
    assert list((tmp_path / "registry" / "tmp").iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"not a database at all" * 500])
async def test_a_database_that_is_none_is_an_error_that_says_so(tmp_path, content, draft):
    directory = tmp_path / "broken"
    directory.mkdir()
    (directory / "catalog.sqlite").write_bytes(content)
    if not content:
        # SQLite's own idea of an empty database.
        async with refscan.init(project="demo", registry=directory) as run:
            assert (await run.log_artifact(await draft(files={"f": "0"}))).version == "v0"
        return
    with pytest.raises(StoreError, match=r"catalog\.sqlite cannot be used: file is not a database"):
        async with refscan.init(project="demo", registry=directory):
            pytest.fail("the run must not begin")
    assert current_run() is None


async def test_a_directory_that_cannot_be_made_is_an_error_that_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="REFSCAN_REGISTRY"):
        async with refscan.init(project="demo", registry=tmp_path / "file" / "registry"):
            pytest.fail("the run must not begin")


@pytest.mark.parametrize("option", ["job_type", "group"])
async def test_text_that_no_registry_can_hold_is_refused(option):
    with pytest.raises(ArtifactError, match="UTF-8"):
        async with refscan.init(project="demo", **{option: "\ud800"}):
            pytest.fail("the run must not begin")


async def test_the_environment_names_the_registry_and_an_argument_wins(tmp_path, monkeypatch, draft):
    monkeypatch.setenv("REFSCAN_REGISTRY", str(tmp_path / "named"))
    async with refscan.init(project="demo") as run:
        await run.log_artifact(await draft(files={"f": "0"}))
    async with refscan.init(project="demo", registry=tmp_path / "chosen") as run:
        assert (await run.log_artifact(await draft(files={"f": "1"}))).version == "v0"
    assert (tmp_path / "named" / "catalog.sqlite").exists()
    assert (tmp_path / "chosen" / "catalog.sqlite").exists()
    assert not (tmp_path / "registry").exists()


async def test_an_empty_draft_is_a_version():
    async with refscan.init(project="demo") as run:
        version = await run.log_artifact(Artifact("empty", type="dataset"))
    assert (version.version, version.entry_count, version.size, version.created) == ("v0", 0, 0, True)
    assert list(version.batches()) == []
