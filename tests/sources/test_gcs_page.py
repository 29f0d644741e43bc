"""Bodies of ``objects.list`` (https://cloud.google.com/storage/docs/json_api/v1/objects/list) as columns."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refscan.errors import StoreError
from refscan.sources.gcs.page import parse_object, parse_page
from refscan.sources.source import PAGE_SCHEMA

ITEM = {
    "name": "dir/file",
    "size": "12",
    "generation": "1700000000000001",
    "etag": "CIGA+/+/",
    "md5Hash": "CY9rzUYh03PK3k6DJie09g==",
    "crc32c": "AAAAAA==",
    "updated": "2024-01-02T03:04:05.678Z",
    "storageClass": "NEARLINE",
}
TEXT = st.text(st.characters(exclude_categories=["Cs"]))


def body(*items, token=None, **options) -> bytes:
    answer = {"kind": "storage#objects", "items": list(items)} | ({"nextPageToken": token} if token else {})
    return json.dumps(answer, **options).encode()


def rows(*items, **options):
    return parse_page(body(*items, **options)).rows.to_pylist()


@pytest.mark.parametrize("options", [{}, {"indent": 1}, {"separators": (",", ":")}, {"ensure_ascii": False}])
def test_an_object_becomes_a_row(options):
    (row,) = rows(ITEM, **options)
    assert row.pop("last_modified").isoformat() == "2024-01-02T03:04:05.678000+00:00"
    assert row == {
        "key": "dir/file",
        "size": 12,
        "e_tag": "CIGA+/+/",
        "version_id": "1700000000000001",
        "checksum": "md5:CY9rzUYh03PK3k6DJie09g==",
        "storage_class": "NEARLINE",
    }


@given(names=st.lists(TEXT, unique=True), token=st.one_of(st.none(), TEXT.filter(bool)), ascii_only=st.booleans())
def test_names_are_kept_to_the_byte(names, token, ascii_only):
    page = parse_page(body(*({"name": name} for name in names), token=token, ensure_ascii=ascii_only))
    assert page.rows.schema == PAGE_SCHEMA
    assert page.rows.column("key").to_pylist() == names
    assert page.token == token


def test_what_is_not_told_is_null():
    (row,) = rows({"name": "a"})
    assert row == {"key": "a"} | dict.fromkeys(name for name in PAGE_SCHEMA.names if name != "key")


def test_a_composed_object_has_its_other_checksum():
    (row,) = rows({key: value for key, value in ITEM.items() if key != "md5Hash"})
    assert row["checksum"] == "crc32c:AAAAAA=="


@pytest.mark.parametrize(
    ("time", "microsecond"),
    [("2024-01-02T03:04:05Z", 0), ("2024-01-02T03:04:05.123456Z", 123456), ("2024-01-02T03:04:05.123456789Z", 123456)],
)
def test_times_of_any_precision(time, microsecond):
    (row,) = rows(ITEM | {"updated": time})
    assert row["last_modified"].microsecond == microsecond


def test_numbers_where_google_has_texts():
    assert rows(ITEM | {"size": 12, "generation": 5}) == rows(ITEM | {"size": "12", "generation": "5"})


def test_members_that_are_not_asked_for_are_passed_over():
    assert rows(ITEM | {"acl": [{"entity": "x"}], "metadata": {"size": "no"}}) == rows(ITEM)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b"[]",
        b"<html>not here</html>",
        b'{"kind":"storage#bucket"}',
        b'{"kind":"storage#objects","items":[{"name":"a"}',
        b'{"kind":"storage#objects","items":[{"size":"1"}]}',
        b'{"kind":"storage#objects","items":[{"name":"a","size":"many"}]}',
        b'{"kind":"storage#objects","items":[{"name":"a","updated":"yesterday"}]}',
        b'{"kind":"storage#objects"}{"kind":"storage#objects"}',
        b'{"kind":"storage#objects","items":[{"name":"a\xff"}]}',
        b'{"kind":"storage#objects","items":[{"name":"\\ud83d"}]}',
        b'{"kind":"storage#objects","items":{"name":"a"}}',
    ],
)
def test_what_is_no_listing_is_an_error(text):
    with pytest.raises(StoreError, match="cannot be read"):
        parse_page(text)


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"size":"1"}', b"<html>"])
def test_what_is_no_object_is_an_error(text):
    with pytest.raises(StoreError, match="cannot be read"):
        parse_object(text)


def test_one_object_reads_as_in_a_listing():
    assert parse_object(json.dumps(ITEM).encode()).to_pylist() == rows(ITEM)
