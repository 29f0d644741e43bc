"""``add_reference``: where objects land, what is refused, and that nothing is ever half added."""

import pytest
from servers.http import Resource
from servers.s3 import Bucket

import refscan
from refscan import (
    Artifact,
    GCSOptions,
    InvalidPathError,
    InvalidURIError,
    MaxObjectsExceededError,
    ObjectNotFoundError,
    PathConflictError,
    S3Options,
)


def entries(artifact):
    artifact.draft.seal()
    return [row for batch in artifact.draft.batches() for row in batch.to_pylist()]


def paths(artifact):
    return [row["path"] for row in entries(artifact)]


@pytest.fixture
def artifact():
    return Artifact("data", type="dataset")


OBJECTS = {"images/cat.png": b"cat", "images/deep/dog.png": b"dog", "images2/x": b"x", "top": b"top", "empty": b""}


@pytest.mark.parametrize(
    ("key", "name", "expected"),
    [
        ("images", None, ["cat.png", "deep/dog.png"]),
        ("images/", None, ["cat.png", "deep/dog.png"]),
        ("images", "pictures", ["pictures/cat.png", "pictures/deep/dog.png"]),
        ("images/", "a/b/", ["a/b/cat.png", "a/b/deep/dog.png"]),
        ("images/deep/dog.png", None, ["dog.png"]),
        ("images/deep/dog.png", "pets/rex", ["pets/rex"]),
        ("top", None, ["top"]),
        ("empty", None, ["empty"]),
        ("", None, sorted(OBJECTS)),
        ("", "all", [f"all/{key}" for key in sorted(OBJECTS)]),
    ],
)
async def test_where_objects_land(artifact, memory, key, name, expected):
    bucket = memory(OBJECTS)
    receipt = await artifact.add_reference(bucket.base + key, name)
    assert paths(artifact) == expected
    assert receipt.objects == len(expected)
    assert artifact.draft.receipts == [receipt]


async def test_an_entry_says_where_its_object_is_and_what_it_was(artifact, memory):
    bucket = memory()
    pin = bucket.put("a", b"12345")
    await artifact.add_reference(f"{bucket.base}a")
    (row,) = entries(artifact)
    assert (row["ref"], row["size"], row["version_id"]) == (f"{bucket.base}a", 5, pin)
    assert row["digest"] == row["e_tag"] == "827ccb0eea8a706c4c34a16891f84e7b"


async def test_a_pin_in_the_uri_is_taken(artifact, memory):
    bucket = memory()
    first = bucket.put("a", b"1")
    bucket.put("a", b"22")
    await artifact.add_reference(f"{bucket.base}a?versionId={first}")
    (row,) = entries(artifact)
    assert (row["ref"], row["size"], row["version_id"]) == (f"{bucket.base}a", 1, first)


async def test_without_a_checksum_digests_tell_the_uri(artifact, memory, tmp_path):
    bucket = memory({"a": b"1"})
    (tmp_path / "f").write_text("1")
    await artifact.add_reference(bucket.base, checksum=False)
    await artifact.add_reference(f"file://{tmp_path}/f", checksum=False)
    by_path = {row["path"]: row for row in entries(artifact)}
    assert by_path["a"]["digest"] == f"{bucket.base}a"
    assert by_path["f"]["size"] == 1
    with_checksum = Artifact("data", type="dataset")
    await with_checksum.add_reference(f"file://{tmp_path}/f")
    assert entries(with_checksum)[0]["digest"] == "xMpCOKC5I4INzFCab3WEmw=="
    assert by_path["f"]["digest"] != "xMpCOKC5I4INzFCab3WEmw=="


async def test_a_local_tree(artifact, tmp_path):
    (tmp_path / "tree" / "deep").mkdir(parents=True)
    (tmp_path / "tree" / "a b.txt").write_text("1")
    (tmp_path / "tree" / "deep" / "é").write_text("2")
    await artifact.add_reference(f"file://{tmp_path}/tree", name="local")
    assert [(row["path"], row["ref"]) for row in entries(artifact)] == [
        ("local/a b.txt", f"file://{tmp_path}/tree/a b.txt"),
        ("local/deep/é", f"file://{tmp_path}/tree/deep/é"),
    ]


@pytest.mark.parametrize("name", ["", "/", "/a", "a//b", "..", "a/../b", ".", "a/./b", "\ud800"])
async def test_a_name_that_is_no_relative_path_is_refused(artifact, memory, tmp_path, name):
    bucket = memory({"a": b"1"})
    (tmp_path / "f").write_text("1")
    with pytest.raises(InvalidPathError):
        await artifact.add_reference(bucket.base, name=name)
    with pytest.raises(InvalidPathError):
        await artifact.add_reference("tracked://x", name=name)
    with pytest.raises(InvalidPathError):
        await artifact.add_file(tmp_path / "f", name=name)
    with pytest.raises(InvalidPathError):
        await artifact.add_dir(tmp_path, name=name)
    with pytest.raises(InvalidPathError):
        async with artifact.new_file(name):
            pytest.fail("the file must not be opened")
    assert entries(artifact) == []


