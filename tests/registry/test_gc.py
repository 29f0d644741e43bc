"""Garbage collection: all that no version needs goes, and nothing else, whoever logs at the same moment."""

import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import refscan
from refscan import RegistryError, StoreError
from refscan.manifest.index import Index
from refscan.registry.deletion import delete_version
from refscan.registry.gc import Garbage, _Collection, collect_garbage
from refscan.registry.registry import Registry
from refscan.registry.run import _Asked
from refscan.registry.store import LocalStore
from refscan.registry.version import Version

DAY = 24 * 3600


def stored(root):
    """Return what lies in the store, by kind."""
    return {
        kind: {path.name for path in (root / kind).rglob("*") if path.is_file()}
        for kind in ("manifests", "segments", "files", "trash", "leases", "tmp")
    }


def age(root, seconds=DAY):
    for path in root.rglob("*/??/*"):
        os.utime(path, (time.time() - seconds, time.time() - seconds))


async def collect(root, **options):
    async with Registry(root) as registry:
        return await collect_garbage(registry, **options)


async def contents(root, name):
    """Return a version's stored files by path, read without refscan's download."""
    async with Registry(root) as registry:
        version = Version.of(await registry.catalog.find("demo", *name.split(":")), registry, created=False)
        rows = [row for batch in version.batches() for row in batch.to_pylist()]
        return {row["path"]: registry.store.file_path(row["digest"]).read_text() for row in rows}


@pytest.fixture
def root(tmp_path):
    return tmp_path / "registry"


@pytest.fixture
async def three(draft, root):
    """``demo/data``: v0 and v1, of which v1 is deleted, and ``demo/other:v0``."""
    async with refscan.init(project="demo") as run:
        await run.log_artifact(await draft("data", {"a": "kept", "b": "shared"}))
        await run.log_artifact(await draft("data", {"a": "gone", "b": "shared"}))
        await run.log_artifact(await draft("other", {"c": "other"}))
    async with Registry(root) as registry:
        await delete_version(registry, "demo", "data", "v1")


@pytest.mark.usefixtures("three")
async def test_what_a_deleted_version_alone_needed_goes(root):
    before = stored(root)
    dry = await collect(root)
    assert stored(root) == before
    done = await collect(root, delete=True)
    assert {kind: tally.files for kind, tally in done.garbage.items()} == {"segments": 1, "manifests": 1, "files": 1}
    assert (dry.garbage, dry.deleted, done.deleted) == (done.garbage, False, True)
    now = stored(root)
    assert {kind: len(before[kind] - now[kind]) for kind in before} == {
        "manifests": 1,
        "segments": 1,
        "files": 1,
        "trash": 0,
        "leases": 0,
        "tmp": 0,
    }
    assert await contents(root, "data:v0") == {"a": "kept", "b": "shared"}
    assert await contents(root, "other:v0") == {"c": "other"}
    again = await collect(root, delete=True)
    assert sum(tally.files for tally in again.garbage.values()) == 0


async def test_an_empty_registry_has_no_garbage(root):
    found = await collect(root, delete=True)
    assert sum(tally.files for tally in found.garbage.values()) == found.kept.files == 0


@pytest.mark.usefixtures("three")
async def test_files_of_others_in_the_folder_are_left_alone(root):
    others = [root / "segments" / "ab" / "notes.txt", root / "files" / "readme", root / "files" / "zz" / ("0" * 32)]
    for path in others:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    await collect(root, delete=True)
    assert all(path.read_text() == "mine" for path in others)


async def test_many_files_are_told_apart(draft, root):
    files = {f"{number:04}": f"text {number}" for number in range(1_500)}
    async with refscan.init(project="demo") as run:
        await run.log_artifact(await draft("data", files))
        await run.log_artifact(await draft("data", {**dict(list(files.items())[::2]), "new": "new"}))
    async with Registry(root) as registry:
        await delete_version(registry, "demo", "data", "v0")
    done = await collect(root, delete=True)
    assert done.garbage["files"].files == 750
    assert len(await contents(root, "data:v1")) == 751


@pytest.mark.usefixtures("three")
async def test_a_version_whose_manifest_is_lost_stops_all_before_anything_is_removed(root):
    async with Registry(root) as registry:
        record = await registry.catalog.find("demo", "other", "v0")
        registry.store.path("manifests", record.manifest).unlink()
        before = stored(root)
        with pytest.raises(StoreError, match="lacks"):
            await collect_garbage(registry, delete=True)
        assert stored(root) == before
        await delete_version(registry, "demo", "other", "v0")
        assert (await collect_garbage(registry, delete=True)).garbage["segments"].files == 2


