"""``log_artifact``: numbers in the order of the calls, always; failures where they are awaited; aliases; sealing."""

import json

import anyio
import pytest

import refscan
from refscan import Artifact, ArtifactError, PathConflictError, RegistryError

NOT_AN_ALIAS = ["", "v0", "v12", "a/b", "a:b", "a b", "a\n", "\x00", "\ud800"]


async def test_a_thousand_unawaited_calls_are_numbered_in_their_order(memory, catalog):
    # Some take the preparers long, and those behind them are ready first.
    sizes = [400, 1, 3, 60, 2, 1, 150, 5]
    bucket = memory({f"{size}/{number:04}": b"x" for size in set(sizes) for number in range(size)})
    handles = []
    async with refscan.init(project="demo") as run:
        for index in range(1_000):
            artifact = Artifact("mnist", type="dataset", metadata={"index": index})
            await artifact.add_reference(f"{bucket.base}{sizes[index % len(sizes)]}/")
            await artifact.add_reference(f"number://{index}", name="which")
            handles.append(run.log_artifact(artifact))
    versions = [await handle for handle in handles]
    assert [version.version for version in versions] == [f"v{index}" for index in range(1_000)]
    assert [version.metadata for version in versions] == [{"index": index} for index in range(1_000)]
    assert [version.entry_count for version in versions] == [sizes[i % len(sizes)] + 1 for i in range(1_000)]
    rows = catalog("SELECT number, metadata, entry_count FROM version ORDER BY number")
    assert [number for number, _, _ in rows] == list(range(1_000))
    assert all(json.loads(metadata) == {"index": number} for number, metadata, _ in rows)
    assert [count for _, _, count in rows] == [sizes[i % len(sizes)] + 1 for i in range(1_000)]


async def test_the_order_of_the_calls_counts_across_names(draft):
    async with refscan.init(project="demo") as run:
        handles = [
            run.log_artifact(await draft(name, {"f": f"{name}{index}"}, metadata={"index": index}))
            for index in range(30)
            for name in ("left", "right")
        ]
    versions = [await handle for handle in handles]
    assert [v.name for v in versions] == [f"{name}:v{index}" for index in range(30) for name in ("left", "right")]


async def test_logging_returns_before_anything_is_committed(draft):
    async with refscan.init(project="demo") as run:
        artifact = await draft(files={"f": "1"})
        handle = run.log_artifact(artifact)
        assert not handle.done
        version = await handle
        assert handle.done
        assert (version.name, version.version, version.created) == ("data:v0", "v0", True)


async def test_logging_never_waits_even_when_the_queue_is_full():
    async with refscan.init(project="demo", queue_size=1) as run:
        artifacts = [Artifact("data", type="dataset", metadata={"index": index}) for index in range(500)]
        handles = [run.log_artifact(artifact) for artifact in artifacts]
        assert len(run._queue) == 500
    # Empty drafts are all alike: one version, asked for 500 times.
    versions = [await handle for handle in handles]
    assert [version.created for version in versions] == [True] + [False] * 499
    assert {version.version for version in versions} == {"v0"}


async def test_additions_wait_while_the_queue_is_full():
    async with refscan.init(project="demo", queue_size=2) as run:
        for index in range(40):
            artifact = Artifact("data", type="dataset")
            async with artifact.new_file("f") as file:
                assert len(run._queue) < 2
                await file.write(str(index))
            run.log_artifact(artifact)
            run.log_artifact(Artifact("empty", type="dataset"))
            assert len(run._queue) >= 2


async def test_references_wait_while_the_queue_is_full(memory):
    bucket = memory({"f": b"1"})
    async with refscan.init(project="demo", queue_size=1) as run:
        for _ in range(10):
            artifact = Artifact("data", type="dataset")
            run.log_artifact(Artifact("empty", type="dataset"))
            assert len(run._queue) == 1
            await artifact.add_reference(bucket.base)
            assert len(run._queue) == 0


@pytest.mark.parametrize("size", [0, -1])
def test_a_queue_without_room_is_refused(size):
    with pytest.raises(ValueError, match="queue_size"):
        refscan.init(project="demo", queue_size=size)


