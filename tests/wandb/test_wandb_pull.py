"""W&B manifests, recorded as versions: from artifacts and from files, whole and damaged."""

import json
import os

import pytest
import wandb

import refscan
import refscan.wandb
from refscan.cli.main import main
from refscan.errors import ArtifactError, DigestMismatchError, ObjectNotFoundError, RegistryError


def save(artifact, path):
    path.write_text(json.dumps(artifact.manifest.to_manifest_json()))
    return path


async def rows_of(version):
    return {row["path"]: row for batch in version.batches() for row in batch.to_pylist()}


@pytest.fixture
def made(bucket):
    bucket = bucket()
    bucket.put("data/x", b"old")
    bucket.pins = {key: bucket.put(f"data/{key}", key.encode()) for key in ("x", "y/z")}
    return bucket


@pytest.fixture
def theirs(made):
    artifact = wandb.Artifact("images", "pictures", description="some", metadata={"n": 2})
    artifact.add_reference(made.uri + "data", "s3")
    return artifact


async def test_an_artifact_becomes_the_version_that_refscan_would_record(made, theirs):
    async with refscan.init(project="demo") as run:
        version = await refscan.wandb.from_wandb(theirs)
        artifact = refscan.Artifact("own", "pictures")
        await artifact.add_reference(made.uri + "data", name="s3")
        own = await run.log_artifact(artifact)
    assert (version.project, version.artifact_name, version.type) == ("demo", "images", "pictures")
    assert (version.description, version.metadata) == ("some", {"n": 2})
    assert (version.digest, version.pin_digest) == (theirs.digest, own.pin_digest)
    ours, pulled = await rows_of(own), await rows_of(version)
    for row in (*ours.values(), *pulled.values()):
        for name in ("last_modified", "storage_class", "checksum"):  # W&B knows none
            row.pop(name)
    assert pulled == ours


async def test_it_can_be_verified_and_downloaded_after_objects_were_overwritten(made, theirs, tmp_path):
    version = await refscan.wandb.from_wandb(theirs, project="demo")
    made.put("data/x", b"overwritten")
    report = await version.verify()
    assert (report.ok, report.checked) == (True, 2)
    root = await version.download(tmp_path / "out")
    assert (root / "s3" / "x").read_text() == "x"
    made.client.delete_object(Bucket=made.name, Key="data/x", VersionId=made.pins["x"])
    assert not (await version.verify()).ok


async def test_a_file_becomes_a_version(made, theirs, tmp_path):  # noqa: ARG001
    path = save(theirs, tmp_path / "wandb_manifest.json")
    version = await refscan.wandb.from_wandb(path, project="demo", digest=theirs.digest, aliases=["w"])
    assert (version.artifact_name, version.type, version.digest) == ("wandb_manifest", "dataset", theirs.digest)
    assert version.aliases == ("latest", "w")


async def test_without_a_run_a_project_is_needed(theirs):
    with pytest.raises(RegistryError, match="project="):
        await refscan.wandb.from_wandb(theirs)


async def test_every_kind_of_reference_is_kept(gcs_bucket, web_server, tmp_path, monkeypatch):
    from servers.http import Resource

    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "test")
    google = gcs_bucket()
    generation = google.put("d/a", b"1")
    web_server.resources["/x"] = Resource(b"web", e_tag='"e"')
    web_server.resources["/y"] = Resource(b"more")
    (tmp_path / "f").write_text("file")
    artifact = wandb.Artifact("all", "dataset")
    artifact.add_reference(google.uri + "d", "g")
    artifact.add_reference(web_server.base + "x")
    artifact.add_reference(web_server.base + "y")
    artifact.add_reference((tmp_path / "f").as_uri())
    artifact.add_reference("weird://there", "tracked")
    version = await refscan.wandb.from_wandb(artifact, project="demo")
    assert version.digest == artifact.digest
    rows = await rows_of(version)
    assert (rows["g/a"]["version_id"], rows["g/a"]["e_tag"]) == (generation, rows["g/a"]["digest"])
    assert (rows["x"]["e_tag"], rows["y"]["e_tag"], rows["f"]["e_tag"]) == ('"e"', None, None)
    google.put("d/a", b"22")
    report = await version.verify()
    assert report.problems.column("status").to_pylist() == ["unchecked"]
    root = await version.download(tmp_path / "out", allow_missing_references=True)
    assert {name: (root / name).read_text() for name in ("g/a", "x", "y", "f")} == {
        "g/a": "1",
        "x": "web",
        "y": "more",
        "f": "file",
    }


