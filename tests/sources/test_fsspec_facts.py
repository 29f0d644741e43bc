import base64
import hashlib
from datetime import UTC, datetime, timedelta, timezone

import pytest

from refscan.sources.fsspec import FsspecSource
from refscan.sources.fsspec.facts import Facts, facts_of, is_folder, is_link, is_plain_file, rows_of

MOMENT = datetime(2026, 3, 1, 12, 30, 15, 250_000, tzinfo=UTC)
MD5 = hashlib.md5(b"x")
SHA = hashlib.sha256(b"x")


def base64_of(digest) -> str:
    return base64.b64encode(digest.digest()).decode()


@pytest.mark.parametrize(
    ("info", "time"),
    [
        ({"mtime": MOMENT.timestamp()}, MOMENT),
        ({"mtime": 1_700_000_000}, datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        ({"mtime": MOMENT.astimezone(timezone(timedelta(hours=2)))}, MOMENT),
        ({"LastModified": MOMENT.replace(tzinfo=None)}, MOMENT),
        ({"last_modified": "2026-03-01T12:30:15.250Z"}, MOMENT),
        ({"modifiedTime": "2026-03-01T14:30:15.250+02:00"}, MOMENT),
        ({"modified": "Sun, 01 Mar 2026 12:30:15 GMT"}, MOMENT.replace(microsecond=0)),
        ({"modificationTime": int(MOMENT.timestamp() * 1_000)}, MOMENT),
        ({"modify": "20260301123015"}, MOMENT.replace(microsecond=0)),
        ({"modify": "20260301123015.25"}, MOMENT),
        ({"modify": "Mar 01 12:30"}, None),
        ({"modify": "20269901123015"}, None),
        ({"mtime": "yesterday"}, None),
        ({"mtime": float("nan")}, None),
        ({"mtime": 1e30}, None),
        ({"mtime": True}, None),
        ({"mtime": None, "last_modified": MOMENT}, MOMENT),
        ({"created": MOMENT}, None),
        ({}, None),
    ],
)
def test_the_time_of_the_last_change(info, time):
    assert facts_of(info).last_modified == time


@pytest.mark.parametrize(
    ("info", "e_tag"),
    [
        ({"ETag": '"abc"'}, "abc"),
        ({"etag": "abc"}, "abc"),
        ({"e_tag": 'W/"abc"'}, 'W/"abc"'),
        ({"blob_id": "86f7e437"}, "86f7e437"),
        ({"sha": "86f7e437"}, "86f7e437"),
        ({"ETag": ""}, None),
        ({"ETag": '""'}, None),
        ({"ETag": None, "etag": "x"}, "x"),
        ({"etag": 7}, None),
        ({}, None),
    ],
)
def test_the_e_tag(info, e_tag):
    assert facts_of(info).e_tag == e_tag


@pytest.mark.parametrize(
    ("info", "checksum"),
    [
        ({"md5": MD5.hexdigest()}, f"md5:{base64_of(MD5)}"),
        ({"md5Hash": base64_of(MD5)}, f"md5:{base64_of(MD5)}"),
        ({"content_md5": bytearray(MD5.digest())}, f"md5:{base64_of(MD5)}"),
        ({"md5": MD5.hexdigest(), "sha256": SHA.hexdigest().upper()}, f"sha256:{base64_of(SHA)}"),
        ({"lfs": {"sha256": SHA.hexdigest(), "size": 1}}, f"sha256:{base64_of(SHA)}"),
        ({"CRC": 0x01020304}, "crc32:AQIDBA=="),
        ({"md5": MD5.hexdigest()[:-1]}, None),
        ({"md5": "no checksum at all"}, None),
        ({"sha256": MD5.hexdigest()}, None),
        ({"CRC": 1 << 32}, None),
        ({}, None),
    ],
)
def test_the_checksum(info, checksum):
    assert facts_of(info).checksum == checksum


@pytest.mark.parametrize(("size", "found"), [(0, 0), (7, 7), ("7", 7), (None, None), (-1, None), (True, None)])
def test_the_size(size, found):
    assert facts_of({"size": size}).size == found


@pytest.mark.parametrize(
    ("info", "kind"),
    [
        ({"type": "file"}, "file"),
        ({"type": "file", "islink": False}, "file"),
        ({"type": "file", "unix.mode": "-rw-r--r--"}, "file"),
        ({"type": "directory"}, "folder"),
        ({"type": "directory", "islink": True}, "link"),
        ({"type": "link"}, "link"),
        ({"type": "file", "unix.mode": "lrwxrwxrwx"}, "link"),
        ({"type": "other"}, None),
        ({"type": "unknown"}, None),
        ({"type": "file", "unix.mode": "srwxrwxrwx"}, None),
        ({}, None),
    ],
)
def test_the_kind(info, kind):
    assert (is_folder(info), is_link(info)) == (kind == "folder", kind == "link")
    assert (is_plain_file(info) and not is_link(info)) == (kind == "file")


@pytest.mark.parametrize(
    ("facts", "digest"),
    [
        (Facts(1, "e", "md5:x", MOMENT), "e"),
        (Facts(1, None, "md5:x", MOMENT), "md5:x"),
        (Facts(1, None, None, MOMENT), "1-1772368215250000"),
        (Facts(0, None, None, MOMENT.replace(year=1969)), "0--26393384750000"),
        (Facts(None, None, None, MOMENT), None),
        (Facts(1, None, None, None), None),
    ],
)
async def test_a_row_has_the_digest_of_its_facts(facts, digest):
    assert facts.digest == digest
    source = FsspecSource("ftp://host/")
    rows = rows_of(["key"], [facts])
    digests = await source.digests(rows, source.refs(rows.column("key")))
    assert digests.to_pylist() == [digest or "ftp://host/key"]


def test_rows_hold_what_is_known():
    rows = rows_of(["a", "b"], [Facts(1, "e", "md5:x", MOMENT), Facts(None, None, None, None)])
    assert rows.to_pylist() == [
        {
            "key": "a",
            "size": 1,
            "e_tag": "e",
            "version_id": None,
            "checksum": "md5:x",
            "last_modified": MOMENT,
            "storage_class": None,
        },
        dict.fromkeys(rows.schema.names) | {"key": "b"},
    ]
