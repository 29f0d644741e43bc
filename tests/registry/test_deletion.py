"""Versions and aliases deleted, by hand and by rule: numbers, ``latest``, lineage and references afterwards."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

import refscan
from refscan import ArtifactError, RegistryError
from refscan.registry.deletion import delete_alias, delete_version, delete_versions
from refscan.registry.records import Record
from refscan.registry.registry import Registry
from refscan.registry.retention import expired, expired_versions


@pytest.fixture
async def registry(tmp_path):
    async with Registry(tmp_path / "registry") as opened:
        yield opened


@pytest.fixture
def log(draft):
    """Log texts as versions of ``demo/data``, one after the other; return their numbers."""

    async def run_them(*texts, aliases=(), name="data"):
        async with refscan.init(project="demo") as run:
            handles = [run.log_artifact(await draft(name, {"f": text}), aliases=aliases) for text in texts]
            return [(await handle).number for handle in handles]

    return run_them


async def aliases_of(registry):
    return {alias: record.number for record in await registry.catalog.newest("demo", None) for alias in record.aliases}


async def test_latest_moves_and_a_number_is_never_given_again(registry, log):
    assert await log("0", "1", "2") == [0, 1, 2]
    await delete_version(registry, "demo", "data", "latest")
    assert await aliases_of(registry) == {"latest": 1}
    assert await log("2") == [3]  # the content of a deleted version makes a new one
    assert await log("2") == [3]
    for version in ("v3", "v1", "v0"):
        await delete_version(registry, "demo", "data", version)
    assert await registry.catalog.newest(None, None) == []
    with pytest.raises(RegistryError, match=r"no version or alias 'latest'"):
        await registry.catalog.find("demo", "data", "latest")
    assert await log("2", "3") == [4, 5]


async def test_the_content_of_the_newest_version_that_is_left_makes_none(registry, log):
    await log("0", "1")
    await delete_version(registry, "demo", "data", "v1")
    assert await log("0", "1", "0") == [0, 2, 3]


async def test_a_deleted_version_cannot_be_had_and_the_error_says_when(registry, log):
    await log("0", "1")
    await delete_version(registry, "demo", "data", "v0")
    async with refscan.init(project="demo") as run:
        with pytest.raises(RegistryError, match=r"demo/data:v0 was deleted on \d{4}-"):
            await run.use_artifact("data:v0")
    with pytest.raises(RegistryError, match="was deleted on"):
        await delete_version(registry, "demo", "data", "v0")


async def test_lineage_still_tells_of_a_deleted_version(registry, draft, catalog):
    async with refscan.init(project="demo") as run:
        await run.log_artifact(await draft(files={"f": "1"}, metadata={"who": "me"}, description="text"))
        await run.use_artifact("data:v0")
    await delete_version(registry, "demo", "data", "v0")
    kinds = await registry.catalog.lineage(run.id)
    assert [(kind, record.name, record.number, record.deleted_at is not None) for kind, record in kinds] == [
        ("logged", "data", 0, True),
        ("used", "data", 0, True),
    ]
    assert catalog("SELECT description, metadata, receipts FROM version") == [(None, "{}", "[]")]


async def test_a_version_with_an_alias_is_deleted_only_with_it(registry, log):
    await log("0", aliases=["prod", "best"])
    with pytest.raises(ArtifactError, match=r"has the alias best, prod; .*delete_aliases=True"):
        await delete_version(registry, "demo", "data", "v0")
    await delete_alias(registry, "demo", "data", "best")
    await delete_version(registry, "demo", "data", "prod", delete_aliases=True)
    for name in ("best", "prod", "latest"):
        with pytest.raises(RegistryError):
            await registry.catalog.find("demo", "data", name)


async def test_an_alias_given_meanwhile_keeps_its_version(registry, log):
    await log("0", "1")
    record = await registry.catalog.find("demo", "data", "v0")
    await log("1", "0", aliases=["prod"])
    found = await registry.catalog.find("demo", "data", "prod")
    keys = [(record.artifact_id, record.number), (found.artifact_id, found.number)]
    assert await delete_versions(registry, keys) == keys[:1]


async def test_a_version_that_gets_an_alias_while_it_is_deleted_stays_and_that_is_said(registry, log, monkeypatch):
    await log("0", "1")

    async def look(*_):
        await log("1", aliases=["prod"])
        return {}

    monkeypatch.setattr("refscan.registry.deletion.links_to", look)
    with pytest.raises(ArtifactError, match="demo/data:v1 was given an alias or deleted meanwhile"):
        await delete_version(registry, "demo", "data", "v1")
    assert await aliases_of(registry) == {"latest": 1, "prod": 1}


async def test_an_alias_alone_is_deleted_and_latest_is_none(registry, log):
    await log("0", aliases=["prod"])
    await delete_alias(registry, "demo", "data", "prod")
    assert await aliases_of(registry) == {"latest": 0}
    for name in ("prod", "v0"):
        with pytest.raises(RegistryError, match="has no alias"):
            await delete_alias(registry, "demo", "data", name)
    with pytest.raises(ArtifactError, match="always the newest"):
        await delete_alias(registry, "demo", "data", "latest")
    with pytest.raises(RegistryError, match="there is no artifact"):
        await delete_alias(registry, "demo", "nothing", "prod")


async def test_a_version_whose_entries_others_refer_to_is_deleted_only_by_force(registry, log, draft):
    await log("0", "1", "2")
    async with refscan.init(project="demo") as run:
        artifact = await draft("subset")
        await artifact.add_reference("refscan://demo/data:v0/f", name="taken")
        await run.log_artifact(artifact)
    with pytest.raises(ArtifactError, match=r"entries of demo/subset:v0 refer to demo/data:v0"):
        await delete_version(registry, "demo", "data", "v0")
    assert [record.number for record in await expired_versions(registry, keep_last=1)] == [1]
    await delete_version(registry, "demo", "data", "v0", force=True)


async def test_a_version_that_was_deleted_meanwhile_is_not_referred_to(registry, log, draft):
    await log("0", "1")
    async with refscan.init(project="demo") as run:
        artifact = await draft("subset")
        await artifact.add_reference("refscan://demo/data:v0/f", name="taken")
        await delete_version(registry, "demo", "data", "v0")
        other = run.log_artifact(await draft("other", {"f": "text"}))
        with pytest.raises(
            ArtifactError, match=r"demo/subset was not logged: .* refer to refscan://demo/data:v0, which"
        ):
            await run.log_artifact(artifact)
        assert (await other).number == 0
        again = await draft("subset")
        await again.add_reference("refscan://demo/data:v1/f", name="taken")
        assert (await run.log_artifact(again)).number == 0


async def test_a_rule_finds_the_versions_of_all_artifacts_or_of_one(registry, log):
    await log("0", "1", "2", "3")
    await log("0", "1", "2", name="other")
    await log("x", "2", aliases=["prod"], name="other")
    found = [(record.name, record.number) for record in await expired_versions(registry, keep_last=2)]
    assert found == [("data", 0), ("data", 1), ("other", 0), ("other", 1), ("other", 2)]
    only = await expired_versions(registry, keep_last=3, project_name="demo", name="data")
    assert [(record.name, record.number) for record in only] == [("data", 0)]
    assert await expired_versions(registry, ttl=timedelta(days=1)) == []
    assert await expired_versions(registry, ttl=timedelta(days=999_999)) == []
    with pytest.raises(RegistryError, match="there is no artifact demo/nothing"):
        await expired_versions(registry, keep_last=1, project_name="demo", name="nothing")


START = datetime(2026, 1, 1, tzinfo=UTC)


def record(number, day, aliases):
    return Record(
        1, "p", "n", "t", number, "", "", "", 0, 0, None, "{}", "[]", START + timedelta(days=day), tuple(aliases)
    )


@given(
    versions=st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=12),
    keep_last=st.none() | st.integers(1, 5),
    day=st.none() | st.integers(0, 10),
)
def test_what_expires(versions, keep_last, day):
    newest = len(versions) - 1
    records = [
        record(number, age, ["prod"] * named + ["latest"] * (number == newest))
        for number, (age, named) in enumerate(versions)
    ]
    older_than = None if day is None else START + timedelta(days=day)
    gone = {one.number for one in expired(records, keep_last=keep_last, older_than=older_than)}
    for number, (age, named) in enumerate(versions):
        rules = [] if keep_last is None else [newest - number >= keep_last]
        rules += [] if day is None else [age < day]
        assert (number in gone) == (bool(rules) and all(rules) and not named and number != newest)