async def test_names_of_blobs_come_back_as_they_were(container, tmp_path):
    made = container()
    made.put("d/per%20cent", b"1")
    made.put("d/q?x#y", b"2")
    ref = "https://account.blob.core.windows.net/box/d/"
    contents = {
        name: {"digest": "0x1", "ref": ref + name, "extra": {"etag": "0x1"}} for name in ("per%20cent", "q?x#y")
    }
    version = await refscan.wandb.from_wandb(_file(tmp_path, contents), project="demo")
    rows = await rows_of(version)
    assert [row["ref"] for row in rows.values()] == [ref + "per%2520cent", ref + "q%3Fx%23y"]


async def test_what_wandb_stores_itself_is_refused_or_taken_from_a_folder(tmp_path):
    artifact = wandb.Artifact("stored", "dataset")
    for name in ("a", "deep/b"):
        (tmp_path / "files" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "files" / name).write_text(name)
        artifact.add_file(str(tmp_path / "files" / name), name, policy="immutable")
    with pytest.raises(ArtifactError, match=r"'a' is stored with W&B itself.*files="):
        await refscan.wandb.from_wandb(artifact, project="demo")
    version = await refscan.wandb.from_wandb(artifact, project="demo", files=tmp_path / "files")
    assert (version.digest, version.entry_count) == (artifact.digest, 2)
    root = await version.download(tmp_path / "out")
    assert (root / "deep" / "b").read_text() == "deep/b"
    (tmp_path / "files" / "a").write_text("other")
    with pytest.raises(DigestMismatchError, match="'a'"):
        await refscan.wandb.from_wandb(artifact, project="demo", files=tmp_path / "files")


async def test_each_file_must_be_its_own_though_another_one_has_the_same_content(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_text("same")
    artifact = wandb.Artifact("stored", "dataset")
    artifact.add_dir(str(tmp_path), policy="immutable")
    (tmp_path / "b").write_text("other")
    with pytest.raises(DigestMismatchError, match="'b'"):
        await refscan.wandb.from_wandb(artifact, project="demo", files=tmp_path)
    for put in (lambda: None, (tmp_path / "b").mkdir):
        (tmp_path / "b").unlink(missing_ok=True)
        put()
        with pytest.raises(ObjectNotFoundError, match="/b: "):
            await refscan.wandb.from_wandb(artifact, project="demo", files=tmp_path)


async def test_facts_that_a_manifest_lacks_are_no_difference(bucket, tmp_path):
    made = bucket(versioned=False)
    e_tags = {key: made.client.put_object(Bucket=made.name, Key=key, Body=b"1")["ETag"][1:-1] for key in "ab"}
    contents = {key: {"digest": e_tag, "ref": made.uri + key} for key, e_tag in e_tags.items()}
    contents["named"] = {"digest": made.uri + "a", "ref": made.uri + "a"}  # with checksum=False
    version = await refscan.wandb.from_wandb(_file(tmp_path, contents), project="demo")
    assert (await version.verify()).counts == {"present": 3}
    made.put("b", b"2")
    assert (await version.verify()).problems.column("path").to_pylist() == ["b"]
    made.delete("a")
    assert (await version.verify()).counts == {"changed": 1, "missing": 2}


async def test_an_entry_of_another_wandb_artifact_is_tracked(tmp_path):
    contents = {"a": {"digest": "abc", "ref": "wandb-artifact://0123/a", "size": 0, "birthArtifactID": "x"}}
    version = await refscan.wandb.from_wandb(_file(tmp_path, contents), project="demo")
    (row,) = (await rows_of(version)).values()
    assert (row["ref"], row["digest"], row["size"]) == ("wandb-artifact://0123/a", "abc", None)
    assert (await version.verify()).problems.column("status").to_pylist() == ["unchecked"]


async def test_secrets_in_references_are_left_out_or_refused(tmp_path):
    contents = {"a": {"digest": "abc", "ref": "https://u:hush@h/a?token=hush", "extra": {"etag": '"abc"'}}}
    version = await refscan.wandb.from_wandb(_file(tmp_path, contents), project="demo")
    assert (await version.get_entry("a")).ref == "https://h/a"
    contents["a"]["digest"] = contents["a"]["ref"]
    with pytest.raises(ArtifactError, match="secret") as raised:
        await refscan.wandb.from_wandb(_file(tmp_path, contents), project="demo")
    assert "hush" not in str(raised.value)


async def test_an_unknown_size_is_none(tmp_path):
    contents = {
        "unread": {"digest": "s3://b/u", "ref": "s3://b/u", "size": 0},
        "empty": {"digest": "abc", "ref": "s3://b/e", "size": 0, "extra": {"versionID": 7}},
    }
    rows = await rows_of(await refscan.wandb.from_wandb(_file(tmp_path, contents), project="demo"))
    assert (rows["unread"]["size"], rows["unread"]["e_tag"]) == (None, None)
    assert (rows["empty"]["size"], rows["empty"]["e_tag"], rows["empty"]["version_id"]) == (0, "abc", "7")


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({}, "'b' has no digest"),
        ({"digest": None}, "no digest"),
        ({"digest": 7}, "no text"),
        ({"digest": "d", "ref": ["s3://b/a"]}, "no text"),
        ({"digest": "d", "ref": "s3://b/a", "size": "7"}, "no number"),
        ({"digest": "d", "ref": "s3://b/a", "size": -1}, "negative"),
        ({"digest": "d", "ref": "s3://b/a", "size": 2**70}, "damaged"),
        ({"digest": "d", "ref": "s3://b/a", "extra": "x"}, "damaged"),
        ({"digest": "\ud800", "ref": "s3://b/a"}, "damaged"),
    ],
)
async def test_a_field_that_is_none_is_damage(tmp_path, fields, why):
    contents = {"a": {"digest": "d", "ref": "s3://b/a"}, "b": fields}
    with pytest.raises(ArtifactError, match=why) as raised:
        await refscan.wandb.from_wandb(_file(tmp_path, contents), project="demo")
    assert "\n" not in str(raised.value)


