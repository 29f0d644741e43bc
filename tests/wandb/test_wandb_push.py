"""Recorded versions in offline W&B runs: what the run's directory holds is read back with W&B's own classes."""

import asyncio
import base64
import gzip
import hashlib
import json
from pathlib import Path

import pytest
import wandb
from datastore import logged_artifacts
from wandb.sdk.artifacts.artifact_manifests.artifact_manifest_v1 import ArtifactManifestV1
from wandb.sdk.interface import interface

import refscan
import refscan.wandb
from refscan.errors import ArtifactError, DigestMismatchError, InvalidPathError, StoreError


def manifest_of(logged):
    """Return the manifest of a logged artifact, as W&B reads it."""
    contents = {
        entry.path: {
            "digest": entry.digest,
            "size": entry.size,
            **({"ref": entry.ref} if entry.ref else {}),
            **({"local_path": entry.local_path} if entry.local_path else {}),
            "extra": {extra.key: json.loads(extra.value_json) for extra in entry.extra},
        }
        for entry in logged.manifest.contents
    }
    return _parsed(contents)


def _parsed(contents):
    return ArtifactManifestV1.from_manifest_json(
        {
            "version": 1,
            "storagePolicy": "wandb-storage-policy-v1",
            "storagePolicyConfig": {"storageLayout": "V2"},
            "contents": contents,
        }
    )


@pytest.fixture
def offline_run(tmp_path):
    """An offline run, and the artifacts it holds once it is finished."""
    settings = wandb.Settings(silent=True, console="off", root_dir=str(tmp_path))
    run = wandb.init(entity="me", project="there", settings=settings)
    directory = Path(run.dir).parent

    def finish():
        run.finish()
        wandb.teardown()  # it returns once the service process has written all and ended
        return logged_artifacts(directory)

    yield run, finish
    run.finish()


@pytest.fixture
def files(tmp_path):
    (tmp_path / "files" / "deep").mkdir(parents=True)
    (tmp_path / "files" / "a").write_text("a")
    (tmp_path / "files" / "deep" / "b").write_text("bb")
    return tmp_path / "files"


async def record(name, fill, **options):
    async with refscan.init(project="demo") as run:
        artifact = refscan.Artifact(name, "dataset", **options)
        await fill(artifact)
        return await run.log_artifact(artifact, aliases=["prod"])


async def test_a_version_goes_over_with_all_it_has(bucket, files, offline_run):
    made = bucket()
    pins = {key: made.put(f"data/{key}", key.encode()) for key in ("x", "y/z", "e//f")}

    async def fill(artifact):
        await artifact.add_reference(made.uri + "data", name="s3")
        await artifact.add_reference(files.as_uri(), name="local")
        await artifact.add_file(files / "a", name="stored/a")

    version = await record("data", fill, description="all of it", metadata={"rows": 3, "tags": ["t"]})
    run, finish = offline_run
    artifact = await refscan.wandb.to_wandb(version, run)
    assert (artifact.name, artifact.type, artifact.digest) == ("data", "dataset", version.digest)
    (logged,) = finish()
    assert (logged.name, logged.type, logged.digest) == ("data", "dataset", version.digest)
    assert (logged.description, json.loads(logged.metadata)) == ("all of it", {"rows": 3, "tags": ["t"]})
    assert sorted(logged.aliases) == ["latest", "prod"]
    assert logged.finalize
    manifest = manifest_of(logged)
    assert manifest.digest() == version.digest
    for key, pin in pins.items():
        entry = manifest.entries[f"s3/{key}"]
        assert (entry.ref, entry.size) == (f"{made.uri}data/{key}", len(key))
        assert entry.extra == {"etag": hashlib.md5(key.encode()).hexdigest(), "versionID": pin}
    assert manifest.entries["local/deep/b"].ref == f"{files.as_uri()}/deep/b"
    stored = manifest.entries["stored/a"]
    assert stored.ref is None
    assert Path(stored.local_path).read_text() == "a"
    assert stored.digest == base64.b64encode(hashlib.md5(b"a").digest()).decode()


async def test_what_the_sdk_logs_of_the_same_reference_is_the_same(bucket, offline_run):
    made = bucket()
    for key in ("x", "y/z"):
        made.put(f"data/{key}", key.encode())
    version = await record("data", lambda artifact: artifact.add_reference(made.uri + "data"))
    own = wandb.Artifact("own", "dataset")
    own.add_reference(made.uri + "data")
    run, finish = offline_run
    await refscan.wandb.to_wandb(version, run)
    run.log_artifact(own)
    one, other = finish()
    assert one.digest == other.digest
    assert list(one.manifest.contents) == list(other.manifest.contents)


async def test_versions_arrive_in_the_order_of_the_calls(tmp_path, offline_run):
    file = tmp_path / "file"
    versions = []
    for number in range(8):
        file.write_text("x" * number)
        versions.append(await record("data", lambda artifact: artifact.add_reference(file.as_uri())))
    run, finish = offline_run
    await asyncio.gather(*(refscan.wandb.to_wandb(version, run) for version in versions))
    assert [logged.digest for logged in finish()] == [version.digest for version in versions]