async def test_an_unknown_scheme_is_tracked_as_it_is_when_it_has_a_name(artifact):
    assert await artifact.add_reference("ipfs://bafy/x?a=1#frag", name="models/x") is None
    (row,) = entries(artifact)
    assert (row["path"], row["ref"], row["digest"], row["size"]) == (
        "models/x",
        "ipfs://bafy/x?a=1#frag",
        "ipfs://bafy/x?a=1#frag",
        None,
    )


async def test_an_unknown_scheme_without_a_name_is_refused(artifact):
    with pytest.raises(InvalidURIError, match="name=") as caught:
        await artifact.add_reference("ipfs://bafy/x")
    assert caught.value.uri == "ipfs://bafy/x"
    assert entries(artifact) == []


async def test_secrets_of_an_unknown_scheme_are_not_kept(artifact):
    await artifact.add_reference("unknown://user:hidden@host/file?token=hidden", name="f")
    assert "hidden" not in repr(entries(artifact))


@pytest.mark.parametrize("path", ["/data/images", "images", "./images", "C:\\images", ""])
async def test_a_path_without_a_scheme_is_refused_with_a_hint(artifact, path):
    with pytest.raises(InvalidURIError, match="file://"):
        await artifact.add_reference(path)
    with pytest.raises(InvalidURIError, match="file://"):
        await artifact.add_reference(path, name="name")


async def test_an_unknown_scheme_says_what_would_read_it(artifact):
    with pytest.raises(InvalidURIError, match=r"give name= to do so; write s3:// in place of s3a://"):
        await artifact.add_reference("s3a://bucket/key")
    assert entries(artifact) == []


async def test_options_of_another_store_are_refused(artifact, memory):
    bucket = memory({"a": b""})
    with pytest.raises(ValueError, match="is not reached by GCSOptions"):
        await artifact.add_reference(bucket.base, options=GCSOptions())
    assert entries(artifact) == []


@pytest.mark.parametrize("given", ["reference", "run", "both"])
async def test_options_reach_the_store(s3_server, s3_sdk, aws, tmp_path, given):
    """The environment names no endpoint: only the options do, for what is added, downloaded and verified."""
    aws.delenv("AWS_DEFAULT_REGION")
    bucket = Bucket(s3_sdk, versioned=True)
    bucket.put("a", b"one")
    right = S3Options(endpoint_url=s3_server, region="us-east-1")
    of_run = {"reference": None, "run": right, "both": S3Options(endpoint_url="http://127.0.0.1:1")}[given]
    async with refscan.init(project="demo", options=of_run) as run:
        draft = Artifact("data", type="dataset")
        await draft.add_reference(bucket.uri, options=None if given == "run" else right)
        version = await run.log_artifact(draft)
        options = None if given == "run" else right
        assert (await version.verify(options=options)).ok
        root = await version.download(tmp_path / "root", options=options)
        assert (root / "a").read_bytes() == b"one"
        used = await run.use_artifact("data")
        if given == "run":
            assert (await used.verify()).ok


async def test_what_is_not_there_is_refused_and_nothing_is_added(artifact, memory):
    bucket = memory({"pre2/a": b"1"})
    for key in ("pre", "pre/", "nothing", "pre2/b"):
        with pytest.raises(ObjectNotFoundError) as caught:
            await artifact.add_reference(bucket.base + key)
        assert caught.value.uri == bucket.base + key
        assert bucket.base + key in str(caught.value)
    with pytest.raises(ObjectNotFoundError):
        await artifact.add_reference(memory().base)
    with pytest.raises(ObjectNotFoundError):
        await artifact.add_reference("memory://never-made/")
    assert (entries(artifact), artifact.draft.receipts) == ([], [])


async def test_more_than_max_objects_is_refused_and_nothing_is_added(artifact, memory):
    bucket = memory({f"{number:04}": b"x" for number in range(100)}, page_size=10)
    bucket.requests = 0
    with pytest.raises(MaxObjectsExceededError, match="max_objects") as caught:
        await artifact.add_reference(bucket.base, max_objects=25)
    assert caught.value.uri == bucket.base
    assert bucket.requests <= 4, "the listing stops with the page that passes the limit"
    assert (entries(artifact), artifact.draft.receipts) == ([], [])
    await artifact.add_reference(bucket.base, max_objects=100)
    assert len(entries(artifact)) == 100