async def test_a_path_that_stands_there_twice_is_damage(tmp_path):
    path = tmp_path / "m.json"
    entries = [f'"{index:06}": {{"digest": "{"d" * 900}", "ref": "s3://b/a"}}' for index in range(6_000)]
    path.write_text(f'{{"version": 1, "contents": {{{", ".join([*entries, entries[0]])}}}}}')
    with pytest.raises(ArtifactError, match="damaged: a path stands there twice"):
        await refscan.wandb.from_wandb(path, project="demo")


async def test_no_entries_are_a_version_of_none(tmp_path):
    version = await refscan.wandb.from_wandb(_file(tmp_path, {}), project="demo")
    assert (version.entry_count, version.digest) == (0, wandb.Artifact("a", "b").digest)


async def test_an_artifact_with_another_digest_is_refused(theirs):
    with pytest.raises(ArtifactError, match=f"its digest is {theirs.digest}, and should be {'0' * 32}"):
        await refscan.wandb.from_wandb(theirs, project="demo", digest="0" * 32)


def test_our_own_export_comes_back(made, tmp_path, capfd):
    assert main(["artifact", "put", "--name", "demo/a", "--type", "dataset", "--json", made.uri + "data"]) == 0
    path = tmp_path / "m.json"
    assert main(["artifact", "export", "--format", "wandb", "--output", str(path), "demo/a"]) == 0
    assert main(["artifact", "pull", "--wandb-manifest", str(path), "--name", "demo/a", "--json"]) == 0
    put, pulled = map(json.loads, capfd.readouterr().out.splitlines())
    assert (pulled["digest"], pulled["version"], pulled["created"]) == (put["digest"], "v0", False)


def test_the_command_records_a_file(theirs, tmp_path, capfd):
    path = save(theirs, tmp_path / "images.json")
    words = ["artifact", "pull", "--wandb-manifest", str(path)]
    assert main([*words, "--name", "demo/pulled", "--type", "pictures", "--digest", theirs.digest, "--json"]) == 0
    printed = json.loads(capfd.readouterr().out)
    assert printed["digest"] == theirs.digest
    assert (printed["project"], printed["name"], printed["version"], printed["entries"]) == ("demo", "pulled", "v0", 2)
    assert main(words) == 0
    printed = capfd.readouterr().out
    assert printed.startswith("wandb/images:v0: 2 entries, ")
    assert printed.endswith(f", digest {theirs.digest}\n")
    assert main([*words, "--digest", "0" * 32]) == 1
    error = capfd.readouterr().err
    assert error.count("\n") == 1
    assert "damaged" in error
    assert main(["artifact", "pull", "--wandb-manifest", str(tmp_path / "nothing")]) == 1
    assert "no such file" in capfd.readouterr().err


def _file(tmp_path, contents):
    path = tmp_path / "manifest.json"
    head = {"version": 1, "storagePolicy": "wandb-storage-policy-v1", "storagePolicyConfig": {"storageLayout": "V2"}}
    path.write_text(json.dumps(head | {"contents": contents}))
    os.utime(path)
    return path
