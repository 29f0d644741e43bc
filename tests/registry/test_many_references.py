"""``add_references``: many single objects by their own URIs, all or none."""

import gc
import random
from types import SimpleNamespace

import anyio
import pytest
from servers.http import Resource
from servers.scripted import Answer, ScriptedServer

import refscan
from refscan import (
    Artifact,
    HTTPOptions,
    InvalidPathError,
    InvalidURIError,
    ObjectNotFoundError,
    PathConflictError,
    UnsupportedSchemeError,
)
from refscan.sources.http import HTTPSource


def entries(artifact):
    artifact.draft.seal()
    return {row["path"]: row for batch in artifact.draft.batches() for row in batch.to_pylist()}


@pytest.fixture
def artifact():
    return Artifact("data", type="dataset")


async def test_each_stands_where_its_name_says(artifact, memory, web_server):
    bucket = memory({"a/1": b"one", "b/2": b"two!"})
    web_server.resources["/x/3.txt"] = Resource(b"three", e_tag='"e3"')
    added = await artifact.add_references(
        [bucket.base + "a/1", (bucket.base + "b/2", "deep/two"), web_server.base + "x/3.txt"], name="all"
    )
    found = entries(artifact)
    assert added == 3
    assert {path: (row["ref"], row["size"]) for path, row in found.items()} == {
        "all/1": (bucket.base + "a/1", 3),
        "all/deep/two": (bucket.base + "b/2", 4),
        "all/3.txt": (web_server.base + "x/3.txt", 5),
    }
    assert found["all/3.txt"]["digest"] == "e3"
    assert found["all/1"]["version_id"] == "1"


async def test_it_is_what_add_reference_gives_one_by_one(artifact, memory):
    bucket = memory({f"{number % 13}/{number:05}": str(number).encode() for number in range(9_000)})
    uris = [bucket.base + key for key in bucket._keys]
    random.Random(1).shuffle(uris)
    assert await artifact.add_references((uri, uri.removeprefix(bucket.base)) for uri in uris) == 9_000
    other = Artifact("other", type="dataset")
    await other.add_reference(bucket.base, max_objects=None)
    assert entries(artifact) == entries(other)


async def test_an_async_iterable_is_read_no_faster_than_stores_answer(artifact, memory):
    bucket = memory({f"{number:05}": b"" for number in range(5_000)})
    taken = 0

    async def uris():
        nonlocal taken
        for key in list(bucket._keys):
            taken += 1
            assert taken - bucket.requests <= 1_100
            yield bucket.base + key
            await anyio.lowlevel.checkpoint()

    assert await artifact.add_references(uris()) == 5_000


async def test_the_requests_to_one_host_are_bounded(artifact, web_server):
    for number in range(300):
        web_server.resources[f"/{number}"] = Resource(b"x", e_tag=f'"{number}"')
    urls = [f"{web_server.base}{number}" for number in range(300)]
    await artifact.add_references(urls, options=HTTPOptions(connections=4))
    assert len(entries(artifact)) == 300


@pytest.fixture
def open_at_once(monkeypatch):
    """Count the sources that are open at the same time."""
    counts = SimpleNamespace(now=0, most=0)
    enter, leave = HTTPSource.__aenter__, HTTPSource.__aexit__

    async def entered(source):
        counts.now += 1
        counts.most = max(counts.most, counts.now)
        return await enter(source)

    async def left(source, *exc_info):
        counts.now -= 1
        return await leave(source, *exc_info)

    monkeypatch.setattr(HTTPSource, "__aenter__", entered)
    monkeypatch.setattr(HTTPSource, "__aexit__", left)
    return counts


async def test_few_hosts_are_open_at_once(artifact, open_at_once):
    answer = Answer(b"x", headers={"ETag": '"e"'})
    async with ScriptedServer(lambda _: answer) as server:
        port = server.url.rpartition(":")[2]
        # Logins make places of one host: each has a session of its own.
        uris = [(f"http://user{number}:p@127.0.0.1:{port}/f", f"f{number:03}") for number in range(300)]
        assert await artifact.add_references(uris * 2) == 300
    assert list(entries(artifact)) == [f"f{number:03}" for number in range(300)]
    assert open_at_once.now == 0
    assert open_at_once.most <= 66


async def test_none_stays_open_after_an_error(artifact, recwarn):
    async with ScriptedServer(lambda _: Answer(status=404)) as server:
        port = server.url.rpartition(":")[2]
        uris = [(f"http://user{number}:p@127.0.0.1:{port}/f", f"f{number:03}") for number in range(300)]
        with pytest.raises(ObjectNotFoundError):
            await artifact.add_references(uris)
    gc.collect()
    assert not recwarn.list


@pytest.mark.parametrize(
    ("uris", "error", "text"),
    [
        (["memory://many/a", "memory://many/missing"], ObjectNotFoundError, "memory://many/missing: no such"),
        (["memory://many/a", "memory://many/folder"], ObjectNotFoundError, "use add_reference for a folder"),
        (["memory://many/a", "relative/path"], InvalidURIError, "file://"),
        (["memory://many/a", ("memory://many/b", "../out")], InvalidPathError, "not a relative path"),
        (["memory://many/a", "memory://many/"], InvalidPathError, "ends in no file name"),
        (["memory://many/a", ("memory://many/b", "a")], PathConflictError, "memory://many/a and memory://many/b"),
        (["memory://many/a", "weird://host/x"], UnsupportedSchemeError, "weird://"),
        ("memory://many/a", InvalidURIError, "add_reference for one"),
        (["memory://many/a", 5], InvalidURIError, "pairs of a URI and a path; not int"),
        ([("memory://many/a", "b", "c")], InvalidURIError, "pairs of a URI and a path; not tuple"),
        ([("memory://many/a", "\udc80")], InvalidPathError, "not UTF-8"),
    ],
)
async def test_one_wrong_uri_adds_nothing(artifact, uris, error, text):
    bucket = refscan.MemorySource("many")
    for key in ("a", "b", "folder/x"):
        bucket.put(key, key.encode())
    with pytest.raises(error, match=text):
        await artifact.add_references(uris)
    assert entries(artifact) == {}


async def test_an_iterable_that_fails_adds_nothing(artifact, memory):
    bucket = memory({"a": b""})

    def uris():
        yield bucket.base + "a"
        raise RuntimeError("the list broke off")

    with pytest.raises(RuntimeError, match="the list broke off"):
        await artifact.add_references(uris())
    assert entries(artifact) == {}


async def test_the_same_object_twice_is_one_entry(artifact, memory):
    bucket = memory({"a": b"x", "b": b"x"})
    assert await artifact.add_references([bucket.base + "a"] * 3) == 1
    await artifact.add_references([(bucket.base + "b", "a")])
    assert [row["ref"] for row in entries(artifact).values()] == [bucket.base + "a"]


async def test_what_was_added_so_is_verified_and_downloaded(artifact, memory, tmp_path):
    bucket = memory({"a": b"one", "b": b"two"})
    async with refscan.init(project="demo") as run:
        await artifact.add_references([bucket.base + "a", bucket.base + "b"])
        version = await run.log_artifact(artifact)
    bucket.put("a", b"newer")
    assert (await version.verify()).ok
    root = await version.download(tmp_path / "root")
    assert {path.name: path.read_bytes() for path in root.iterdir()} == {"a": b"one", "b": b"two"}
