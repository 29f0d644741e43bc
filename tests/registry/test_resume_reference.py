"""``add_reference(resume=DIR)``: what was listed outlives whoever listed it, until a version holds the entries."""

import fcntl
import os
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
from servers.listing import Faults, ListingServer

import refscan
from refscan import Artifact, ArtifactError, MemorySource, PathConflictError, ResumeError, S3Options
from refscan.errors import StoreError
from refscan.scan.pipeline import Scan
from refscan.uri import Location

KEYS = [f"d/{number:04}" for number in range(600)]


@pytest.fixture
def bucket(memory):
    return memory({key: key.encode() for key in KEYS}, page_size=10)


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "kept" / "scan"


async def drafted(source: MemorySource, directory, name=None, **options) -> Artifact:
    artifact = Artifact("data", type="dataset")
    try:
        await artifact.add_reference(f"{source.base}d/", name, source=source, resume=directory, **options)
    except BaseException:
        artifact.draft.close()
        raise
    return artifact


@contextmanager
def going_away(source: MemorySource, pages: int):
    """Let a bucket go away after so many pages, for as long as the block runs."""
    left = count()

    async def list_page(*words, **options):
        if next(left) >= pages:
            raise StoreError("memory: gone", uri=source.base)
        return await MemorySource.list_page(source, *words, **options)

    source.list_page = list_page
    yield
    del source.list_page


@pytest.mark.parametrize("pages", [0, 1, 30, 55])
async def test_what_was_listed_is_not_asked_for_again(bucket, directory, pages):
    async with refscan.init(project="p") as run:
        undisturbed = Artifact("undisturbed", type="dataset")
        receipt = await undisturbed.add_reference(f"{bucket.base}d/", source=bucket)
        whole = await run.log_artifact(undisturbed)
        with going_away(bucket, pages), pytest.raises(StoreError, match="gone"):
            await drafted(bucket, directory)
        assert directory.is_dir()
        before = bucket.requests
        version = await run.log_artifact(await drafted(bucket, directory))
    assert version.digest == whole.digest
    assert [batch.to_pylist() for batch in version.batches()] == [batch.to_pylist() for batch in whole.batches()]
    assert bucket.requests - before <= receipt.requests - pages + 8
    assert version.receipts[0].resumed
    assert (version.receipts[0].objects, version.receipts[0].bytes) == (receipt.objects, receipt.bytes)
    assert not directory.exists()


async def test_it_stays_until_a_version_holds_the_entries(bucket, directory):
    async with refscan.init(project="p") as run:
        artifact = await drafted(bucket, directory)
        assert any(directory.iterdir())
        await run.log_artifact(artifact)
        assert not directory.exists()


async def test_a_draft_that_is_never_logged_leaves_all_of_it(bucket, directory):
    (await drafted(bucket, directory)).draft.close()
    before = bucket.requests
    async with refscan.init(project="p") as run:
        version = await run.log_artifact(await drafted(bucket, directory, "n"))
    assert bucket.requests == before
    assert version.entry_count == len(KEYS)
    assert next(version.batches()).column("path")[0].as_py() == "n/0000"
    assert not directory.exists()


async def test_a_log_that_fails_leaves_it(bucket, directory, draft):
    async with refscan.init(project="p") as run:
        await run.log_artifact(await draft("data", {"a": "a"}, type_name="model"))
        with pytest.raises(ArtifactError, match="type"):
            await run.log_artifact(await drafted(bucket, directory))
    assert any(directory.iterdir())


async def test_the_same_content_needs_it_no_more(bucket, directory):
    async with refscan.init(project="p") as run:
        first = await run.log_artifact(await drafted(bucket, directory))
        again = await run.log_artifact(await drafted(bucket, directory))
    assert (again.version, again.created) == (first.version, False)
    assert not directory.exists()


@pytest.mark.parametrize(
    ("changed", "named"),
    [({"checksum": False}, "checksum"), ({"include": "*1"}, "include"), ({"exclude": ["a", "b"]}, "exclude")],
)
async def test_another_scan_does_not_go_on_from_it(bucket, directory, changed, named):
    (await drafted(bucket, directory)).draft.close()
    artifact = Artifact("data", type="dataset")
    with pytest.raises(ResumeError, match=rf"holds the scan of another reference \({named}") as caught:
        await artifact.add_reference(f"{bucket.base}d/", source=bucket, resume=directory, **changed)
    assert len(str(caught.value).splitlines()) == 1
    # Nothing was added, and another directory is as good.
    await artifact.add_reference(f"{bucket.base}d/", source=bucket, resume=directory.with_name("new"), **changed)
    artifact.draft.close()


async def test_two_references_need_two_directories(bucket, memory, directory):
    other = memory({"e/1": b"1"})
    artifact = await drafted(bucket, directory)
    with pytest.raises(ResumeError, match="use a new directory"):
        await artifact.add_reference(f"{other.base}e/", source=other, resume=directory)
    await artifact.add_reference(f"{other.base}e/", source=other, resume=directory.with_name("second"))
    async with refscan.init(project="p") as run:
        version = await run.log_artifact(artifact)
    assert version.entry_count == len(KEYS) + 1
    assert not directory.exists()
    assert not directory.with_name("second").exists()


async def test_a_reference_that_cannot_be_added_leaves_it(bucket, directory):
    artifact = Artifact("data", type="dataset")
    async with artifact.new_file("0300") as file:
        await file.write("other")
    with pytest.raises(PathConflictError):
        await artifact.add_reference(f"{bucket.base}d/", source=bucket, resume=directory)
    assert any(directory.iterdir())
    artifact.draft.close()


