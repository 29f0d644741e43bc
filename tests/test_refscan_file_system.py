"""``refscan://`` for fsspec: pandas, PyArrow and data loaders read the recorded bytes of a version where they lie."""

import asyncio
import base64
import concurrent.futures
import hashlib
import io
import json
import os
import pickle
import subprocess
import sys

import fsspec
import pandas as pd
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest
from servers.http import Resource

import refscan
from refscan import (
    AccessDeniedError,
    Artifact,
    DigestMismatchError,
    MemorySource,
    ObjectNotFoundError,
    S3Options,
)
from refscan.fsspec import RefscanFileSystem
from refscan.wandb.pull import from_wandb

ODD = {"a//b": b"1", "a/b": b"22", "q?x#y%20z": b"333", "sp ace": b"4444", "z/": b"5", "z/y": b"66", "é\U0001f600": b""}


@pytest.fixture
def fs():
    file_system = RefscanFileSystem()
    yield file_system
    file_system.close()


def log(*references, registry=None, aliases=(), stored=(), **options):
    """Log references as a new version, from code that has no loop."""

    async def run_it():
        async with refscan.init(project="demo", registry=registry) as run:
            artifact = Artifact("data", type="dataset")
            for uri in references:
                await artifact.add_reference(uri, **options)
            for path in stored:
                await artifact.add_file(path)
            return await run.log_artifact(artifact, aliases=aliases)

    return asyncio.run(run_it())


@pytest.fixture
def odd():
    """``demo/data:v0``: odd keys of a bucket in memory."""
    source = MemorySource("file-system-odd")
    for key, data in ODD.items():
        source.put(key, data)
    log(source.base)
    return source