@pytest.mark.parametrize("damage", ["pages", "all"])
@pytest.mark.usefixtures("three")
async def test_a_segment_that_cannot_be_read_stops_all_before_anything_is_removed(root, damage):
    async with Registry(root) as registry:
        record = await registry.catalog.find("demo", "other", "v0")
        path = registry.store.segment_path(registry.store.read_index(record.manifest).segments[0].name)
    data = path.read_bytes()
    path.write_bytes(b"" if damage == "all" else data[:30] + bytes(byte ^ 0xFF for byte in data[30:200]) + data[200:])
    before = stored(root)
    with pytest.raises(StoreError, match=f"{path}, or it is damaged") as caught:
        await collect(root, delete=True)
    assert "\n" not in str(caught.value)
    assert stored(root) == before


@pytest.mark.usefixtures("three")
async def test_a_run_under_way_keeps_what_it_stored_and_what_it_found(draft, root):
    age(root)
    async with refscan.init(project="demo") as run:
        draft_ = await draft("data", {"a": "gone", "new": "new"})
        draft_.seal()
        await asyncio.to_thread(run._write, draft_)
        found = await collect(root, delete=True)
        # The file "gone" was found present; the segment and the manifest of the deleted version were not asked for.
        assert {kind: tally.files for kind, tally in found.garbage.items()} == {
            "segments": 1,
            "manifests": 1,
            "files": 0,
        }
        assert found.kept.files == 4
        await run.log_artifact(draft_)
    assert await contents(root, "data:v2") == {"a": "gone", "new": "new"}
    assert (await collect(root, delete=True)).kept.files == 0
    assert await contents(root, "data:v2") == {"a": "gone", "new": "new"}


async def test_a_file_staged_long_before_the_run_is_kept_too(draft, root, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))  # on the file system of the store
    artifact = await draft("data", {"a": "early"})
    for path in artifact.staging.folder.iterdir():
        os.utime(path, (1, 1))
    async with refscan.init(project="demo") as run:
        artifact.seal()
        await asyncio.to_thread(run._write, artifact)
        assert (await collect(root, delete=True)).kept.files == 3
        await run.log_artifact(artifact)
    assert await contents(root, "data:v0") == {"a": "early"}


@pytest.mark.usefixtures("three")
async def test_a_version_logged_while_garbage_is_marked_is_needed(draft, root, monkeypatch):
    remove = "refscan.registry.gc._Collection._remove"
    original, logged = _Collection._remove, []

    async def log_first(self, kind, batch):
        if not logged:
            logged.append(kind)
            async with refscan.init(project="demo") as run:
                await run.log_artifact(await draft("data", {"a": "gone", "b": "shared"}))
        await original(self, kind, batch)

    monkeypatch.setattr(remove, log_first)
    await collect(root, delete=True)
    assert await contents(root, "data:latest") == {"a": "gone", "b": "shared"}


async def test_a_run_whose_lease_was_revoked_cannot_commit(draft, root):
    async with refscan.init(project="demo") as run:
        artifact = await draft("data", {"a": "1"})
        artifact.seal()
        proposal = await run._prepare(_Asked(artifact, (), "{}", None))
        run.registry.catalog.leases.close()  # as if its process had ended
        found = await collect(root, delete=True)
        assert found.dead_runs == 1
        assert stored(root)["files"] == set()
        (outcome,) = await run._commit([proposal])
        assert isinstance(outcome, StoreError)
        assert "took its run for dead" in str(outcome)
    async with Registry(root) as registry:
        with pytest.raises(RegistryError):
            await registry.catalog.find("demo", "data", "latest")


@pytest.mark.usefixtures("three")
async def test_what_was_set_aside_when_a_collection_was_killed_is_put_back_by_the_next_commit(draft, root):
    async with refscan.init(project="demo") as run:
        artifact = await draft("data", {"a": "gone", "b": "new"})
        artifact.seal()
        await asyncio.to_thread(run._write, artifact)
        for kind in ("segments", "manifests", "files"):
            (root / "trash").mkdir(exist_ok=True)
            for path in (root / kind).glob("??/*"):
                path.rename(root / "trash" / f"{kind}-{path.name}")
        # The draft is stored already; only its commit is left.
        await run.registry.catalog.commit([await prepared(run, artifact)])
    assert stored(root)["trash"] == set()
    assert await contents(root, "data:latest") == {"a": "gone", "b": "new"}
    assert await contents(root, "data:v0") == {"a": "kept", "b": "shared"}