async def test_the_limit_is_ten_thousand_and_can_be_lifted(artifact, memory):
    bucket = memory({f"{number:05}": b"" for number in range(10_001)}, page_size=1_000)
    with pytest.raises(MaxObjectsExceededError, match="10000"):
        await artifact.add_reference(bucket.base)
    assert entries(artifact) == []
    await artifact.add_reference(bucket.base, max_objects=None)
    assert len(entries(artifact)) == 10_001
    bucket.delete("05000")
    exactly = Artifact("data", type="dataset")
    await exactly.add_reference(bucket.base)
    assert len(entries(exactly)) == 10_000


async def test_a_path_of_another_digest_is_refused_naming_both(artifact, memory):
    one, other = memory({"a": b"1", "x": b"x"}), memory({"a": b"2", "b": b"b"})
    await artifact.add_reference(one.base)
    with pytest.raises(PathConflictError) as caught:
        await artifact.add_reference(other.base)
    assert f"{one.base}a" in str(caught.value)
    assert f"{other.base}a" in str(caught.value)
    assert "'a'" in str(caught.value)
    assert "name=" in str(caught.value)
    assert [row["ref"] for row in entries(artifact)] == [f"{one.base}a", f"{one.base}x"]
    assert len(artifact.draft.receipts) == 1
    async with refscan.init(project="demo") as run:
        version = await run.log_artifact(artifact)
    assert (version.version, version.entry_count) == ("v0", 2)
    assert (await version.get_entry("a")).ref == f"{one.base}a"


async def test_conflicts_of_single_entries_and_runs_are_found_either_way_round(memory, tmp_path):
    bucket = memory({"a": b"1"})
    (tmp_path / "a").write_text("stored")

    async def reference(artifact):
        await artifact.add_reference(bucket.base)

    async def tracked(artifact):
        await artifact.add_reference("tracked://a", name="a")

    async def stored(artifact):
        await artifact.add_file(tmp_path / "a")

    async def written(artifact):
        async with artifact.new_file("a") as file:
            await file.write("written")

    ways = [reference, tracked, stored, written]
    for first in ways:
        for second in ways:
            artifact, alone = Artifact("data", type="dataset"), Artifact("data", type="dataset")
            await first(artifact)
            await first(alone)
            if first is second:
                await second(artifact)
            else:
                with pytest.raises(PathConflictError, match="'a'"):
                    await second(artifact)
            assert entries(artifact) == entries(alone)


async def test_a_stored_file_is_named_as_such_in_a_conflict(artifact, memory, tmp_path):
    bucket = memory({"a": b"1"})
    (tmp_path / "a").write_text("stored")
    await artifact.add_file(tmp_path / "a")
    with pytest.raises(PathConflictError, match=f"a stored file and {bucket.base}a"):
        await artifact.add_reference(bucket.base)


async def test_a_path_of_the_same_digest_is_one_entry(artifact, memory):
    one, other = memory({"a": b"1"}), memory({"a": b"1", "b": b"2"})
    await artifact.add_reference(other.base)
    await artifact.add_reference(one.base)
    await artifact.add_reference(one.base)
    assert [(row["path"], row["ref"]) for row in entries(artifact)] == [
        ("a", min(f"{one.base}a", f"{other.base}a")),
        ("b", f"{other.base}b"),
    ]


async def test_many_single_entries_keep_their_conflicts(artifact):
    for number in range(4_500):
        await artifact.add_reference(f"tracked://{number}", name=f"{number:04}")
    for number in (7, 4_300):
        with pytest.raises(PathConflictError, match=f"tracked://{number} and tracked://other"):
            await artifact.add_reference("tracked://other", name=f"{number:04}")
        await artifact.add_reference(f"tracked://{number}", name=f"{number:04}")
    assert paths(artifact) == [f"{number:04}" for number in range(4_500)]


async def test_many_references_are_merged_and_keep_their_conflicts(artifact, memory):
    bucket = memory({f"{folder:02}/{name}": f"{folder}{name}".encode() for folder in range(30) for name in "abc"})
    for folder in range(30):
        await artifact.add_reference(f"{bucket.base}{folder:02}/", name=f"{(folder * 7) % 30:02}")
    assert len(entries(artifact)) == 90
    assert paths(artifact) == sorted(paths(artifact))
    with pytest.raises(PathConflictError):
        await artifact.add_reference(f"{bucket.base}00/a", name="01/a")
    assert len(entries(artifact)) == 90


async def test_a_source_may_be_given(artifact, memory):
    bucket = memory({"a": b"1"})
    await artifact.add_reference("memory://any-name/", source=bucket)
    assert paths(artifact) == ["a"]


async def test_an_uri_that_ends_in_no_file_name_needs_a_name(artifact, web_server):
    web_server.resources["/"] = Resource(b"root")
    with pytest.raises(InvalidPathError, match="name="):
        await artifact.add_reference(web_server.base)
    await artifact.add_reference(web_server.base, name="index.html")
    assert paths(artifact) == ["index.html"]