class TestStores:
    def test_pandas_reads_the_recorded_versions_after_an_overwrite(self, bucket, fs):  # noqa: ARG002
        versioned = bucket()
        frame = pd.DataFrame({"n": range(1_000), "text": [f"row {n}" for n in range(1_000)]})
        versioned.put("t/table.csv", frame.to_csv(index=False).encode())
        versioned.put("t/table.parquet", frame.to_parquet(None))
        log(f"{versioned.uri}t")
        for name in ("csv", "parquet"):
            versioned.put(f"t/table.{name}", b"overwritten")
        pd.testing.assert_frame_equal(pd.read_csv("refscan://demo/data:v0/table.csv"), frame)
        pd.testing.assert_frame_equal(pd.read_parquet("refscan://demo/data:latest/table.parquet"), frame)
        columns = pq.read_table("demo/data:v0/table.parquet", filesystem=RefscanFileSystem(), columns=["n"])
        assert columns.column("n").to_pylist() == list(range(1_000))

    def test_an_overwritten_object_without_versions_is_an_error(self, bucket, fs):
        plain = bucket(versioned=False)
        plain.put("a", b"recorded")
        plain.put("b", b"recorded")
        log(plain.uri)
        plain.put("a", b"replaced")
        plain.delete("b")
        for read in (fs.cat_file, lambda path: fs.cat_file(path, 2, 4), lambda path: fs.open(path).read(3)):
            with pytest.raises(DigestMismatchError, match="/a"):
                read("demo/data:v0/a")
            with pytest.raises(FileNotFoundError):
                read("demo/data:v0/b")

    @pytest.mark.parametrize("stamp", [False, True])
    def test_an_overwritten_local_file_is_an_error(self, tmp_path, fs, stamp):
        path = tmp_path / "tree" / "a"
        path.parent.mkdir()
        path.write_bytes(b"recorded")
        times = os.stat(path)
        log(f"file://{path.parent}")
        assert fs.cat_file("demo/data:v0/a", 1, 3) == b"ec"
        path.write_bytes(b"replaced")
        if stamp:
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        for read in (fs.cat_file, lambda path: fs.cat_file(path, 1, 3)):
            with pytest.raises(DigestMismatchError, match="was overwritten"):
                read("demo/data:v0/a")

    def test_a_large_local_file_is_told_by_its_time(self, tmp_path, fs, monkeypatch):
        monkeypatch.setattr("refscan.download.read._HASHED_SIZE", 4)
        path = tmp_path / "tree" / "a"
        path.parent.mkdir()
        path.write_bytes(b"recorded")
        times = os.stat(path)
        log(f"file://{path.parent}")
        assert fs.cat_file("demo/data:v0/a", 1, 3) == b"ec"
        path.write_bytes(b"replaced")
        os.utime(path, ns=(1, 1))
        with pytest.raises(DigestMismatchError, match="was overwritten"):
            fs.cat_file("demo/data:v0/a", 1, 3)
        path.write_bytes(b"recorded and more")
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        with pytest.raises(DigestMismatchError, match="it has 17 bytes now, not 8"):
            fs.cat_file("demo/data:v0/a", 1, 3)
        path.write_bytes(b"recorded")  # the time differs, the content does not
        assert fs.cat_file("demo/data:v0/a", 1, 3) == b"ec"

    def test_files_that_are_recorded_without_reading_them(self, tmp_path, fs):
        path = tmp_path / "tree" / "a"
        path.parent.mkdir()
        path.write_bytes(b"recorded")
        log(f"file://{path.parent}", checksum=False)
        assert fs.cat_file("demo/data:v0/a") == b"recorded"
        path.write_bytes(b"replaced")
        os.utime(path, ns=(1, 1))
        with pytest.raises(DigestMismatchError, match="was overwritten"):
            fs.cat_file("demo/data:v0/a")

    def test_stored_files_are_read_from_the_registry(self, tmp_path, fs):
        (tmp_path / "model.h5").write_bytes(b"0123456789")
        log(stored=[tmp_path / "model.h5"])
        (tmp_path / "model.h5").unlink()
        assert fs.cat_file("demo/data:v0/model.h5") == b"0123456789"
        assert fs.cat_file("demo/data:v0/model.h5", -3) == b"789"

    def test_a_server_without_ranges_is_read_all_the_same(self, web_server, fs):
        web_server.resources["/a"] = Resource(bytes(range(256)), e_tag='"1"', ranges=False)
        log(f"{web_server.base}a")
        assert fs.cat_file("demo/data:v0/a", 10, 20) == bytes(range(10, 20))
        web_server.resources["/a"] = Resource(bytes(256), e_tag='"2"', ranges=False)
        with pytest.raises(DigestMismatchError):
            fs.cat_file("demo/data:v0/a", 10, 20)

    def test_options_say_how_stores_are_reached(self, bucket, aws, s3_server):
        plain = bucket()
        plain.put("a", b"1")
        log(plain.uri)
        aws.setenv("AWS_S3_ENDPOINT_URL", "http://127.0.0.1:9")
        reached = RefscanFileSystem(options=S3Options(endpoint_url=s3_server, addressing_style="path"))
        assert reached.cat_file("demo/data:v0/a") == b"1"
        reached.close()


