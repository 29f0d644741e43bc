"""A command's output file: there whole or not at all, and nothing else beside it in the end."""

import os
import signal
import subprocess
import sys

import pytest

from refscan.cli.outfile import whole_file

KILLED = """
import os, pathlib, signal, sys
from refscan.cli.outfile import whole_file
with whole_file(pathlib.Path(sys.argv[1])) as file:
    file.write(b"half")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "out[1].parquet"


def killed(path):
    assert subprocess.run([sys.executable, "-c", KILLED, path], check=False).returncode == -signal.SIGKILL


def test_what_the_killed_left_is_removed_by_the_next(path):
    for _ in range(2):
        killed(path)
        (left,) = path.parent.iterdir()
        assert left.name.startswith(".out[1].parquet.refscan-")
        assert left.read_bytes() == b"half"
    with whole_file(path) as file:
        file.write(b"whole")
    assert [*path.parent.iterdir()] == [path]
    assert path.read_bytes() == b"whole"


def test_a_file_that_is_being_written_is_not_taken_for_abandoned(path):
    with whole_file(path) as first:
        first.write(b"first")
        with whole_file(path) as second:
            second.write(b"second")
        assert path.read_bytes() == b"second"
    assert path.read_bytes() == b"first"
    assert [*path.parent.iterdir()] == [path]


def test_files_of_other_names_stay(path):
    others = {path.with_name(name) for name in (".out[1].parquet.refscan-short", ".out1.parquet.refscan-abcdefgh")}
    for other in others:
        other.write_bytes(b"mine")
    with whole_file(path) as file:
        file.write(b"whole")
    assert {*path.parent.iterdir()} == {path, *others}


def test_an_error_leaves_what_was_there(path):
    def write_half():
        with whole_file(path) as file:
            file.write(b"half")
            raise ZeroDivisionError

    path.write_bytes(b"before")
    with pytest.raises(ZeroDivisionError):
        write_half()
    assert [*path.parent.iterdir()] == [path]
    assert path.read_bytes() == b"before"


def test_it_has_the_rights_of_any_new_file(path):
    before = os.umask(0o027)
    try:
        with whole_file(path) as file:
            file.write(b"whole")
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o640
