"""``use_artifact``: what a name means, drafts that are logged first, and the lineage that both leave."""

import pytest

import refscan
from refscan import ArtifactError, RegistryError


async def lineage(run, run_id=None):
    edges = await run.registry.catalog.lineage(run_id or run.id)
    return [(kind, f"{record.project}/{record.name}:v{record.number}") for kind, record in edges]


@pytest.fixture
async def three(draft):
    """Three versions of ``demo/data``: v0 ``first``, v1 ``prod``, v2 ``latest``."""
    async with refscan.init(project="demo") as run:
        await run.log_artifact(await draft(files={"f": "0"}), aliases=["first"])
        await run.log_artifact(await draft(files={"f": "1"}), aliases=["prod"])
        await run.log_artifact(await draft(files={"f": "2"}))


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("data", "v2"),
        ("data:latest", "v2"),
        ("data:prod", "v1"),
        ("data:first", "v0"),
        ("data:v0", "v0"),
        ("data:v1", "v1"),
        ("demo/data:v1", "v1"),
        ("demo/data", "v2"),
    ],
)
async def test_what_a_name_means(name, version):
    async with refscan.init(project="demo") as run:
        used = await run.use_artifact(name, type="dataset")
        assert (used.version, used.name, used.created) == (version, f"data:{version}", False)
        assert await lineage(run) == [("used", f"demo/data:{version}")]


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize(
    "name",
    ["data:v3", "data:nope", "data:V0", "data:v-1", f"data:v{10**30}", "other", "nowhere/data", "data:\ud800", ""],
)
async def test_what_is_not_there(name):
    async with refscan.init(project="demo") as run:
        with pytest.raises((RegistryError, ArtifactError)):
            await run.use_artifact(name)
        assert await lineage(run) == []


@pytest.mark.usefixtures("three")
async def test_an_error_names_the_aliases_there_are():
    async with refscan.init(project="demo") as run:
        with pytest.raises(RegistryError, match="'nope'; its aliases are: first, latest, prod"):
            await run.use_artifact("data:nope")


@pytest.mark.usefixtures("three")
async def test_an_artifact_of_another_project():
    async with refscan.init(project="elsewhere") as run:
        used = await run.use_artifact("demo/data:prod")
        assert (used.project, used.version) == ("demo", "v1")
        with pytest.raises(RegistryError):
            await run.use_artifact("data:prod")
        assert await lineage(run) == [("used", "demo/data:v1")]


@pytest.mark.usefixtures("three")
async def test_another_type_is_refused_and_leaves_no_edge():
    async with refscan.init(project="demo") as run:
        with pytest.raises(ArtifactError, match="'dataset', not 'model'"):
            await run.use_artifact("data:latest", type="model")
        assert await lineage(run) == []


async def test_a_draft_is_logged_first(draft):
    async with refscan.init(project="demo") as run:
        used = await run.use_artifact(await draft(files={"f": "0"}))
        assert (used.name, used.created) == ("data:v0", True)
        assert await lineage(run) == [("logged", "demo/data:v0"), ("used", "demo/data:v0")]


async def test_an_unchanged_draft_makes_no_new_version_and_a_changed_one_does(draft, catalog):
    async with refscan.init(project="demo") as run:
        await run.log_artifact(await draft(files={"f": "0"}))
    async with refscan.init(project="demo") as run:
        unchanged = await run.use_artifact(await draft(files={"f": "0"}))
        assert (unchanged.name, unchanged.created) == ("data:v0", False)
        changed = await run.use_artifact(await draft(files={"f": "1"}), type="dataset")
        assert (changed.name, changed.created) == ("data:v1", True)
    assert catalog("SELECT count(*) FROM version") == [(2,)]


async def test_a_draft_that_cannot_be_logged_is_not_used(draft, catalog):
    async with refscan.init(project="demo") as run:
        await run.log_artifact(await draft(files={"f": "0"}))
        with pytest.raises(ArtifactError, match="keeps its type"):
            await run.use_artifact(await draft(files={"f": "1"}, type_name="model"))
    assert catalog("SELECT kind FROM edge") == [("logged",)]


async def test_a_draft_keeps_its_place_behind_what_was_logged_before(draft):
    async with refscan.init(project="demo") as run:
        handles = [run.log_artifact(await draft(files={"f": str(index)})) for index in range(10)]
        assert (await run.use_artifact(await draft(files={"f": "used"}))).version == "v10"
        assert all(handle.done for handle in handles)


async def test_lineage_tells_inputs_and_outputs_in_order_and_each_once(draft):
    async with refscan.init(project="demo") as first:
        await first.log_artifact(await draft("raw", {"f": "0"}))
    async with refscan.init(project="demo") as second:
        await second.use_artifact("raw")
        await second.use_artifact("raw:v0")
        await second.log_artifact(await draft("clean", {"f": "1"}))
        await second.log_artifact(await draft("model", {"f": "2"}, type_name="model"))
        await second.log_artifact(await draft("clean", {"f": "1"}))
        assert await lineage(second) == [
            ("used", "demo/raw:v0"),
            ("logged", "demo/clean:v0"),
            ("logged", "demo/model:v0"),
        ]
        assert await lineage(second, first.id) == [("logged", "demo/raw:v0")]
        assert await lineage(second, "no-such-run") == []


async def test_lineage_survives_the_registry_being_closed(draft, catalog):
    async with refscan.init(project="demo") as run:
        await run.log_artifact(await draft("raw", {"f": "0"}))
        await run.use_artifact("raw")
    edges_now = catalog("SELECT kind, artifact.name, number FROM edge JOIN artifact ON artifact.id = artifact_id")
    assert edges_now == [("logged", "raw", 0), ("used", "raw", 0)]