class TestPaths:
    def test_every_entry_has_its_own_bytes(self, odd, fs):  # noqa: ARG002
        assert sorted(fs.find("demo/data:v0")) == sorted(f"demo/data:v0/{key}" for key in ODD)
        for key, data in ODD.items():
            assert fs.cat_file(f"refscan://demo/data:v0/{key}") == data
            assert fs.size(f"demo/data:v0/{key}") == len(data)
            with fsspec.open(f"refscan://demo/data:v0/{key}") as file:
                assert file.read() == data

    def test_folders(self, odd, fs):  # noqa: ARG002
        assert fs.ls("", detail=False) == ["demo"]
        assert fs.ls("demo", detail=False) == ["demo/data:v0"]
        names = ["a", "q?x#y%20z", "sp ace", "z", "é\U0001f600"]
        for root in ("refscan://demo/data:v0", "demo/data:v0/"):
            assert fs.ls(root, detail=False) == [f"demo/data:v0/{name}" for name in names]
        assert fs.ls("demo/data:v0/a", detail=False) == ["demo/data:v0/a/", "demo/data:v0/a/b"]
        assert fs.ls("demo/data:v0/sp ace", detail=False) == ["demo/data:v0/sp ace"]
        assert all(map(fs.isdir, ("demo", "demo/data:v0", "demo/data:v0/a", "demo/data:v0/a/")))
        assert fs.isfile("demo/data:v0/a/b")
        assert not fs.isdir("demo/data:v0/a/b")
        assert fs.find("demo/data:v0/a/b") == ["demo/data:v0/a/b"]
        assert fs.find("demo/data:v0/z") == ["demo/data:v0/z/", "demo/data:v0/z/y"]

    def test_what_is_known_of_an_entry(self, odd, fs):  # noqa: ARG002
        info = fs.info("demo/data:v0/sp ace")
        assert {name: info[name] for name in ("name", "type", "size", "ref")} == {
            "name": "demo/data:v0/sp ace",
            "type": "file",
            "size": 4,
            "ref": "memory://file-system-odd/sp ace",
        }
        assert None not in (info["digest"], info["version_id"])
        assert fs.modified("demo/data:v0/sp ace") == info["last_modified"]

    def test_patterns(self, fs):
        source = MemorySource("file-system-glob")
        for key in ("a.csv", "b/c.csv", "b/d/e.csv", "b/d/f.txt"):
            source.put(key, b"1")
        log(source.base)
        assert fs.glob("refscan://demo/data:v0/*.csv") == ["demo/data:v0/a.csv"]
        assert fs.glob("demo/data:v0/**/*.csv") == [f"demo/data:v0/{key}" for key in ("a.csv", "b/c.csv", "b/d/e.csv")]
        assert fs.glob("demo/data:v0/b/*") == ["demo/data:v0/b/c.csv", "demo/data:v0/b/d"]
        assert fs.find("demo/data:v0/b", withdirs=True) == [
            f"demo/data:v0/b{rest}" for rest in ("", "/c.csv", "/d", "/d/e.csv", "/d/f.txt")
        ]
        assert fs.find("demo/data:v0", maxdepth=1) == ["demo/data:v0/a.csv"]
        assert [files for _, _, files in fs.walk("demo/data:v0/b")] == [["c.csv"], ["e.csv", "f.txt"]]

    @pytest.mark.parametrize(
        "path",
        ["demo/data:v0/nothing", "demo/data:v9/a", "demo/none/a", "none/x/a", "demo/data:x/a", "demo//a", "demo/:v0/a"],
    )
    def test_what_is_not_there(self, odd, fs, path):  # noqa: ARG002
        assert not fs.exists(path)
        assert not fs.isdir(path)
        for ask in (fs.info, fs.ls, fs.cat_file, fs.open):
            with pytest.raises(FileNotFoundError) as caught:
                ask(path)
            assert isinstance(caught.value, ObjectNotFoundError)
            assert "\n" not in str(caught.value)
        assert not fs.exists("none")

    def test_nothing_can_be_written(self, odd, fs, tmp_path):  # noqa: ARG002
        path = "demo/data:v0/sp ace"
        (tmp_path / "x").write_text("x")
        for write in (
            lambda: fs.open(path, "wb"),
            lambda: fs.pipe_file(path, b"x"),
            lambda: fs.rm(path),
            lambda: fs.put_file(str(tmp_path / "x"), path),
            lambda: fs.cp_file(path, path + "2"),
        ):
            with pytest.raises(AccessDeniedError):
                write()
        assert fs.cat_file(path) == b"4444"