async def test_a_failure_is_raised_where_it_is_awaited_and_takes_no_number(draft):
    async with refscan.init(project="demo") as run:
        before = run.log_artifact(await draft(files={"f": "0"}))
        failing = run.log_artifact(await draft(files={"f": "1"}, type_name="model"))
        behind = [run.log_artifact(await draft(files={"f": str(index)})) for index in range(2, 5)]
        with pytest.raises(ArtifactError, match="demo/data has the type 'dataset'") as caught:
            await failing
        assert "'model'" in str(caught.value)
        assert (await before).version == "v0"
        assert [(await handle).version for handle in behind] == ["v1", "v2", "v3"]


async def test_a_failure_while_preparing_holds_up_none_behind_it(draft, tmp_path):
    async with refscan.init(project="demo", registry=tmp_path / "other") as run:
        elsewhere = await draft(files={"f": "here"})
        await run.log_artifact(elsewhere)
    async with refscan.init(project="demo") as run:
        before = run.log_artifact(await draft(files={"f": "0"}))
        failing = run.log_artifact(elsewhere)
        behind = run.log_artifact(await draft(files={"f": "1"}))
        assert ((await before).version, (await behind).version) == ("v0", "v1")
        with pytest.raises(ArtifactError, match="stored in the registry"):
            await failing


async def test_a_failure_that_nobody_awaits_is_raised_when_the_run_is_left(draft, catalog):
    async def work():
        async with refscan.init(project="demo") as run:
            run.log_artifact(await draft(files={"f": "0"}))
            run.log_artifact(await draft(files={"f": "1"}, type_name="model"))
            run.log_artifact(await draft(files={"f": "2"}, type_name="other"))
            run.log_artifact(await draft(files={"f": "3"}))

    with pytest.raises(ArtifactError, match="keeps its type") as caught:
        await work()
    assert caught.value.__notes__ == ["1 more versions of this run failed"]
    assert catalog("SELECT number FROM version ORDER BY number") == [(0,), (1,)]
    assert catalog("SELECT state FROM run") == [("failed",)]


async def test_a_failure_that_was_awaited_is_not_raised_again(draft, catalog):
    async with refscan.init(project="demo") as run:
        run.log_artifact(await draft(files={"f": "0"}))
        with pytest.raises(ArtifactError):
            await run.log_artifact(await draft(files={"f": "1"}, type_name="model"))
    assert catalog("SELECT state FROM run") == [("finished",)]


async def test_the_same_content_makes_no_new_version_and_aliases_still_move(draft):
    async with refscan.init(project="demo") as run:
        first = await run.log_artifact(await draft(files={"f": "same"}, metadata={"a": 1}), aliases=["prod"])
        await run.log_artifact(await draft("other", {"f": "same"}))
        again = await run.log_artifact(await draft(files={"f": "same"}, metadata={"a": 2}), aliases=["best"])
        assert (again.version, again.created) == ("v0", False)
        assert again.digest == first.digest
        assert again.aliases == ("best", "latest", "prod")
        assert again.metadata == {"a": 1}, "what a version says never changes"


async def test_content_that_comes_back_is_a_version_again(draft):
    async with refscan.init(project="demo") as run:
        handles = [run.log_artifact(await draft(files={"f": text})) for text in ("A", "B", "A")]
        versions = [await handle for handle in handles]
    assert [version.version for version in versions] == ["v0", "v1", "v2"]
    assert all(version.created for version in versions)
    assert versions[0].digest == versions[2].digest != versions[1].digest


async def test_content_that_comes_back_is_a_version_again_run_by_run(draft):
    for number, text in enumerate(("A", "B", "A")):
        async with refscan.init(project="demo") as run:
            assert (await run.log_artifact(await draft(files={"f": text}))).number == number


async def test_latest_and_aliases_move(draft):
    async with refscan.init(project="demo") as run:
        await run.log_artifact(await draft(files={"f": "0"}), aliases=["prod", "first"])
        assert (await run.use_artifact("data")).version == "v0"
        await run.log_artifact(await draft(files={"f": "1"}))
        assert (await run.use_artifact("data:latest")).version == "v1"
        assert (await run.use_artifact("data:prod")).version == "v0"
        moved = await run.log_artifact(await draft(files={"f": "2"}), aliases=("prod",))
        assert moved.aliases == ("latest", "prod")
        assert (await run.use_artifact("data:prod")).version == "v2"
        assert (await run.use_artifact("data:v0")).aliases == ("first",)
        assert (await run.use_artifact("data:v1")).aliases == ()