async def prepared(run, artifact):
    from refscan.manifest.writer import write_manifest
    from refscan.registry.records import Proposal

    store = run.registry.store
    index = write_manifest(artifact.draft.batches(), lambda _name, encode: len(encode()))
    name, _ = index.dump()
    assert (store.root / "trash" / f"manifests-{name}").exists()
    return Proposal(
        project="demo",
        name=artifact.name,
        type=artifact.type,
        description=None,
        metadata="{}",
        receipts="[]",
        digest=index.digest,
        pin_digest=index.pin_digest,
        manifest=name,
        entry_count=index.entry_count,
        size=index.size,
        aliases=(),
        run_id=run.id,
    )


LOGGER = """
import asyncio, sys
import refscan

async def main(who, count):
    for index in range(count):
        async with refscan.init(project="demo") as run:
            artifact = refscan.Artifact(who, type="dataset", metadata={"index": index})
            for number in range(3):
                async with artifact.new_file(f"{number}") as file:
                    await file.write(f"{(index + number) % 4}")
            await run.log_artifact(artifact)
            print(index, flush=True)

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""
COLLECTOR = """
import asyncio, sys
import refscan.registry.gc
from refscan.registry.gc import collect_garbage
from refscan.registry.registry import Registry
from refscan.settings import registry_directory

refscan.registry.gc._MARGIN = 0  # this clock does not step back

async def main():
    async with Registry(registry_directory(None)) as registry:
        print("ready", flush=True)
        while True:
            await collect_garbage(registry, delete=True)

asyncio.run(main())
"""


def start(code, *words):
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


async def test_runs_log_and_delete_while_garbage_is_collected_and_killed(root):
    """Versions share files that are garbage again and again; every version that is left must be whole."""
    loggers = [start(LOGGER, name, 25) for name in ("one", "two")]
    for process in loggers:
        assert process.stdout.readline() == "0\n"
    deleted = 0
    while any(process.poll() is None for process in loggers):
        collector = start(COLLECTOR)
        assert collector.stdout.readline() == "ready\n"
        async with Registry(root) as registry:
            for name in ("one", "two"):
                record = await registry.catalog.find("demo", name, "latest")
                await delete_version(registry, "demo", name, f"v{record.number}")
                deleted += 1
        os.kill(collector.pid, signal.SIGKILL)
        collector.communicate(timeout=60)
    for process in loggers:
        _, error = process.communicate(timeout=60)
        assert (process.returncode, error) == (0, "")
    await collect(root, delete=True)
    async with Registry(root) as registry:
        versions = [
            (name, number)
            for name in ("one", "two")
            for number in range(25)
            if await alive(registry, name, f"v{number}")
        ]
    assert deleted
    for name, number in versions:
        assert await contents(root, f"{name}:v{number}") == {f"{k}": f"{(number + k) % 4}" for k in range(3)}
    assert stored(root)["trash"] == stored(root)["leases"] == set()


async def alive(registry, name, alias):
    try:
        await registry.catalog.find("demo", name, alias)
    except RegistryError:
        return False
    return True


@pytest.mark.parametrize("moment", ["os.rename", "os.remove"])
def test_a_file_found_present_at_any_moment_of_its_removal_is_there_afterwards(tmp_path, monkeypatch, moment):
    """A writer stores the file just before it is moved aside, or just before it is removed."""
    store, name = LocalStore(tmp_path), "ab" * 32
    store.put_segment(name, lambda: b"rows")
    path = store.segment_path(name)
    os.utime(path, (1, 1))
    method = {"os.rename": "replace", "os.remove": "unlink"}[moment]
    original, acted = getattr(Path, method), []

    def act_first(self, *arguments):
        if not acted:
            acted.append(self)
            store.put_segment(name, lambda: b"rows")
        return original(self, *arguments)

    monkeypatch.setattr(Path, method, act_first)
    store.discard(path, time.time_ns() - 60 * 10**9)
    assert acted
    assert path.read_bytes() == b"rows"
    assert list((tmp_path / "trash").iterdir()) == []


@pytest.mark.parametrize("kind", ["segments", "manifests", "files"])
@pytest.mark.parametrize("removed", [False, True])
def test_a_file_that_goes_while_it_is_touched_is_stored_anew(tmp_path, monkeypatch, kind, removed):
    """A collection had looked at the file's age before; it puts the file back, or has found it old once more."""
    store, index, digest = LocalStore(tmp_path), Index("", "", 0, 0, ()), "kAFQmDzST7DWlj99KOF/cg=="
    name = {"segments": "ab" * 32, "manifests": index.dump()[0], "files": "900150983cd24fb0d6963f7d28e17f72"}[kind]
    staged, path = tmp_path / "staged", store.path(kind, name)

    def put():
        staged.write_bytes(b"abc")
        return {
            "segments": lambda: store.put_segment(name, lambda: b"abc"),
            "manifests": lambda: store.put_index(index),
            "files": lambda: store.put_files([(staged, digest)]),
        }[kind]()

    first, data = put(), path.read_bytes()
    original = os.utime

    def touch(what, *times):
        original(what, *times)
        if what == path:
            (tmp_path / "trash").mkdir(exist_ok=True)
            path.rename(tmp_path / "trash" / f"{kind}-{name}")

    with monkeypatch.context() as patched:
        patched.setattr(os, "utime", touch)
        assert put() == first
    if removed:
        shutil.rmtree(tmp_path / "trash")
    store.put_back()
    assert path.read_bytes() == data