async def test_a_single_object_needs_none(bucket, directory):
    artifact = Artifact("data", type="dataset")
    await artifact.add_reference(f"{bucket.base}d/0001", source=bucket, resume=directory)
    assert not directory.exists()
    artifact.draft.close()


async def test_logging_takes_it_from_nobody_who_goes_on_from_it(bucket, directory):
    """Who comes while the first is being logged finds all that was listed, and removes it in its turn."""
    async with refscan.init(project="p") as run:
        artifact = await drafted(bucket, directory)
        before = bucket.requests
        async with refscan.scan(f"{bucket.base}d/", max_objects=None, source=bucket, resume=directory) as scan:
            await run.log_artifact(artifact)
            assert (directory / "journal").exists()
            assert sum([batch.num_rows async for batch in scan]) == len(KEYS)
        assert any(directory.iterdir())
        again = await drafted(bucket, directory)
        assert bucket.requests == before
        await run.log_artifact(again)
    assert not directory.exists()


async def test_one_that_is_removed_while_it_is_opened_is_refused(bucket, directory, monkeypatch):
    """What is written into a removed file is lost."""
    (await drafted(bucket, directory)).draft.close()
    lock = fcntl.flock

    def removing(file, how):
        (directory / "journal").unlink()
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", removing)
    with pytest.raises(ResumeError, match="is used by a scan that is running; wait for its end"):
        await drafted(bucket, directory)


@pytest.mark.parametrize("removed", [0, 1])
async def test_one_that_was_being_removed_when_all_was_killed_is_no_obstacle(bucket, directory, monkeypatch, removed):
    async with refscan.init(project="p") as run:
        artifact = await drafted(bucket, directory)
        left = count()

        def unlink(path):
            if next(left) == removed:
                raise KeyboardInterrupt
            os.unlink(path)

        with monkeypatch.context() as patched:
            patched.setattr(Path, "unlink", unlink)
            with pytest.raises(KeyboardInterrupt):
                artifact.draft.logged()
        assert any(directory.iterdir())
        artifact.draft.close()
        version = await run.log_artifact(await drafted(bucket, directory))
    assert version.entry_count == len(KEYS)
    assert not directory.exists()


@pytest.mark.parametrize("left", [0, 20])
async def test_pages_whose_journal_is_lost_are_of_no_scan(bucket, memory, directory, left):
    """A power failure may take the journal and leave the pages: who comes next takes none of them for their own."""
    (await drafted(bucket, directory)).draft.close()
    os.truncate(directory / "journal", left)
    other = memory({f"d/{number}": b"other" for number in range(9)}, page_size=10)
    async with refscan.init(project="p") as run:
        version = await run.log_artifact(await drafted(other, directory))
        assert [entry.path for entry in await version.entries()] == [str(number) for number in range(9)]
    assert version.receipts[0].objects == 9
    assert not version.receipts[0].resumed
    assert not directory.exists()


async def test_ranges_that_were_read_hold_no_files_open(bucket, directory):
    """A process may open some thousand files, and a bucket has more ranges."""
    location = Location("memory", bucket.base.split("/")[2], "d/", None, "memory")
    for resumed in (False, True):
        most = 0
        before = len(os.listdir("/dev/fd"))
        async with Scan(location, bucket, max_objects=None, bounds=KEYS[5:-1:5], resume=directory) as scan:
            async for _ in scan:
                most = max(most, len(os.listdir("/dev/fd")))
        assert scan.resumed == resumed
        assert len(scan.receipt.ranges) >= 100
        assert most - before < 30


@pytest.mark.parametrize("seed", range(3))
async def test_a_store_that_fails_and_goes_away(aws, monkeypatch, directory, seed):  # noqa: ARG001
    monkeypatch.setattr("refscan.sources.s3.attempts._FIRST_DELAY", 0.0005)
    with ListingServer(KEYS, page_size=10, faults=Faults(0.1, seed=seed)) as server:
        options = S3Options(endpoint_url=server.url, connections=6)
        uri = "s3://bucket/d/"
        async with refscan.init(project="p") as run:
            undisturbed = Artifact("undisturbed", type="dataset")
            await undisturbed.add_reference(uri, options=options)
            whole = await run.log_artifact(undisturbed)
            for share in (0.2, 0.5, 0.8):
                bound = KEYS[int(len(KEYS) * share)]
                server.broken = lambda request, bound=bound: request.lists and request.after > bound
                artifact = Artifact("data", type="dataset")
                with pytest.raises(StoreError, match=r"^s3://bucket/d/: the store is busy"):
                    await artifact.add_reference(uri, options=options, resume=directory)
                artifact.draft.close()
            server.broken = lambda _: False
            artifact = Artifact("data", type="dataset")
            receipt = await artifact.add_reference(uri, options=options, resume=directory)
            version = await run.log_artifact(artifact)
    assert receipt.resumed
    assert (version.digest, version.entry_count) == (whole.digest, len(KEYS))
    assert [batch.to_pylist() for batch in version.batches()] == [batch.to_pylist() for batch in whole.batches()]
    assert not directory.exists()


async def test_a_bucket_of_the_same_name_elsewhere_is_another_one(aws, directory):  # noqa: ARG001
    with ListingServer(KEYS, page_size=10) as here, ListingServer(KEYS[:300], page_size=10) as there:
        here.broken = lambda request: request.lists and request.after > KEYS[200]
        first, second = (S3Options(endpoint_url=server.url) for server in (here, there))
        with pytest.raises(StoreError, match="the store is busy"):
            await Artifact("data", type="dataset").add_reference("s3://bucket/d/", options=first, resume=directory)
        with pytest.raises(ResumeError, match=f"endpoint '{here.url}', not '{there.url}'"):
            await Artifact("data", type="dataset").add_reference("s3://bucket/d/", options=second, resume=directory)