async def test_an_entry_of_another_artifact_is_followed(files, offline_run):
    async def fill(artifact):
        await artifact.add_reference(files.as_uri())
        await artifact.add_file(files / "a", name="stored")

    first = await record("first", fill)

    async def fill_second(artifact):
        for path in ("deep/b", "stored"):
            await artifact.add_reference(await first.get_entry(path), name=path)

    middle = await record("middle", fill_second)

    async def fill_third(artifact):
        for path in ("deep/b", "stored"):
            await artifact.add_reference(await middle.get_entry(path), name=path)

    last = await record("last", fill_third)
    run, finish = offline_run
    artifact = await refscan.wandb.to_wandb(last, run)
    assert artifact.digest == last.digest
    (logged,) = finish()
    entries = manifest_of(logged).entries
    assert entries["deep/b"].ref == f"{files.as_uri()}/deep/b"
    assert Path(entries["stored"].local_path).read_text() == "a"


async def test_an_entry_recorded_from_another_registry_is_refused(files, offline_run, tmp_path):
    first = await record("first", lambda artifact: artifact.add_reference((files / "a").as_uri()))
    entry = await first.get_entry("a")
    second = await record("second", lambda artifact: artifact.add_reference(entry))
    (files / "a").write_text("changed")
    async with refscan.init(project="demo", registry=tmp_path / "other") as run:
        artifact = refscan.Artifact("first", "dataset")
        await artifact.add_reference((files / "a").as_uri())
        await run.log_artifact(artifact)
        artifact = refscan.Artifact("second", "dataset")
        await artifact.add_reference(entry)
        second = await run.log_artifact(artifact)
    run, _ = offline_run
    with pytest.raises(DigestMismatchError):
        await refscan.wandb.to_wandb(second, run)


async def test_references_of_google_and_azure_are_the_sdks(gcs_bucket, container, offline_run):
    google, azure = gcs_bucket(), container()
    generation = google.put("d/a", b"1")
    azure.put("d/per%20cent", b"2")

    async def fill(artifact):
        await artifact.add_reference(google.uri + "d", name="google")
        await artifact.add_reference(azure.uri + "d", name="azure")

    version = await record("data", fill)
    run, finish = offline_run
    await refscan.wandb.to_wandb(version, run)
    (logged,) = finish()
    entries = manifest_of(logged).entries
    assert entries["google/a"].extra == {"versionID": int(generation)}
    assert set(entries["azure/per%20cent"].extra) == {"etag"}


async def test_what_the_sdk_refuses_is_one_line_and_logs_nothing(bucket, files, offline_run):
    reserved = await record("job", lambda artifact: artifact.add_reference((files / "a").as_uri()))
    object.__setattr__(reserved, "type", "wandb-reserved")
    fine = await record("fine", lambda artifact: artifact.add_reference((files / "a").as_uri()))
    made = bucket()
    made.put("/leading", b"1")
    absolute = await record("data", lambda artifact: artifact.add_reference(made.uri))
    run, finish = offline_run
    with pytest.raises(ArtifactError, match=r"demo/job:v0: W&B refuses it: .*reserved") as raised:
        await refscan.wandb.to_wandb(reserved, run)
    assert "\n" not in str(raised.value)
    with pytest.raises(InvalidPathError, match="'/leading'"):
        await refscan.wandb.to_wandb(absolute, run)
    with pytest.raises(ArtifactError, match=r"[Aa]lias"):
        await refscan.wandb.to_wandb(fine, run, aliases=["a/b"])
    assert finish() == []


async def test_a_large_manifest_lies_in_a_file_beside(files, offline_run, monkeypatch):
    monkeypatch.setattr(interface, "MANIFEST_FILE_SIZE_THRESHOLD", 1)  # 100,000 otherwise
    version = await record("data", lambda artifact: artifact.add_reference(files.as_uri()))
    run, finish = offline_run
    await refscan.wandb.to_wandb(version, run)
    (logged,) = finish()
    with gzip.open(logged.manifest.manifest_file_path, "rt") as file:
        contents = {entry.pop("path"): entry for entry in map(json.loads, file)}
    assert _parsed(contents).digest() == version.digest


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"shorter")])
async def test_a_stored_file_that_is_lost_is_not_passed_on(offline_run, tmp_path, damage):
    run, finish = offline_run
    (tmp_path / "model.h5").write_bytes(b"0123456789")
    async with refscan.init(project="demo") as ours:
        artifact = refscan.Artifact("stored", "dataset")
        await artifact.add_file(tmp_path / "model.h5")
        version = await ours.log_artifact(artifact)
    path = version.store.file_path((await version.get_entry("model.h5")).digest)
    path.chmod(0o600)
    damage(path)
    with pytest.raises(StoreError, match=f"lacks {path}, or it is damaged"):
        await version.to_wandb(run)
    assert finish() == []