async def test_files_of_a_draft_that_is_logged_again_are_kept_or_missed(draft, root):
    """A draft stores its files once; a later run finds them, or must not log what is not there any more."""
    artifact = await draft("data", {"a": "1"})
    async with refscan.init(project="demo") as run:
        await run.log_artifact(artifact)
    async with Registry(root) as registry:
        await delete_version(registry, "demo", "data", "v0")
        async with refscan.init(project="demo") as run:
            age(root)
            handle = run.log_artifact(artifact)
            while not handle.done:
                await collect(root, delete=True)
                await asyncio.sleep(0)
            await handle
        assert await contents(root, "data:v1") == {"a": "1"}
        await delete_version(registry, "demo", "data", "v1")
    await collect(root, delete=True)
    async with refscan.init(project="demo") as run:
        with pytest.raises(StoreError, match=r"lacks .*; garbage collection has removed it"):
            await run.log_artifact(artifact)


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"format": 2', "\xff"])
async def test_a_damaged_manifest_stops_all_before_anything_is_removed(root, text):
    source = refscan.MemorySource("bucket")
    source.put("d/a", b"1")
    async with refscan.init(project="demo") as run:
        for _ in range(2):
            artifact = refscan.Artifact("data", "dataset")
            # A damaged one is no map for the next scan, and no obstacle to it.
            await artifact.add_reference("memory://bucket/d/", source=source)
            await run.log_artifact(artifact)
            for path in (root / "manifests").glob("??/*"):
                path.write_bytes(text.encode("latin-1"))
    with pytest.raises(StoreError, match="is damaged; restore it from a backup"):
        await collect(root, delete=True)
    assert stored(root)["segments"]


