import subprocess
import sys

import pytest

from refscan import GCSOptions, scan
from refscan.errors import InvalidURIError, UnsupportedSchemeError
from refscan.sources.http import HTTPSource
from refscan.sources.local import LocalSource
from refscan.sources.memory import MemorySource
from refscan.sources.s3 import S3Source
from refscan.sources.schemes import has_source, locate, locate_ref, open_source
from refscan.uri import parse


@pytest.mark.parametrize(
    ("uri", "kind", "base"),
    [
        ("s3://bucket/key", S3Source, "s3://bucket/"),
        ("S3://bucket", S3Source, "s3://bucket/"),
        ("file:///tmp/x", LocalSource, "file:///"),
        ("http://host:81/x", HTTPSource, "http://host:81/"),
        ("https://user:pass@HOST/x?y", HTTPSource, "https://host/"),
        ("memory://schemes/x", MemorySource, "memory://schemes/"),
    ],
)
def test_each_scheme_has_its_source(uri, kind, base):
    MemorySource("schemes")
    assert has_source(uri)
    source = open_source(parse(uri))
    assert type(source) is kind
    assert source.base == base


@pytest.mark.parametrize("checksum", [True, False])
def test_files_are_told_whether_to_be_read(checksum):
    assert open_source(parse("file:///x"), checksum=checksum).checksum is checksum


def test_an_unknown_scheme_has_none():
    assert not has_source("weird://host/x")
    with pytest.raises(UnsupportedSchemeError, match="weird://") as caught:
        open_source(parse("weird://host/x"))
    assert isinstance(caught.value, ValueError)


def test_what_reads_a_scheme_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec.registry", None)
    with pytest.raises(UnsupportedSchemeError, match=r"no source reads sftp://; install refscan\[fsspec\]"):
        open_source(parse("sftp://host/x"))


@pytest.mark.parametrize("uri", ["s3://b/x", "gs://b/x", "file:///x"])
def test_a_broken_setting_of_azures_is_none_of_other_stores(monkeypatch, uri):
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", "broken")
    assert locate(uri).uri == locate_ref(uri).uri == uri
    with pytest.raises(InvalidURIError, match="connection string"):
        locate("az://container/x")


def test_secrets_of_an_endpoint_are_no_part_of_a_location(monkeypatch):
    monkeypatch.setenv("AZURE_STORAGE_BLOB_ENDPOINT", "https://me:q7SECRETq7@host.example/?sv=1&sig=q7SECRETq7")
    location = locate("az://container/x")
    assert location.uri == "https://host.example/container/x"
    assert "q7SECRETq7" not in repr(location)


def test_a_path_has_none():
    with pytest.raises(InvalidURIError, match="file://"):
        has_source("data/train")


@pytest.mark.parametrize(
    ("uri", "heavy"),
    [("file:///x", ["aiohttp", "aioboto3", "botocore"]), ("http://h/x", ["aioboto3", "botocore"]), ("s3://b/x", [])],
)
def test_an_sdk_is_imported_with_its_scheme(uri, heavy):
    script = (
        "import sys; from refscan.sources.schemes import has_source, open_source; from refscan.uri import parse\n"
        f"assert has_source({uri!r}); before = {{*sys.modules}}; open_source(parse({uri!r}))\n"
        "print([m for m in ('aiohttp', 'aioboto3', 'botocore') if m in before], "
        f"[m for m in {heavy!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[] []\n", "")


async def test_options_of_another_store_are_refused():
    MemorySource("schemes")
    with pytest.raises(ValueError, match="memory://schemes/ is not reached by GCSOptions"):
        scan("memory://schemes/", options=GCSOptions())
    scan("memory://schemes/", options=[GCSOptions()])
