"""Entries in a ``wandb.Artifact``, beside those that W&B's handler for Azure makes of the same blobs.

W&B's handler takes ``https://ACCOUNT.blob.core.windows.net`` only, so the emulator's URL and key are given to it by
hand; all else, from the requests to the entries, is its own.
"""

from dataclasses import replace

import pytest
import wandb
from anyio import to_thread
from beside import Beside, placed
from servers.azure import ACCOUNT, KEY, connection_string
from servers.azure_service import BlobService
from servers.scripted import ScriptedServer
from wandb.sdk.artifacts.storage_handlers.azure_handler import AzureHandler

import refscan.wandb
from refscan.errors import MaxObjectsExceededError, ObjectNotFoundError

KEYS = [
    "data/train/cat.png",
    "data/train/deep/bird.png",
    "data/labels.csv",
    "data/ünïcode-雪 x.txt",
    "data/empty",
    "top",
]


class Handler(AzureHandler):
    """W&B's own, at an emulator."""

    def __init__(self, endpoint):
        super().__init__()
        self._endpoint = endpoint

    def _parse_uri(self, uri):
        place, _, _ = self._endpoint.rpartition("/")
        _, container, blob, query = super()._parse_uri(uri.replace(self._endpoint, place, 1))
        return self._endpoint, container, blob, query

    def _get_credential(self, account_url):  # noqa: ARG002
        return {"account_name": ACCOUNT, "account_key": KEY}


class AzureBeside(Beside):
    def __init__(self, endpoint):
        super().__init__()
        self._handler = Handler(endpoint)

    def add_theirs(self, uri, name=None, **options):
        name = None if name is None else wandb.sdk.lib.paths.LogicalPath(name)
        for entry in self._handler.store_path(self.theirs, uri, name=name, **options):
            self.theirs.manifest.add_entry(entry)

    def add(self, uri, name=None, *, strict=False, **options):
        self.add_theirs(uri, name, **options)
        return self.add_ours(uri, name, strict=strict, **options)


@pytest.fixture
def beside(azure):
    return AzureBeside(azure)


@pytest.fixture
def filled(container):
    made = container()
    for key in KEYS:
        made.put(key, b"" if key.endswith("empty") else key.encode())
    return made


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("name", [None, "images", "a//b"])
@pytest.mark.parametrize("place", ["data", "data/train", "data/labels.csv", "data/empty", "top"])
def test_blobs_and_folders_are_the_same(beside, filled, place, name, strict):
    beside.add(filled.uri + place, name, strict=strict)
    beside.assert_same()
    assert len(beside.entries()) >= 1


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("name", [None, "one.txt"])
def test_one_blob_without_a_checksum_is_the_same(beside, filled, name, strict):
    beside.add(filled.uri + "data/labels.csv", name, checksum=False, strict=strict)
    beside.assert_same(1)


@pytest.mark.parametrize("strict", [False, True])
def test_references_hold_the_names_as_they_are(beside, container, strict):
    made = container()
    for key in ("d/per%20cent", "d/a b", "d/q?x", "d/h#x"):
        made.put(key, key.encode())
    beside.add(made.uri + "d", strict=strict)
    beside.assert_same(4)
    assert beside.entries()["per%20cent"].ref == made.uri + "d/per%20cent"


# The rows of the README's table.


def test_odd_names_keep_their_bytes(beside, container):
    made = container()
    for key in ("d/e//f", "d/g"):
        made.put(key, key.encode())
    beside.add(made.uri + "d")
    assert placed(beside.theirs) == {"e/f": made.uri + "d/e//f", "g": made.uri + "d/g"}
    assert placed(beside.ours) == {"e//f": made.uri + "d/e//f", "g": made.uri + "d/g"}


@pytest.mark.parametrize("name", [None, "n"])
def test_strict_collapses_odd_names(beside, container, name):
    made = container()
    for key in ("d/e//f", "d/g"):
        made.put(key, key.encode())
    beside.add(made.uri + "d", name, strict=True)
    beside.assert_same(2)


