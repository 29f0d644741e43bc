"""References to entries of logged artifacts: by object and by URI, chained, and never to other bytes."""

import itertools

import pytest

import refscan
from refscan import Artifact, DigestMismatchError, InvalidURIError, ObjectNotFoundError, RegistryError


async def refer_to(run, uri, name=None, *, artifact_name="referring"):
    artifact = Artifact(artifact_name, type="dataset")
    assert await artifact.add_reference(uri, name) is None
    return await run.log_artifact(artifact)


async def test_an_entry_of_a_stored_file(draft, tmp_path):
    async with refscan.init(project="demo") as run:
        origin = await run.log_artifact(await draft(files={"a/b.txt": "text"}))
        entry = await origin.get_entry("a/b.txt")
        assert (entry.uri, entry.ref, entry.size) == ("refscan://demo/data:v0/a/b.txt", None, 4)
        version = await refer_to(run, entry)
        named = await refer_to(run, entry, "deep/c.txt", artifact_name="named")
    recorded = await version.get_entry("b.txt")
    assert (recorded.ref, recorded.digest, recorded.size) == (entry.uri, entry.digest, 4)
    assert (await version.download(tmp_path / "one") / "b.txt").read_text() == "text"
    assert (await named.download(tmp_path / "two") / "deep/c.txt").read_text() == "text"
    assert (await version.verify()).ok


async def test_an_entry_of_an_object_that_was_overwritten_since(memory, tmp_path):
    bucket = memory({"f": b"recorded"})
    async with refscan.init(project="demo") as run:
        artifact = Artifact("data", type="dataset")
        await artifact.add_reference(bucket.base)
        origin = await run.log_artifact(artifact)
        version = await refer_to(run, await origin.get_entry("f"))
        bucket.put("f", b"afterwards")
    assert (await version.download(tmp_path / "root") / "f").read_bytes() == b"recorded"
    verification = await version.verify()
    assert (verification.ok, verification.checked, verification.problems.num_rows) == (True, 1, 0)


@pytest.mark.parametrize("alias", ["v0", "latest", "prod"])
async def test_a_uri_means_the_version_of_the_moment_it_was_added(draft, tmp_path, alias):
    async with refscan.init(project="demo") as run:
        await run.log_artifact(await draft(files={"f": "first"}), aliases=["prod"])
        version = await refer_to(run, f"refscan://demo/data:{alias}/f")
        await run.log_artifact(await draft(files={"f": "second"}), aliases=["prod"])
    assert (await version.get_entry("f")).ref == "refscan://demo/data:v0/f"
    assert (await version.download(tmp_path / "root") / "f").read_text() == "first"


async def test_references_may_be_chained_through_artifacts_and_projects(draft, memory, tmp_path):
    bucket = memory({"o": b"object"})
    async with refscan.init(project="first") as run:
        artifact = await draft(files={"s": "stored"})
        await artifact.add_reference(bucket.base)
        version = await run.log_artifact(artifact)
    for number in range(4):
        async with refscan.init(project=f"project{number}") as run:
            artifact = Artifact("link", type="dataset")
            await artifact.add_reference(await version.get_entry("o"))
            await artifact.add_reference(f"{version.uri}/s")
            version = await run.log_artifact(artifact)
    assert version.uri == "refscan://project3/link:v0"
    assert (await version.get_entry("s")).ref == "refscan://project2/link:v0/s"
    root = await version.download(tmp_path / "root")
    assert ((root / "s").read_text(), (root / "o").read_bytes()) == ("stored", b"object")
    assert (await version.verify()).ok


async def test_of_entries_with_one_content_one_is_taken_in_whatever_order_they_come(draft):
    async with refscan.init(project="demo") as run:
        entries = [
            await (await run.log_artifact(await draft(name, {"f": "same"}))).get_entry("f") for name in ("one", "two")
        ]
        stored = await draft("stored", {"f": "same"})
        for number, order in enumerate(itertools.permutations([*entries, None])):
            artifact = Artifact(f"order-{number}", type="dataset")
            for entry in order:
                if entry is not None:
                    await artifact.add_reference(entry)
                else:
                    async with artifact.new_file("f") as file:
                        await file.write("same")
            version = await run.log_artifact(artifact)
            assert (version.entry_count, version.digest) == (1, (await run.log_artifact(stored)).digest)
            assert (await version.get_entry("f")).ref == "refscan://demo/one:v0/f"


@pytest.mark.parametrize("path", ["a?b", "a#b", "a%20b", "a b", "a:b", "é/中", "v0:/x", "a//b"])
async def test_paths_of_every_kind(memory, tmp_path, path):
    bucket = memory({path: path.encode()})
    async with refscan.init(project="demo") as run:
        artifact = Artifact("data", type="dataset")
        await artifact.add_reference(bucket.base)
        origin = await run.log_artifact(artifact)
        by_object = await refer_to(run, await origin.get_entry(path), "x", artifact_name="by-object")
        by_uri = await refer_to(run, f"refscan://demo/data:v0/{path}", "x", artifact_name="by-uri")
    assert by_object.digest == by_uri.digest
    for number, version in enumerate((by_object, by_uri)):
        assert (await version.download(tmp_path / str(number)) / "x").read_bytes() == path.encode()


async def test_what_is_not_there_is_refused_and_nothing_is_added(draft):
    async with refscan.init(project="demo") as run:
        version = await run.log_artifact(await draft(files={"f": "1"}))
        artifact = Artifact("referring", type="dataset")
        with pytest.raises(ObjectNotFoundError, match="no such entry") as caught:
            await artifact.add_reference("refscan://demo/data:latest/g")
        assert caught.value.uri == "refscan://demo/data:v0/g"
        with pytest.raises(ObjectNotFoundError):
            await version.get_entry("g")
        for uri in ("refscan://demo/data:v1/f", "refscan://demo/other:v0/f", "refscan://nowhere/data:v0/f"):
            with pytest.raises(RegistryError):
                await artifact.add_reference(uri)
        for uri in ("refscan://demo/data/f", "refscan://demo/data:v0", "refscan://demo/data:v0/", "refscan://"):
            with pytest.raises(InvalidURIError, match="PROJECT/NAME:ALIAS/PATH"):
                await artifact.add_reference(uri)
        assert (await run.log_artifact(artifact)).entry_count == 0


async def test_an_entry_of_another_registry_is_never_another_file(draft, tmp_path):
    async with refscan.init(project="demo", registry=tmp_path / "one") as run:
        entry = await (await run.log_artifact(await draft(files={"f": "meant"}))).get_entry("f")
    async with refscan.init(project="demo", registry=tmp_path / "two") as run:
        lonely = await refer_to(run, entry, artifact_name="lonely")
        await run.log_artifact(await draft(files={"f": "other"}))
        version = await refer_to(run, entry)
    with pytest.raises(DigestMismatchError, match="another registry"):
        await version.download(tmp_path / "root")
    assert not (tmp_path / "root" / "f").exists()
    for each in (version, lonely):
        verification = await each.verify()
        assert not verification.ok
        assert [row["status"] for row in verification.problems.to_pylist()] == ["changed"]
