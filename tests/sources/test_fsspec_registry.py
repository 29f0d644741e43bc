import subprocess
import sys

import fsspec
import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.registry import known_implementations

from refscan.errors import UnsupportedSchemeError
from refscan.sources.fsspec import FsspecSource
from refscan.sources.fsspec.registry import hint, reads
from refscan.sources.schemes import has_source, open_source
from refscan.uri import parse


@pytest.fixture
def missing_package():
    """A scheme that fsspec knows, without the package for it."""
    name = "missing-package"
    fsspec.register_implementation(name, "no_such_package_of_mine.FileSystem", errtxt="Install\nmine to read it")
    yield name
    del known_implementations[name]


@pytest.mark.parametrize("scheme", ["ftp", "sftp", "ssh", "zip", "tar"])
def test_what_fsspec_knows_is_read(scheme):
    assert reads(scheme)
    assert has_source(f"{scheme}://host/x")


@pytest.mark.parametrize(
    "scheme",
    ["file", "local", "http", "https", "s3", "s3a", "gs", "gcs", "az", "azure", "abfs", "abfss", "memory"],
)
def test_what_refscan_reads_itself_is_not_left_to_fsspec(scheme):
    assert not reads(scheme)


@pytest.mark.parametrize("scheme", ["simplecache", "filecache", "blockcache", "cached", "dir", "generic"])
def test_wrappers_of_other_stores_are_not_read(scheme):
    assert not reads(scheme)


def test_an_unknown_scheme_is_not_read():
    assert not reads("weird")
    assert hint("weird") is None


def test_a_scheme_may_be_registered_at_any_time():
    assert not reads("late")
    fsspec.register_implementation("late", LocalFileSystem)
    assert reads("late")


def test_a_missing_package_is_named(missing_package):
    assert not reads(missing_package)
    assert hint(missing_package) == "Install mine to read it"
    with pytest.raises(UnsupportedSchemeError, match=r"missing-package://.*Install mine to read it"):
        FsspecSource(f"{missing_package}://host/")


def test_other_names_of_a_store_are_corrected():
    assert hint("s3a") == "write s3:// in place of s3a://"
    assert hint("local") == "write file:// in place of local://"
    assert hint("s3") is None
    assert hint("sftp") is None


def test_a_uri_leads_to_its_source_and_its_password_nowhere_else():
    source = open_source(parse("ftp://ada:geheim@host:2121/data/x"))
    assert type(source) is FsspecSource
    assert source.base == "ftp://ada@host:2121/"
    assert "geheim" not in repr(source)


def test_a_password_in_the_base_is_taken_out():
    assert FsspecSource("ftp://ada:geheim@host/x/").base == "ftp://ada@host/x/"
    assert FsspecSource("ftp://:geheim@host/").base == "ftp://host/"


@pytest.mark.parametrize("uri", ["s3://b/x", "file:///x", "http://h/x"])
def test_fsspec_is_not_imported_for_other_schemes(uri):
    script = (
        "import sys, refscan; from refscan.sources.schemes import has_source, open_source; "
        f"from refscan.uri import parse; assert has_source({uri!r}); open_source(parse({uri!r}))\n"
        "print('fsspec' in sys.modules, 'refscan.sources.fsspec' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("False False\n", "")


def test_without_fsspec_it_is_said_what_to_install():
    script = (
        "import sys; sys.modules['fsspec'] = None\n"
        "from refscan.sources.schemes import has_source\n"
        "from refscan.sources.fsspec.registry import hint\n"
        "print(has_source('sftp://host/x'), hint('sftp'))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout == "False install refscan[fsspec] to read the file systems of fsspec\n"
    assert done.stderr == ""