async def test_an_alias_moves_within_versions_that_are_committed_together(draft):
    async with refscan.init(project="demo") as run:
        for index in range(20):
            run.log_artifact(await draft(files={"f": str(index)}), aliases=["prod"] if index % 7 == 0 else [])
    async with refscan.init(project="demo") as run:
        assert (await run.use_artifact("data:prod")).version == "v14"
        assert (await run.use_artifact("data:latest")).version == "v19"


async def test_one_alias_may_be_given_as_text(draft):
    async with refscan.init(project="demo") as run:
        assert (await run.log_artifact(await draft(files={"f": "0"}), aliases="prod")).aliases == ("latest", "prod")


@pytest.mark.parametrize("alias", NOT_AN_ALIAS)
async def test_an_alias_that_cannot_be_one_is_refused_at_once(draft, alias):
    async with refscan.init(project="demo") as run:
        artifact = await draft(files={"f": "0"})
        with pytest.raises(ArtifactError):
            run.log_artifact(artifact, aliases=["fine", alias])
        async with artifact.new_file("still-open") as file:
            await file.write("1")
        assert (await run.log_artifact(artifact)).version == "v0"
    with pytest.raises(RegistryError):
        async with refscan.init(project="demo") as run:
            await run.use_artifact("data:fine")


async def test_a_name_has_one_type_for_ever(draft):
    async with refscan.init(project="demo") as run:
        await run.log_artifact(await draft(files={"f": "0"}))
    async with refscan.init(project="demo") as run:
        with pytest.raises(ArtifactError, match="keeps its type"):
            await run.log_artifact(await draft(files={"f": "1"}, type_name="model"))
        with pytest.raises(ArtifactError, match="keeps its type"):
            await run.log_artifact(await draft(files={"f": "0"}, type_name="model"))
        assert (await run.log_artifact(await draft(files={"f": "1"}))).version == "v1"
    async with refscan.init(project="elsewhere") as run:
        version = await run.log_artifact(await draft(files={"f": "1"}, type_name="model"))
        assert (version.version, version.type) == ("v0", "model")


async def test_nothing_can_be_added_once_it_is_logged(draft, memory, tmp_path):
    bucket = memory({"a": b"1"})
    (tmp_path / "f").write_text("1")
    async with refscan.init(project="demo") as run:
        artifact = await draft(files={"f": "0"})
        handle = run.log_artifact(artifact)
        with pytest.raises(ArtifactError, match="takes no more entries"):
            await artifact.add_reference(bucket.base)
        with pytest.raises(ArtifactError, match="takes no more entries"):
            await artifact.add_file(tmp_path / "f", name="g")
        with pytest.raises(ArtifactError, match="takes no more entries"):
            await artifact.add_dir(tmp_path)
        with pytest.raises(ArtifactError, match="takes no more entries"):
            async with artifact.new_file("h"):
                pytest.fail("the file must not be opened")
        assert (await handle).entry_count == 1


async def test_logging_while_an_addition_is_under_way_is_refused(draft):
    async with refscan.init(project="demo") as run:
        artifact = await draft(files={"f": "0"})
        async with artifact.new_file("g") as file:
            with pytest.raises(ArtifactError, match="still being filled"):
                run.log_artifact(artifact)
            await file.write("1")
        assert (await run.log_artifact(artifact)).entry_count == 2


class Gate:
    """A source whose listing waits until it may go on."""

    def __init__(self, source):
        self._source = source
        self.reached = anyio.Event()
        self.open_gate = anyio.Event()

    def __getattr__(self, name):
        return getattr(self._source, name)

    async def __aenter__(self):
        return self

    async def __aexit__(self, *exc_info):
        pass

    async def list_page(self, prefix, **options):
        self.reached.set()
        await self.open_gate.wait()
        return await self._source.list_page(prefix, **options)


async def test_logging_while_a_reference_is_under_way_is_refused(memory):
    bucket = memory({"a": b"1", "b": b"2"})
    gate = Gate(bucket)
    async with refscan.init(project="demo") as run, anyio.create_task_group() as tasks:
        artifact = Artifact("data", type="dataset")
        tasks.start_soon(lambda: artifact.add_reference(bucket.base, source=gate))
        await gate.reached.wait()
        with pytest.raises(ArtifactError, match="still being filled"):
            run.log_artifact(artifact)
        gate.open_gate.set()
    async with refscan.init(project="demo") as run:
        assert (await run.log_artifact(artifact)).entry_count == 2