class TestReading:
    @pytest.fixture
    def data(self):
        """``demo/data:v0/bytes``: 100,000 bytes."""
        data = bytes(number * 7 % 251 for number in range(100_000))
        source = MemorySource("file-system-bytes")
        source.put("bytes", data)
        log(source.base)
        return data

    def test_seeking(self, data, fs):
        with fs.open("demo/data:v0/bytes", block_size=1_000) as file:
            for start, length in ((0, 10), (50_000, 3_000), (10, 0), (99_990, 100), (5, 1)):
                file.seek(start)
                assert file.read(length) == data[start : start + length]
            file.seek(-3, io.SEEK_END)
            assert file.read() == data[-3:]

    @pytest.mark.parametrize("cache", ["all", "background", "blockcache", "bytes", "first", "none", "readahead"])
    def test_every_cache_of_fsspec(self, data, fs, cache):
        with fs.open("demo/data:v0/bytes", block_size=30_000, cache_type=cache) as file:
            for start, length in ((99_000, 2_000), (0, 10), (29_990, 20), (100_000, 1), (100_001, 1), (60_000, -1)):
                file.seek(start)
                assert file.read(length) == data[start:][: None if length < 0 else length]

    def test_copies_are_the_recorded_bytes(self, bucket, fs, tmp_path):
        versioned = bucket()
        for key in ("a", "d/b", "d/e/c"):
            versioned.put(key, key.encode())
        log(versioned.uri)
        for key in ("a", "d/b", "d/e/c"):
            versioned.put(key, b"overwritten")
        fs.get("demo/data:v0/d", str(tmp_path / "d"), recursive=True)
        assert ((tmp_path / "d/b").read_text(), (tmp_path / "d/e/c").read_text()) == ("d/b", "d/e/c")
        fs.get_file("demo/data:v0/a", str(tmp_path / "new" / "a"))
        assert os.listdir(tmp_path / "new") == ["a"]
        for chain in ("simplecache", "filecache"):
            options = {chain: {"cache_storage": str(tmp_path / chain)}}
            with fsspec.open(f"{chain}::refscan://demo/data:v0/a", **options) as file:
                assert file.read() == b"a"
        with pytest.raises(FileNotFoundError):
            fs.get_file("demo/data:v0/nothing", str(tmp_path / "x"))
        assert not (tmp_path / "x").exists()

    def test_a_copy_of_what_was_overwritten_is_an_error(self, bucket, fs, tmp_path):
        plain = bucket(versioned=False)
        plain.put("a", b"1")
        log(plain.uri)
        plain.put("a", b"2")
        (tmp_path / "a").write_text("there")
        with pytest.raises(DigestMismatchError):
            fs.get_file("demo/data:v0/a", str(tmp_path / "a"))
        assert (tmp_path / "a").read_text() == "there"

    def test_a_copy_stays_in_its_folder(self, fs, tmp_path):
        source = MemorySource("file-system-climbing")
        source.put("d/../../out", b"1")
        log(source.base)
        with pytest.raises(ValueError, match=r"would leave|outside"):  # ours, or fsspec's own
            fs.get("demo/data:v0/d", str(tmp_path / "in" / "d"), recursive=True)
        assert not (tmp_path / "out").exists()

    def test_ranges(self, data, fs):
        path = "demo/data:v0/bytes"
        for start, end in ((None, None), (5, 10), (-10, None), (None, -10), (-10, -5), (10, 5), (99_999, 200_000)):
            assert fs.cat_file(path, start, end) == data[start:end]
        assert fs.cat_ranges([path, path, path], [0, 10, 500], [10, 20, 600]) == [data[:10], data[10:20], data[500:600]]
        assert fs.head(path, 7) == data[:7]
        assert fs.tail(path, 7) == data[-7:]

    def test_many_at_once(self, odd, fs):  # noqa: ARG002
        found = fs.cat([f"demo/data:v0/{key}" for key in ODD])
        assert found == {f"demo/data:v0/{key}": data for key, data in ODD.items()}

    def test_threads(self, data, fs):
        def read(number):
            return fs.cat_file("demo/data:v0/bytes", number, number + 10) == data[number : number + 10]

        with concurrent.futures.ThreadPoolExecutor(16) as threads:
            assert all(threads.map(read, range(0, 3_000, 10)))

    def test_pickled_file_systems_and_files(self, data, fs):
        again = pickle.loads(pickle.dumps(fs))
        assert again.cat_file("demo/data:v0/bytes") == data
        with fs.open("demo/data:latest/bytes") as file:
            file.seek(500)
            pickled = pickle.dumps(file)
        MemorySource.named("file-system-bytes").put("bytes", b"new")
        log("memory://file-system-bytes/")
        with pickle.loads(pickled) as same:
            assert same.read(5) == data[500:505]

    def test_an_alias_is_looked_up_each_time_and_a_file_stays(self, data, fs):
        with fs.open("demo/data:latest/bytes", block_size=10, cache_type="none") as file:
            assert file.read(5) == data[:5]
            MemorySource.named("file-system-bytes").put("bytes", b"new")
            log("memory://file-system-bytes/")
            assert fs.cat_file("demo/data:latest/bytes") == fs.cat_file("demo/data/bytes") == b"new"
            assert file.read(5) == data[5:10]
        assert fs.cat_file("demo/data:v0/bytes") == data

    def test_pyarrow_datasets(self, fs):
        source = MemorySource("file-system-dataset")
        for part in ("x", "y"):
            sink = io.BytesIO()
            pq.write_table(pa.table({"n": list(range(10))}), sink)
            source.put(f"set/part={part}/0.parquet", sink.getvalue())
        log(source.base)
        dataset = pa.dataset.dataset("demo/data:v0/set", filesystem=fs, format="parquet", partitioning="hive")
        assert dataset.to_table(filter=pa.dataset.field("part") == "y").num_rows == 10
        assert dataset.count_rows() == 20

    async def test_blocking_calls_within_a_running_loop(self, fs):
        source = MemorySource("file-system-loop")
        source.put("a", b"1")
        async with refscan.init(project="demo") as run:
            artifact = Artifact("data", type="dataset")
            await artifact.add_reference(source.base)
            await run.log_artifact(artifact)
        assert fs.cat_file("demo/data:v0/a") == b"1"

    async def test_coroutines_in_the_caller_s_own_loop(self):
        source = MemorySource("file-system-own-loop")
        source.put("a", b"0123456789")
        async with refscan.init(project="demo") as run:
            artifact = Artifact("data", type="dataset")
            await artifact.add_reference(source.base)
            await run.log_artifact(artifact)
        own = RefscanFileSystem(asynchronous=True)
        assert await own._cat_file("demo/data:v0/a") == b"0123456789"
        assert await own._ls("demo/data:v0", detail=False) == ["demo/data:v0/a"]
        async with await own.open_async("demo/data:v0/a") as file:
            file.seek(4)
            assert await file.read(3) == b"456"
            assert await file.read() == b"789"
        await own.aclose()

    async def test_a_file_of_unknown_size_in_the_caller_s_own_loop(self, tmp_path):
        (tmp_path / "data").write_bytes(b"0123456789")
        md5 = base64.b64encode(hashlib.md5(b"0123456789").digest()).decode()
        entry = {"digest": md5, "ref": (tmp_path / "data").as_uri()}
        (tmp_path / "manifest.json").write_text(json.dumps({"version": 1, "contents": {"a": entry}}))
        await from_wandb(tmp_path / "manifest.json", name="data", project="demo")
        own = RefscanFileSystem(asynchronous=True)
        async with await own.open_async("demo/data:v0/a") as file:
            assert (file.size, await file.read(3)) == (10, b"012")
            file.seek(8)
            assert (await file.read(), await file.read()) == (b"89", b"")
        await own.aclose()

    def test_another_registry(self, tmp_path):
        source = MemorySource("file-system-elsewhere")
        source.put("a", b"1")
        log(source.base, registry=tmp_path / "elsewhere")
        url = "refscan://demo/data:v0/a"
        with fsspec.open(url, registry=str(tmp_path / "elsewhere")) as file:
            assert file.read() == b"1"
        with pytest.raises(FileNotFoundError), fsspec.open(url) as file:
            file.read()


