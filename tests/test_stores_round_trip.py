"""One body for every store: reference, log, overwrite, log, and download both versions, with keys of every kind."""

import os
import re

import pytest
from conformance.keys import ODD_KEYS
from servers.azure import ACCOUNT, connection_string
from servers.azure_service import BlobService
from servers.scripted import ScriptedServer

import refscan
from refscan import DigestMismatchError, InvalidPathError, PathConflictError
from refscan.download.plan import check_paths, target_of
from refscan.manifest.schema import manifest_rows


class Place:
    """Where the objects of one test lie.

    Attributes:
        uri: The folder that is referenced.
        pinned: What was overwritten can still be had.
        put: Stores an object.
    """

    def __init__(self, uri, put, *, pinned, allows=lambda _: True) -> None:
        self.uri = uri
        self.put = put
        self.pinned = pinned
        self.allows = allows


@pytest.fixture
def s3_place(bucket):
    place = bucket()
    return Place(place.uri, place.put, pinned=True)


@pytest.fixture
def s3_without_versions(bucket):
    place = bucket(versioned=False)
    return Place(place.uri, place.put, pinned=False)


@pytest.fixture
def gcs_place(gcs_bucket):
    place = gcs_bucket()
    return Place(place.uri, place.put, pinned=True)


@pytest.fixture
def azurite_place(container):
    place = container()
    return Place(place.uri, place.put, pinned=False, allows=is_emulated_blob_name)


@pytest.fixture(params=["xml", "arrow", "hierarchical"])
async def azure_place(azure_env, request):
    """What the emulator lacks: versions, Arrow answers, a hierarchical namespace (which has no versions)."""
    arrow = "spoken" if request.param == "arrow" else "unknown"
    service = BlobService(page_size=7, arrow=arrow, hierarchical=request.param == "hierarchical")
    async with ScriptedServer(service) as server:
        endpoint = f"{server.url}/{ACCOUNT}"
        azure_env.setenv("AZURE_STORAGE_CONNECTION_STRING", connection_string(endpoint))
        yield Place(f"{endpoint}/container/", service.put, pinned=not service.hierarchical, allows=is_blob_name)


@pytest.fixture(params=["html", "json"])
def nginx_place(nginx, request):
    nginx.flavour = request.param
    folder = nginx.root / f"round-trip-{request.param}-{os.urandom(4).hex()}"

    def put(key, data):
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def allows(key):
        parts = key.split("/")
        # nginx leaves names that begin with a dot out of its index.
        return all(part and not part.startswith(".") for part in parts)

    return Place(f"{nginx.url}{folder.name}/", put, pinned=False, allows=allows)


def is_blob_name(key):
    # https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata
    return not any(part.endswith(".") for part in key.split("/"))


def is_emulated_blob_name(key):
    # What XML cannot hold, the service sends percent-encoded, and the emulator fails at. It takes a backslash for a
    # slash, and sorts names as JavaScript does, by UTF-16: then they are sorted here.
    return is_blob_name(key) and not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\\\\\ufffe\uffff]", key)


def storable(keys):
    """Return keys that can be files beside each other."""
    kept = []
    for key in keys:
        rows = manifest_rows(path=sorted([*kept, key]), digest=["x"] * (len(kept) + 1))
        try:
            check_paths(lambda rows=rows: [rows])
        except (InvalidPathError, PathConflictError):
            continue
        kept.append(key)
    return kept


def files_below(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


async def log(run, uri):
    artifact = refscan.Artifact("data", type="dataset")
    receipt = await artifact.add_reference(uri, max_objects=None)
    return await run.log_artifact(artifact), receipt


async def round_trip(place, tmp_path):
    keys = storable(key for key in ODD_KEYS if place.allows(key))
    assert len(keys) > 25
    first = {key: b"first " + key.encode() for key in keys}
    for key, data in first.items():
        place.put(key, data)

    async with refscan.init(project="demo") as run:
        version, receipt = await log(run, place.uri)
        assert receipt.skipped == {}
        assert [row["path"] for batch in version.batches() for row in batch.to_pylist()] == sorted(keys)
        assert (version.name, version.entry_count, version.created) == ("data:v0", len(keys), True)
        assert receipt.objects == len(keys)
        assert (receipt.pinned == len(keys)) or not place.pinned
        root = await version.download(tmp_path / "before")
        assert files_below(root) == {target_of(key): data for key, data in first.items()}

        second = first | {key: b"second, and longer " + key.encode() for key in keys[::2]}
        for key in keys[::2]:
            place.put(key, second[key])
        newer, _ = await log(run, place.uri)
        assert (newer.name, newer.entry_count) == ("data:v1", len(keys))
        assert newer.digest != version.digest
        again, _ = await log(run, place.uri)
        assert (again.name, again.created) == ("data:v1", False)

        root = await newer.download(tmp_path / "newer")
        assert files_below(root) == {target_of(key): data for key, data in second.items()}
        assert (await newer.verify()).ok
        older = await run.use_artifact("data:v0")
        if place.pinned:
            root = await older.download(tmp_path / "older")
            assert files_below(root) == {target_of(key): data for key, data in first.items()}
            assert (await older.verify()).ok
        else:
            with pytest.raises(DigestMismatchError, match="overwritten"):
                await older.download(tmp_path / "older")
            for path, data in files_below(tmp_path / "older").items():
                assert {target_of(key): data for key, data in first.items()}[path] == data, "never a wrong file"
            found = (await older.verify()).problems.to_pylist()
            assert {(problem["path"], problem["status"]) for problem in found} == {
                (key, "changed") for key in keys[::2]
            }


async def test_s3(s3_place, tmp_path):
    await round_trip(s3_place, tmp_path)


async def test_s3_without_versions(s3_without_versions, tmp_path):
    await round_trip(s3_without_versions, tmp_path)


async def test_google(gcs_place, tmp_path):
    await round_trip(gcs_place, tmp_path)


async def test_azurite(azurite_place, tmp_path):
    await round_trip(azurite_place, tmp_path)


async def test_azure(azure_place, tmp_path):
    await round_trip(azure_place, tmp_path)


async def test_nginx(nginx_place, tmp_path):
    await round_trip(nginx_place, tmp_path)


async def test_a_folder_of_a_web_server_named_without_its_slash(nginx_place):
    nginx_place.put("deep/a b.txt", b"x")
    nginx_place.put("top.txt", b"xy")
    async with refscan.scan(nginx_place.uri.rstrip("/")) as batches:
        keys = [key async for batch in batches for key in batch.column("key").to_pylist()]
    folder = nginx_place.uri.rstrip("/").rpartition("/")[2]
    assert keys == [f"{folder}/deep/a%20b.txt", f"{folder}/top.txt"]