async def test_an_addition_that_failed_is_not_under_way_any_more(memory):
    bucket = memory({"a": b"1"})
    async with refscan.init(project="demo") as run:
        artifact = Artifact("data", type="dataset")
        await artifact.add_reference(bucket.base)
        with pytest.raises(FileNotFoundError):
            await artifact.add_reference(f"{bucket.base}nothing/")
        assert (await run.log_artifact(artifact)).entry_count == 1


async def test_one_draft_may_be_logged_many_times_at_once(draft):
    files = {f"{number:03}": str(number) for number in range(300)}
    async with refscan.init(project="demo") as run:
        for round_ in range(8):
            artifact = await draft(files=files | {"round": str(round_)})
            handles = [run.log_artifact(artifact) for _ in range(4)]
            versions = [await handle for handle in handles]
            assert {(v.number, v.entry_count) for v in versions} == {(round_, 301)}
            assert [v.created for v in versions] == [True, False, False, False]


async def test_entries_of_a_conflict_within_one_reference_are_refused_before_logging(memory):
    # The folder's own object, with content, lands under its last segment, where the other one is too.
    bucket = memory({"d/": b"x", "d/d/": b"y"})
    async with refscan.init(project="demo") as run:
        artifact = Artifact("data", type="dataset")
        with pytest.raises(PathConflictError):
            await artifact.add_reference(f"{bucket.base}d/")
        assert (await run.log_artifact(artifact)).entry_count == 0


@pytest.mark.parametrize("name", ["", " ", "a/b", "a:b", "-a", ".a", "a b", "é", "a\n"])
def test_a_name_that_cannot_be_an_artifacts_is_refused(name):
    with pytest.raises(ArtifactError, match="cannot name an artifact"):
        Artifact(name, type="dataset")


@pytest.mark.parametrize("name", ["", "a/b", "a:b", "a b", ".", "a\n"])
def test_a_name_that_cannot_be_a_projects_is_refused(name):
    with pytest.raises(ArtifactError, match="cannot name a project"):
        refscan.init(project=name)


@pytest.mark.parametrize("type_name", ["", " ", " model", "\ud800"])
def test_a_type_that_cannot_be_one_is_refused(type_name):
    with pytest.raises(ArtifactError):
        Artifact("data", type=type_name)


@pytest.mark.parametrize("metadata", [{"a": object()}, {"a": float("nan")}, {"a": {1, 2}}])
def test_metadata_that_is_not_json_is_refused(metadata):
    with pytest.raises(ArtifactError, match="not JSON"):
        Artifact("data", type="dataset", metadata=metadata)


async def test_metadata_and_description_are_those_of_the_moment_of_logging(draft):
    async with refscan.init(project="demo") as run:
        artifact = await draft(files={"f": "0"}, metadata={"index": 0}, description="before")
        artifact.metadata["index"] = 1
        artifact.description = "then"
        handle = run.log_artifact(artifact)
        artifact.metadata["index"] = 2
        artifact.description = "after"
        version = await handle
        assert (version.metadata, version.description) == ({"index": 1}, "then")


async def test_text_that_no_registry_can_hold_fails_nothing_beside_it(draft):
    async with refscan.init(project="demo") as run:
        before = run.log_artifact(await draft(files={"f": "0"}))
        artifact = await draft(files={"f": "1"})
        artifact.description = "\ud800"
        with pytest.raises(ArtifactError, match="UTF-8"):
            run.log_artifact(artifact)
        behind = run.log_artifact(await draft(files={"f": "2"}, description="naïve 中 \x00"))
        assert ((await before).version, (await behind).version) == ("v0", "v1")
        assert (await run.use_artifact("data:v1")).description == "naïve 中 \x00"


async def test_metadata_of_any_text_comes_back(draft):
    metadata = {"text": "naïve 中 \ud800 \x00", "deep": [1, {"a": None}], "big": 10**30}
    async with refscan.init(project="demo") as run:
        await run.log_artifact(await draft(files={"f": "0"}, metadata=metadata))
        assert (await run.use_artifact("data")).metadata == metadata
