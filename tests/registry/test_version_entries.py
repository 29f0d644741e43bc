"""A version's entries: in pages, as folders, one by one, as Arrow, and by other readers of Parquet."""

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pytest

import refscan
from refscan import Artifact, ObjectNotFoundError
from refscan.manifest.schema import MANIFEST_SCHEMA

ODD = ["a//b", "a/b", "q?x#y%20z", "sp ace", "é/\U0001f600.txt", "z/", "z/y", "/lead"]


@pytest.fixture
async def log():
    """Log a bucket's objects as a version."""

    async def make(bucket, name="data", **options):
        async with refscan.init(project="demo") as run:
            artifact = Artifact(name, type="dataset")
            await artifact.add_reference(bucket.base, **options)
            return await run.log_artifact(artifact)

    return make


@pytest.fixture
async def odd(memory, log):
    """A version with odd paths; each object has as many bytes as its path."""
    return await log(memory({key: b"x" * len(key) for key in ODD}))


async def test_pages_make_the_whole(odd):
    found, after = [], None
    while page := await odd.entries(after=after, limit=3):
        assert len(page) <= 3
        found += page
        after = page[-1].path
    assert [entry.path for entry in found] == sorted(ODD)
    assert found[0].uri == f"{odd.uri}/{found[0].path}"
    assert [entry.size for entry in found] == [len(entry.path) for entry in found]


async def test_pages_of_a_prefix(odd):
    assert [entry.path for entry in await odd.entries("a/")] == ["a//b", "a/b"]
    assert [entry.path for entry in await odd.entries("a/", after="a//b")] == ["a/b"]
    assert await odd.entries("a/", after="b") == []
    assert await odd.entries("nothing") == []
    with pytest.raises(ValueError, match="at least 1"):
        await odd.entries(limit=0)


async def test_each_entry_is_found_as_itself(odd):
    for path in ODD:
        assert (await odd.get_entry(path)).path == path
    for path in ("a", "a/", "sp%20ace", "", "zz"):
        with pytest.raises(ObjectNotFoundError, match="no such entry"):
            await odd.get_entry(path)


async def test_folders_with_counts_and_sizes(odd):
    def level(table):
        return [(row["name"], row["is_folder"], row["entries"], row["size"]) for row in table.to_pylist()]

    assert level(await odd.ls()) == [
        ("/", True, 1, 5),
        ("a/", True, 2, 7),
        ("q?x#y%20z", False, 1, 9),
        ("sp ace", False, 1, 6),
        ("z/", True, 2, 5),
        ("é/", True, 1, 7),
    ]
    assert level(await odd.ls("a")) == level(await odd.ls("a/")) == [("/", True, 1, 4), ("b", False, 1, 3)]
    assert level(await odd.ls("a//")) == [("b", False, 1, 4)]
    assert level(await odd.ls("z")) == [("", False, 1, 2), ("y", False, 1, 3)]
    assert (await odd.ls(after="a/", limit=1)).column("name").to_pylist() == ["q?x#y%20z"]
    assert (await odd.ls("a", after="b")).num_rows == 0
    for path in ("nothing", "sp ace", "a/b"):
        with pytest.raises(ObjectNotFoundError, match="no such folder"):
            await odd.ls(path)


async def test_arrow_streams_the_columns_that_are_asked_for(odd):
    reader = odd.to_arrow()
    assert isinstance(reader, pa.RecordBatchReader)
    whole = reader.read_all()
    assert whole.schema == MANIFEST_SCHEMA
    assert whole.column("path").to_pylist() == sorted(ODD)
    assert odd.to_arrow(["size", "path"]).read_all() == whole.select(["size", "path"])
    with pytest.raises(ValueError, match="a manifest has path"):
        odd.to_arrow(["nonsense"])


async def test_other_readers_read_the_manifest_as_it_is(odd):
    paths = odd.parquet_paths()
    table = odd.to_arrow().read_all()
    assert pa.dataset.dataset(paths, format="parquet").to_table() == table
    assert pl.read_parquet(paths)["path"].to_list() == sorted(ODD)
    assert pl.scan_parquet(paths).select(pl.col("size").sum()).collect().item() == odd.size
    assert list(pd.read_parquet(paths[0])["path"]) == sorted(ODD)
    with duckdb.connect() as db:
        rows = db.execute("SELECT path, digest, size FROM read_parquet($1) ORDER BY path", [paths]).fetchall()
    assert rows == [(r["path"], r["digest"], r["size"]) for r in table.to_pylist()]


async def test_nothing_has_no_entries(memory, log):
    async with refscan.init(project="demo") as run:
        empty = await run.log_artifact(Artifact("empty", type="dataset"))
    assert await empty.entries() == []
    assert (await empty.ls()).num_rows == 0
    assert empty.parquet_paths() == []
    assert empty.to_arrow().read_all().num_rows == 0
    full = await log(memory({"a": b"1"}))
    assert await (await empty.diff(full)).summary() == {"added": 1, "removed": 0, "changed": 0, "repinned": 0}


async def test_a_diff_tells_what_became_of_each_path(memory, log):
    bucket = memory({"same": b"1", "gone": b"1", "changed": b"1", "again": b"1"})
    old = await log(bucket)
    bucket.delete("gone")
    bucket.put("changed", b"22")
    bucket.put("again", b"1")
    bucket.put("new", b"3")
    new = await log(bucket)
    diff = await old.diff(new)
    assert (diff.old, diff.new) == (old.uri, new.uri)
    rows = (await diff.to_table()).to_pylist()
    assert {row["path"]: row["change"] for row in rows} == {
        "again": "repinned",
        "changed": "changed",
        "gone": "removed",
        "new": "added",
    }
    by_path = {row["path"]: row for row in rows}
    assert (by_path["changed"]["old_size"], by_path["changed"]["new_size"]) == (1, 2)
    assert by_path["gone"]["new_digest"] is None
    assert by_path["again"]["old_version_id"] != by_path["again"]["new_version_id"]
    assert [batch.num_rows async for batch in diff] == [4]
    assert await diff.summary() == {"added": 1, "removed": 1, "changed": 1, "repinned": 1}
    assert await (await new.diff(new)).summary() == dict.fromkeys(("added", "removed", "changed", "repinned"), 0)


async def test_versions_of_other_artifacts_and_registries_are_compared(memory, log, tmp_path):
    bucket = memory({"a": b"1", "b": b"2"})
    here = await log(bucket)
    bucket.put("b", b"3")
    async with refscan.init(project="other", registry=tmp_path / "elsewhere") as run:
        artifact = Artifact("more", type="model")
        await artifact.add_reference(bucket.base)
        there = await run.log_artifact(artifact)
    (row,) = (await (await here.diff(there)).to_table()).to_pylist()
    assert (row["change"], row["path"]) == ("changed", "b")