@pytest.mark.parametrize("strict", [False, True])
def test_escapes_of_a_url_are_read(beside, container, strict):
    made = container()
    made.put("a b.txt", b"1")
    beside.add_theirs(made.uri + "a%20b.txt")
    assert len(beside.theirs.manifest) == 0
    beside.add_ours(made.uri + "a%20b.txt", strict=strict)
    assert placed(beside.ours) == {"a b.txt": made.uri + "a b.txt"}


@pytest.mark.parametrize("strict", [False, True])
def test_a_container_and_a_trailing_slash_are_folders(beside, filled, strict):
    beside.add_theirs(filled.uri + "data/train/")
    assert len(beside.theirs.manifest) == 0
    with pytest.raises(ValueError, match="blob"):
        beside.add_theirs(filled.uri)
    beside.add_ours(filled.uri + "data/train/", strict=strict)
    assert set(beside.entries()) == {"cat.png", "deep/bird.png"}
    beside.add_ours(filled.uri, "all", strict=strict)
    assert {path for path in beside.entries() if path.startswith("all/")} == {"all/" + key for key in KEYS}


@pytest.mark.parametrize("strict", [False, True])
def test_more_than_max_objects_is_refused(beside, filled, strict):
    beside.add_theirs(filled.uri + "data", max_objects=2)
    assert len(beside.theirs.manifest) == 2
    with pytest.raises(MaxObjectsExceededError):
        beside.add_ours(filled.uri + "data", max_objects=2, strict=strict)


@pytest.mark.parametrize("strict", [False, True])
def test_nothing_there_is_an_error(beside, filled, strict):
    beside.add_theirs(filled.uri + "nothing")
    assert len(beside.theirs.manifest) == 0
    with pytest.raises(ObjectNotFoundError):
        beside.add_ours(filled.uri + "nothing", strict=strict)


@pytest.fixture
async def versioned(azure_env):
    """A scripted service that has version IDs, which the emulator lacks, and both SDKs at it."""
    service = BlobService()

    def script(request):
        answer = service(request)
        # Metadata are listed only for who asks for them.
        asked = "metadata" in request.query.get("include", "")
        return answer if asked else replace(answer, body=answer.body.replace(b"<Metadata />", b""))

    async with ScriptedServer(script) as server:
        endpoint = f"{server.url.rstrip('/')}/{ACCOUNT}"
        azure_env.setenv("AZURE_STORAGE_CONNECTION_STRING", connection_string(endpoint))
        yield service, f"{endpoint}/box/", AzureBeside(endpoint)


@pytest.mark.parametrize("strict", [False, True])
async def test_versions_of_one_blob_are_the_same(versioned, strict):
    service, uri, beside = versioned
    first = service.put("d/a", b"1")
    service.put("d/a", b"22")
    for number, place in enumerate(["d/a", f"d/a?versionId={first}"]):
        await to_thread.run_sync(beside.add_theirs, uri + place, f"n{number}")
        await refscan.wandb.add_reference(beside.ours, uri + place, f"n{number}", strict=strict)
    beside.assert_same(2)
    assert beside.entries()["n1"].extra["versionID"] == first


async def test_folders_have_version_ids(versioned):
    service, uri, beside = versioned
    pins = {key: service.put(f"d/{key}", key.encode()) for key in ("a", "b/c")}
    await to_thread.run_sync(beside.add_theirs, uri + "d")
    await refscan.wandb.add_reference(beside.ours, uri + "d")
    assert {path: entry.extra.get("versionID") for path, entry in beside.entries("theirs").items()} == dict.fromkeys(
        pins
    )
    assert {path: entry.extra.get("versionID") for path, entry in beside.entries().items()} == pins
    assert beside.ours.digest == beside.theirs.digest


async def test_strict_leaves_version_ids_of_folders_out(versioned):
    service, uri, beside = versioned
    for key in ("d/a", "d/b/c"):
        service.put(key, key.encode())
    await to_thread.run_sync(beside.add_theirs, uri + "d")
    await refscan.wandb.add_reference(beside.ours, uri + "d", strict=True)
    beside.assert_same(2)
