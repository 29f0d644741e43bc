"""Whether a file on disk is what was recorded: by MD5, by ETags that are one, and by those of uploads in parts."""

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refscan.download.identity import is_recorded
from refscan.download.resolver import Object
from refscan.uri import Location

MIB = 1 << 20


def found(*, size=None, e_tag=None, md5=None):
    return Object(Location("s3", "bucket", "key", store="s3"), "", size, None, e_tag, None, md5)


def part_e_tag(data, part_size):
    digests = [hashlib.md5(data[start : start + part_size]).digest() for start in range(0, len(data), part_size)]
    return f"{hashlib.md5(b''.join(digests)).hexdigest()}-{len(digests)}"


@pytest.fixture
def written(tmp_path):
    def write(data):
        (tmp_path / "file").write_bytes(data)
        return tmp_path / "file"

    return write


@given(st.binary(max_size=20), st.binary(max_size=20))
def test_an_md5_tells_files_apart(tmp_path_factory, recorded, data):
    path = tmp_path_factory.getbasetemp() / "md5"
    path.write_bytes(data)
    digest = base64.b64encode(hashlib.md5(recorded).digest()).decode()
    same = recorded == data
    assert is_recorded(path, found(size=len(recorded), md5=digest)) == same
    assert is_recorded(path, found(md5=digest)) == same
    e_tag = hashlib.md5(recorded).hexdigest()
    assert is_recorded(path, found(size=len(recorded), e_tag=e_tag)) == same
    assert is_recorded(path, found(e_tag=f'"{e_tag}"')) == same


@pytest.mark.parametrize("part", [5, 8, 16])
@pytest.mark.parametrize("extra", [0, 1, 3 * MIB])
def test_an_e_tag_of_parts(written, part, extra):
    block = hashlib.sha256(b"seed").digest() * 1_021
    data = (block * (16 * MIB // len(block) + 2))[: 2 * part * MIB + extra]
    path = written(data[: len(data)])
    e_tag = part_e_tag(data, part * MIB)
    assert is_recorded(path, found(size=len(data), e_tag=e_tag))
    changed = bytearray(data)
    changed[-1] ^= 1
    path.write_bytes(changed)
    assert not is_recorded(path, found(size=len(data), e_tag=e_tag))
    assert not is_recorded(path, found(size=len(data) + 1, e_tag=e_tag))


def test_what_cannot_be_told_is_not_right(written, tmp_path):
    data = b"x" * (3 * MIB)
    path = written(data)
    unusual = part_e_tag(data, MIB + 1)
    for e_tag in (unusual, 'W/"weak"', "opaque", "", None, f"{hashlib.md5(data).hexdigest()}-0"):
        assert not is_recorded(path, found(size=len(data), e_tag=e_tag))
    assert not is_recorded(tmp_path, found(md5="x"))
    assert not is_recorded(tmp_path / "missing", found(md5="x"))
    assert not is_recorded(path / "below-a-file", found(md5="x"))
    (tmp_path / "loop").symlink_to("loop")
    assert not is_recorded(tmp_path / "loop", found(md5="x"))