WORKERS = """
import json, multiprocessing, sys
import fsspec  # not refscan: the entry point leads there

def read(item):
    fs, path = item
    with fs.open(path) as file:
        return file.read().decode()

def read_captured(path):
    return captured.cat_file(path).decode()

if __name__ == "__main__":
    paths = json.loads(sys.argv[1])
    fs = fsspec.filesystem("refscan")
    found = {"here": [read((fs, path)) for path in paths]}
    captured = fs
    with multiprocessing.get_context("fork").Pool(2) as pool:
        found["fork"] = pool.map(read_captured, paths)
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        found["spawn"] = pool.map(read, [(fs, path) for path in paths])
    found["after"] = [read((fs, path)) for path in paths]
    print(json.dumps(found))
"""


def test_workers_of_data_loaders_read_it_forked_and_spawned(bucket, tmp_path):
    versioned = bucket()
    names = [f"{number}" for number in range(8)]
    for name in names:
        versioned.put(name, name.encode())
    log(versioned.uri)
    for name in names:
        versioned.put(name, b"overwritten")
    script = tmp_path / "workers.py"
    script.write_text(WORKERS)
    paths = json.dumps([f"demo/data:v0/{name}" for name in names])
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", script, paths],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == dict.fromkeys(("here", "fork", "spawn", "after"), names)
