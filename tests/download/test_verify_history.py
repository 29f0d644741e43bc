"""Listings of all versions read: by columns, by an XML parser, and as the SDK has parsed them."""

import pytest
from servers.s3_service import S3Service
from servers.scripted import Request

from refscan import StoreError
from refscan.sources.s3.history import _as_parsed, has_readable_copy, parse_history

ODD = ["a//b", "a b", "a+b", "a%20b", "é", "<&>'\"", "\U0001f600", "new\nline"]


def body_of(service, **query):
    target = "/b?versions=&" + "&".join(f"{name}={value}" for name, value in query.items())
    return service(Request("GET", target, b"")).body


@pytest.fixture
def service():
    service = S3Service()
    for key in ODD:
        service.put(key, b"1")
        service.put(key, b"22")
        service.put(key, None)
    service.put("z", b"3")
    return service


def rows_of(page):
    return [(row["key"], row["version_id"], row["is_latest"], row["size"]) for row in page.rows.to_pylist()]


def test_old_versions_and_what_a_delete_marker_hides(service):
    found = parse_history(body_of(service))
    expected = []
    for key in sorted(service.keys):
        for number, version in enumerate(service.keys[key]):
            if version.data is not None:
                expected.append((key, version.version_id, number == 0, len(version.data)))
    assert rows_of(found) == expected
    assert (found.token, found.next_after) == (None, None)


def test_an_unusual_page_says_the_same(service):
    body = body_of(service)
    unusual = body.replace(b"<Version>", b"<Version><!-- -->")
    assert parse_history(unusual).rows == parse_history(body).rows


def test_a_page_that_ends_with_a_delete_marker_goes_on_behind_it(service):
    body = body_of(service, **{"max-keys": "1"})
    page = parse_history(body)
    assert (page.rows.num_rows, page.next_after) == (0, min(ODD))


def test_what_the_sdk_parsed():
    answer = {
        "IsTruncated": True,
        "Versions": [
            {"Key": "a", "VersionId": "1", "IsLatest": False, "Size": 1, "ETag": '"x"', "StorageClass": "GLACIER"}
        ],
        "DeleteMarkers": [{"Key": "b", "VersionId": "2", "IsLatest": True}],
    }
    page = _as_parsed(answer)
    assert (rows_of(page), page.next_after) == ([("a", "1", False, 1)], "b")
    for broken in ({}, {"IsTruncated": True}):
        with pytest.raises(StoreError, match="cannot be read"):
            _as_parsed(broken)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"<IsTruncated>false</IsTruncated>", b""),
        (b"<IsTruncated>false", b"<IsTruncated>perhaps"),
        (b"</ListVersionsResult>", b""),
        (b"<Size>1</Size>", b"<Size>one</Size>"),
    ],
)
def test_what_cannot_be_read_is_an_error(service, old, new):
    changed = body_of(service).replace(old, new)
    assert changed != body_of(service)
    with pytest.raises(StoreError, match="cannot be read"):
        parse_history(changed)


@pytest.mark.parametrize(
    ("header", "readable"),
    [
        (None, False),
        ("", False),
        ('ongoing-request="true"', False),
        ('ongoing-request="false", expiry-date="Fri, 21 Dec 2035 00:00:00 GMT"', True),
    ],
)
def test_copies_from_archives(header, readable):
    assert has_readable_copy(header) is readable