class Interleavings(RuleBasedStateMachine):
    """Runs store, commit and die, and collections go on step by step, in any order."""

    def __init__(self):
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.loop = asyncio.new_event_loop()
        self.registry = Registry(self.root)
        self.wait(self.registry.__aenter__())
        self.catalog, self.store = self.registry.catalog, self.registry.store
        self.runs, self.ended = {}, 0
        self.collection = None
        self.versions = {}
        self.clock = 0

    def wait(self, what):
        return self.loop.run_until_complete(what)

    @rule()
    def begin(self):
        run_id = f"run{self.clock}"
        self.clock += 1
        self.wait(self.catalog.start_run(run_id, "demo", None, None))
        self.runs[run_id] = []

    @precondition(lambda self: self.runs)
    @rule(data=st.data(), content=st.integers(0, 3))
    def store_one(self, data, content):
        import pyarrow as pa

        from refscan.manifest.schema import manifest_rows
        from refscan.manifest.writer import write_manifest

        run_id = data.draw(st.sampled_from(sorted(self.runs)))
        rows = manifest_rows(
            path=[f"p{content}"], ref=["a://b"], digest=["d"], last_modified=pa.nulls(1, pa.timestamp("us", "UTC"))
        )
        index = write_manifest([rows], self.store.put_segment)
        self.runs[run_id].append((index, self.store.put_index(index)))

    @precondition(lambda self: any(self.runs.values()))
    @rule(data=st.data())
    def commit(self, data):
        from refscan.registry.records import Proposal

        run_id = data.draw(st.sampled_from(sorted(run_id for run_id, made in self.runs.items() if made)))
        index, manifest = self.runs[run_id].pop(0)
        proposal = Proposal(
            "demo", f"a{index.segments[0].first}", "t", None, "{}", "[]", index.digest, "", manifest, 1, 0, (), run_id
        )
        (outcome,) = self.wait(self.catalog.commit([proposal]))
        if outcome.record is not None:
            self.versions[outcome.record.artifact_id, outcome.record.number] = (outcome.record, index)

    @precondition(lambda self: self.versions)
    @rule(data=st.data())
    def delete(self, data):
        from refscan.registry.deletion import delete_versions

        key = data.draw(st.sampled_from(sorted(self.versions)))
        self.wait(delete_versions(self.registry, [key]))
        del self.versions[key]

    @rule()
    def time_passes(self):
        for path in self.root.rglob("*/??/*"):
            moment = path.stat().st_mtime - DAY
            os.utime(path, (moment, moment))
        with sqlite3.connect(self.root / "catalog.sqlite") as connection:
            connection.execute("UPDATE lease SET since = since - ?", (DAY * 10**9,))
        connection.close()

    @precondition(lambda self: self.catalog.leases._files)
    @rule(data=st.data())
    def die(self, data):
        run_id = data.draw(st.sampled_from(sorted(self.catalog.leases._files)))
        os.close(self.catalog.leases._files.pop(run_id))
        if data.draw(st.booleans()):
            self.runs.pop(run_id)  # otherwise it only seemed to be dead, and goes on

    @rule(steps=st.integers(1, 4))
    def collect_some(self, steps):
        """Go on with a collection that stops before each of its transactions."""
        if self.collection is None:
            self.collection = stepwise(_Collection(self.registry, Garbage(deleted=True), frozenset()))
        for _ in range(steps):
            if self.wait(anext(self.collection, "over")) == "over":
                self.collection = None
                return

    @precondition(lambda self: self.collection is not None)
    @rule(data=st.data())
    def kill_collection(self, data):
        """Leave what it was about to look at set aside, as a kill does."""
        paths = sorted(self.root.glob("segments/??/*")) + sorted(self.root.glob("manifests/??/*"))
        needed = {
            index_name
            for record, index in self.versions.values()
            for index_name in (record.manifest, index.segments[0].name)
        }
        loose = [path for path in paths if path.name not in needed]
        for path in loose[: data.draw(st.integers(0, 2))]:
            (self.root / "trash").mkdir(exist_ok=True)
            path.rename(self.root / "trash" / f"{path.parent.parent.name}-{path.name}")
        self.collection = None

    @invariant()
    def versions_are_whole(self):
        for record, index in self.versions.values():
            assert self.store.read_index(record.manifest) == index
            assert self.store.segment_path(index.segments[0].name).exists()

    def teardown(self):
        for run_id in list(self.catalog.leases._files):
            self.wait(self.catalog.end_run(run_id, "finished"))
        self.wait(collect_garbage(self.registry, delete=True))
        self.versions_are_whole()
        needed = {record.manifest for record, _ in self.versions.values()}
        assert stored(self.root)["manifests"] == needed
        assert stored(self.root)["trash"] == set()
        self.wait(self.registry.__aexit__(None, None, None))
        self.loop.close()
        shutil.rmtree(self.root)


async def stepwise(collection):
    """Do what ``_Collection.run`` does, with a stop before each transaction."""
    await collection._look_at_leases()
    yield
    while manifests := await collection._unmarked():
        yield
        collection._marks.add(manifests)
    for kind in ("segments", "manifests", "files"):
        yield
        paths = collection._store.names(kind)
        while batch := collection._next_garbage(kind, paths):
            yield
            await collection._remove(kind, batch)


Interleavings.TestCase.settings = settings(max_examples=20, stateful_step_count=30, deadline=None)
test_any_interleaving = Interleavings.TestCase


@pytest.mark.usefixtures("three")
async def test_a_registry_of_the_first_format_is_brought_up_to_date(root):
    with sqlite3.connect(root / "catalog.sqlite") as connection:
        connection.execute("DELETE FROM alias WHERE number = 1")
        connection.execute("UPDATE version SET deleted_at = NULL")
        connection.execute("ALTER TABLE version DROP COLUMN deleted_at")
        connection.execute("DROP TABLE lease")
        connection.execute("PRAGMA user_version=1")
    connection.close()
    assert sum(tally.files for tally in (await collect(root, delete=True)).garbage.values()) == 0
    assert await contents(root, "data:v1") == {"a": "gone", "b": "shared"}
