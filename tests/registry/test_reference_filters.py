"""``include`` and ``exclude``: what is taken of a reference, what that costs, and what the receipt says."""

import pytest
from servers.http import Resource

import refscan
import refscan.sources.local.source as local
from refscan import (
    Artifact,
    ArtifactError,
    InvalidPathError,
    MaxObjectsExceededError,
    MemorySource,
    ObjectNotFoundError,
    Receipt,
)

KEYS = ["d/a.png", "d/b.txt", "d/deep/c.png", "d/deep/.hidden/d.png", "d//e.png", "d/x[1]?#%.png", "d2/f.png"]


async def paths_of(uri, name=None, **options):
    """Return the paths of a reference's entries, and its receipt."""
    artifact = Artifact("data", type="dataset")
    try:
        receipt = await artifact.add_reference(uri, name, **options)
        artifact.seal()
        return [path for batch in artifact.draft.batches() for path in batch.column("path").to_pylist()], receipt
    finally:
        artifact.draft.close()


@pytest.fixture
def bucket(memory):
    return memory(dict.fromkeys(KEYS, b"1"))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"include": "*.png"}, ["a.png", "x[1]?#%.png"]),
        ({"include": "**/*.png", "exclude": "deep/**"}, ["/e.png", "a.png", "x[1]?#%.png"]),
        ({"include": ["a*", "**/c.png"]}, ["a.png", "deep/c.png"]),
        ({"exclude": ["**/*.png"]}, ["b.txt"]),
        (
            {"exclude": ["**/.hidden/**", "*.txt"], "name": "n"},
            ["n//e.png", "n/a.png", "n/deep/c.png", "n/x[1]?#%.png"],
        ),
        (
            {"include": [], "exclude": ()},
            ["/e.png", "a.png", "b.txt", "deep/.hidden/d.png", "deep/c.png", "x[1]?#%.png"],
        ),
    ],
)
async def test_patterns_choose_among_paths_below_the_reference(bucket, options, expected):
    for uri in (f"{bucket.base}d", f"{bucket.base}d/"):
        found, receipt = await paths_of(uri, **options)
        assert found == expected
        assert receipt.objects == len(expected)
        assert receipt.skipped.get("excluded", 0) == 6 - len(expected)
        patterns = [options.get(which, ()) for which in ("include", "exclude")]
        assert [receipt.include, receipt.exclude] == [(p,) if isinstance(p, str) else tuple(p) for p in patterns]
        assert Receipt.from_json(receipt.to_json()) == receipt


async def test_a_whole_bucket_is_filtered_too(bucket):
    assert (await paths_of(bucket.base, include="*2/*"))[0] == ["d2/f.png"]


async def test_only_what_is_kept_counts_for_the_limit(bucket):
    assert len((await paths_of(bucket.base, include="d2/*", max_objects=1))[0]) == 1
    with pytest.raises(MaxObjectsExceededError):
        await paths_of(bucket.base, include="d/*.png", max_objects=1)


async def test_nothing_left_is_an_error_that_says_so(bucket):
    with pytest.raises(
        ObjectNotFoundError, match=r"holds 7 objects, and include= or exclude= .* leaves out all of them"
    ):
        await paths_of(bucket.base, include="*.jpg")
    with pytest.raises(ObjectNotFoundError, match=r"d2/f.png is one object, and include= or exclude="):
        await paths_of(f"{bucket.base}d2/f.png", exclude="f.*")
    assert (await paths_of(f"{bucket.base}d2/f.png", include="*.png"))[0] == ["f.png"]


async def test_what_is_left_out_is_not_asked_for(tmp_path):
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "a.txt").write_text("a")
    _, alone = await paths_of(f"file://{tmp_path}/t")
    for number in range(10):
        (tmp_path / "t" / f"{number}.bin").write_text("b")
    found, receipt = await paths_of(f"file://{tmp_path}/t", exclude="*.bin")
    assert found == ["a.txt"]
    assert receipt.requests == alone.requests


async def test_stores_that_are_not_ordered_are_filtered(web_server):
    index = b"<title>Index of /d/</title><pre><a href='a%20b.txt'>a b.txt</a><a href='c.txt'>c</a></pre></html>"
    web_server.resources["/d/"] = Resource(index, headers={"Content-Type": "text/html"})
    for name in ("a%20b.txt", "c.txt"):
        web_server.resources[f"/d/{name}"] = Resource(name.encode(), e_tag='"1"')
    assert (await paths_of(f"{web_server.base}d/", include="a ?.txt"))[0] == ["a b.txt"]


async def test_verifying_a_filtered_reference_looks_at_what_it_took(bucket):
    async with refscan.init(project="demo") as run:
        artifact = Artifact("data", type="dataset")
        await artifact.add_reference(bucket.base, include="**/*.png")
        version = await run.log_artifact(artifact)
    bucket.put("d/b.txt", b"changed, but never taken")
    assert (await version.verify()).ok
    assert version.receipts[0].include == ("**/*.png",)


async def test_verifying_does_not_read_what_was_left_out(tmp_path, monkeypatch):
    (tmp_path / "t").mkdir()
    for name in ("a.txt", "b.bin"):
        (tmp_path / "t" / name).write_text(name)
    async with refscan.init(project="demo") as run:
        artifact = Artifact("data", type="dataset")
        await artifact.add_reference(f"file://{tmp_path}/t", exclude="*.bin")
        version = await run.log_artifact(artifact)
    read = []
    monkeypatch.setattr(local, "read_file", lambda path, real=local.read_file: read.append(path) or real(path))
    assert (await version.verify()).ok
    assert [path.rpartition("/")[2] for path in read] == ["a.txt"]


async def test_a_scan_alone_is_filtered(bucket):
    async with refscan.scan(bucket.base, exclude="d/**") as batches:
        assert [key for batch in [b async for b in batches] for key in batch.column("key").to_pylist()] == ["d2/f.png"]


@pytest.mark.parametrize("pattern", ["", "\ud800"])
async def test_what_cannot_be_a_pattern_is_refused(bucket, pattern):
    with pytest.raises(InvalidPathError, match="pattern"):
        await paths_of(bucket.base, include=pattern)


async def test_patterns_need_a_listing(memory):
    with pytest.raises(ArtifactError, match="lists none"):
        await paths_of("unknown-scheme://x", "name", include="*")
    bucket = memory({"a": b"1"})
    async with refscan.init(project="demo") as run:
        artifact = Artifact("data", type="dataset")
        await artifact.add_reference(bucket.base)
        entry = await (await run.log_artifact(artifact)).get_entry("a")
    for reference in (entry, entry.uri):
        with pytest.raises(ArtifactError, match="lists none"):
            await paths_of(reference, exclude="*")


async def test_many_objects_are_filtered_in_pages():
    bucket = MemorySource("filtered-many")
    for number in range(5_000):
        bucket.put(f"{number:05}", b"")
    found, receipt = await paths_of(bucket.base, include="*7", max_objects=500)
    assert found == [f"{number:05}" for number in range(7, 5_000, 10)]
    assert (receipt.objects, receipt.skipped) == (500, {"excluded": 4_500})
    assert sum(part.objects for part in receipt.ranges) == 500
