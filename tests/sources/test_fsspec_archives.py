"""Archives, whose own place is an option: zip and tar."""

import tarfile
import zipfile

import pytest
from conformance.suite import read, stat_rows
from conformance.walked import walk

from refscan.errors import InvalidURIError
from refscan.sources.fsspec import FsspecSource
from refscan.sources.options import FsspecOptions
from refscan.uri import parse


class TestArchives:
    @pytest.fixture(params=["zip", "tar"])
    def archive(self, request, tmp_path):
        path = str(tmp_path / "archive")
        files = {"a.txt": b"12345", "dir/b": b"1", "dir/deep/c d": b"", "odd?#%": b"12"}
        if request.param == "zip":
            with zipfile.ZipFile(path, "w") as file:
                for name, data in files.items():
                    file.writestr(name, data)
        else:
            with tarfile.open(path, "w") as file:
                for name, data in files.items():
                    (tmp_path / "member").write_bytes(data)
                    file.add(tmp_path / "member", name)
        return request.param, path, files

    async def test_what_is_in_it_is_read(self, archive):
        scheme, path, files = archive
        async with FsspecSource(f"{scheme}:///", FsspecOptions(storage_options={"fo": path})) as source:
            walked = await walk(source)
            assert {row["key"]: row["size"] for row in walked.rows} == {key: len(files[key]) for key in files}
            assert {key: await read(source, key) for key in files} == files
            assert set(walked.folders) == {"dir/", "dir/deep/"}
            assert (await stat_rows(source, ["a.txt"])) == [row for row in walked.rows if row["key"] == "a.txt"]

    @pytest.mark.parametrize("uri", ["zip://a.txt::file:///a.zip", "tar:///", "zip://dir/a.txt::s3://b/a.zip"])
    def test_a_chained_url_is_refused(self, uri):
        with pytest.raises(InvalidURIError, match=r"storage_options=\{'fo': …\}"):
            FsspecSource(parse(uri).base)
