"""Pages of listings, read as botocore itself reads them."""

import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from itertools import cycle, islice
from urllib.parse import quote, quote_plus, unquote_plus
from xml.sax.saxutils import escape

import boto3
import pytest
from botocore.parsers import create_parser
from hypothesis import given, settings
from hypothesis import strategies as st

from refscan.errors import StoreError
from refscan.sources.s3.page import page_of, parse_page
from refscan.sources.s3.quick import read_at_once
from refscan.sources.source import PAGE_SCHEMA

NAMESPACE = ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>'


@dataclass(frozen=True)
class Dialect:
    """How a store writes its listings."""

    order: tuple[str, ...]
    declaration: str = DECLARATION + "\n"
    attributes: str = NAMESPACE
    space: str = ""
    marks_first: bool = True
    encoding: str | None = "url"
    encode: object = quote
    quotes: str = "&quot;"
    extras: dict[str, str] = field(default_factory=dict)
    empty: str = "<{}/>"


_OWNER = "<ID>75aa57f09aa0c8</ID><DisplayName>web&amp;file</DisplayName>"
AWS = Dialect(
    ("Key", "VersionId", "IsLatest", "LastModified", "ETag", "ChecksumAlgorithm", "Size", "StorageClass", "Owner"),
    extras={"Owner": _OWNER, "ChecksumAlgorithm": "CRC64NVME"},
)
MINIO = Dialect(
    ("Key", "LastModified", "ETag", "Size", "Owner", "StorageClass", "UserMetadata", "IsLatest", "VersionId"),
    declaration=DECLARATION + "\n",
    quotes="&#34;",
    extras={"Owner": _OWNER, "UserMetadata": "<Items><Size>9</Size></Items>"},
    encode=quote_plus,
)
NESTED = replace(
    MINIO, extras={"Owner": _OWNER, "UserMetadata": "<Key>x</Key><Version>1</Version><Contents>2</Contents>"}
)
MOTO = Dialect(
    ("Key", "VersionId", "IsLatest", "LastModified", "ETag", "Size", "StorageClass", "Owner"),
    declaration='<?xml version="1.0" encoding="utf-8"?>\n',
    space="\n    ",
    marks_first=False,
    encoding=None,
    quotes='"',
    extras={"Owner": "\n      <ID>1</ID>\n      <DisplayName/>\n"},
    empty="<{}></{}>",
)
BARE = Dialect(("Size", "ETag", "LastModified", "Key", "IsLatest"), declaration="", attributes="", empty="<{} />")
DIALECTS = {"aws": AWS, "minio": MINIO, "moto": MOTO, "bare": BARE}
ALL_DIALECTS = [*DIALECTS.values(), NESTED]


@dataclass(frozen=True)
class Entry:
    """One object, version or delete marker; texts as they are meant, ``None`` for no such element."""

    key: str
    deleted: bool = False
    IsLatest: str | None = "true"
    VersionId: str | None = "v1"
    LastModified: str | None = "2009-10-12T17:50:30.000Z"
    ETag: str | None = "fba9dede5f27731c9771645a39863328"
    Size: str | None = "434234"
    StorageClass: str | None = "STANDARD"
    without: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Written:
    """A page: what it says, and in which words."""

    entries: tuple[Entry, ...]
    versions: bool
    dialect: Dialect
    truncated: bool = False
    next_key: str | None = None
    token: str | None = None

    @property
    def operation(self) -> str:
        return "ListObjectVersions" if self.versions else "ListObjectsV2"

    @property
    def body(self) -> bytes:
        dialect, space = self.dialect, self.dialect.space
        marks = f"<Name>bucket</Name>{space}<Prefix/>{space}<MaxKeys>1000</MaxKeys>{space}"
        marks += f"<IsTruncated>{str(self.truncated).lower()}</IsTruncated>{space}"
        if dialect.encoding:
            marks += f"<EncodingType>{dialect.encoding}</EncodingType>{space}"
        if self.next_key is not None:
            marks += f"<NextKeyMarker>{_key(self.next_key, dialect)}</NextKeyMarker>{space}"
        if self.token is not None:
            marks += f"<NextContinuationToken>{escape(self.token)}</NextContinuationToken>{space}"
        entries = "".join(_entry(entry, dialect, versions=self.versions) + space for entry in self.entries)
        root = "ListVersionsResult" if self.versions else "ListBucketResult"
        inside = marks + entries if dialect.marks_first else entries + marks
        return f"{dialect.declaration}<{root}{dialect.attributes}>{space}{inside}</{root}>".encode()


def _key(key: str, dialect: Dialect) -> str:
    if dialect.encoding == "url":
        return escape(dialect.encode(key))
    return escape(key).replace("\r", "&#13;")


def _entry(entry: Entry, dialect: Dialect, *, versions: bool) -> str:
    tag = "DeleteMarker" if entry.deleted else "Version" if versions else "Contents"
    children = []
    for name in dialect.order:
        if name in entry.without or (name in ("VersionId", "IsLatest") and not versions):
            continue
        if name in dialect.extras:
            children.append(f"<{name}>{dialect.extras[name]}</{name}>")
            continue
        if entry.deleted and name in ("Size", "ETag", "StorageClass"):
            continue
        text = entry.key if name == "Key" else getattr(entry, name)
        if text is None:
            continue
        if name == "Key":
            text = _key(text, dialect)
        elif name == "ETag":
            text = f"{dialect.quotes}{text}{dialect.quotes}"
        else:
            text = escape(text)
        children.append(f"<{name}>{text}</{name}>" if text else dialect.empty.format(name, name))
    return f"<{tag}>{dialect.space}" + "".join(child + dialect.space for child in children) + f"</{tag}>"


@cache
def _shapes():
    client = boto3.client("s3", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    try:
        return client.meta.service_model
    finally:
        client.close()


def read_by_botocore(written: Written) -> dict:
    shape = _shapes().operation_model(written.operation).output_shape
    parsed = create_parser("rest-xml").parse({"body": written.body, "status_code": 200, "headers": {}}, shape)
    if parsed.get("EncodingType") == "url":
        for entry in (*parsed.get("Versions", ()), *parsed.get("Contents", ())):
            entry["Key"] = unquote_plus(entry["Key"])
        if "NextKeyMarker" in parsed:
            parsed["NextKeyMarker"] = unquote_plus(parsed["NextKeyMarker"])
    return parsed


def rows_of_botocore(parsed: dict) -> list[tuple]:
    return [
        (
            entry["Key"],
            entry.get("Size"),
            entry.get("ETag", "").strip('"') or None,
            entry.get("VersionId") or None,
            entry.get("LastModified"),
            entry.get("StorageClass") or None,
        )
        for entry in (*parsed.get("Versions", ()), *parsed.get("Contents", ()))
        if entry.get("IsLatest", True)
    ]


def rows_of(page) -> list[tuple]:
    assert page.rows.schema == PAGE_SCHEMA
    names = ("key", "size", "e_tag", "version_id", "last_modified", "storage_class")
    assert page.rows.column("checksum").null_count == page.rows.num_rows
    return [tuple(row[name] for name in names) for row in page.rows.to_pylist()]


def check(written: Written) -> None:
    parsed = read_by_botocore(written)
    page = parse_page(written.body)
    assert rows_of(page) == rows_of_botocore(parsed)
    assert page.truncated == parsed["IsTruncated"] == written.truncated
    assert page.token == parsed.get("NextContinuationToken")
    if not written.truncated:
        assert page.next_key is None
    elif written.next_key is not None:
        assert page.next_key == parsed["NextKeyMarker"] == written.next_key
    else:
        assert page.next_key == (written.entries[-1].key if written.entries else None)
    # Pages that are not listings at first sight are read by the SDK, and taken from there.
    assert rows_of(page_of(parsed)) == rows_of(page)


# XML 1.0 has no place for other control characters, nor for these two.
XML_TEXT = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], include_characters="\t\n\r", exclude_characters="\ufffe\uffff")
)
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]))
PIECES = st.sampled_from(
    ["a", "/", " ", "+", "%", "%2F", "&", "&amp;", "<", ">", '"', "]]>", "é", "\U0001f600", "</Key>"]
)
TIMES = st.sampled_from(
    [
        "2009-10-12T17:50:30.000Z",
        "2024-02-29T23:59:59.999Z",
        "2024-02-29T23:59:59Z",
        "2024-01-01T00:00:00.123456Z",
        "2024-01-01T00:00:00.123456789Z",
        "2024-01-01T00:00:00+00:00",
        "2024-01-01T02:00:00.5+02:00",
        "1969-12-31T23:59:59.000Z",
        "2023-11-05T08:15:30.1Z",
    ]
)


@st.composite
def pages(draw):
    dialect = draw(st.sampled_from(ALL_DIALECTS))
    dialect = replace(
        dialect,
        order=tuple(draw(st.permutations(dialect.order))) if draw(st.booleans()) else dialect.order,
        space=draw(st.sampled_from(["", "\n", "\n\t  ", " "])),
        marks_first=draw(st.booleans()),
        quotes=draw(st.sampled_from(["&quot;", '"', "&#34;", "&#x22;", ""])),
        empty=draw(st.sampled_from(["<{}/>", "<{} />", "<{}></{}>"])),
        declaration=draw(st.sampled_from(["", DECLARATION, DECLARATION + "\r\n"])),
        encoding=draw(st.sampled_from(["url", None])),
        encode=draw(st.sampled_from([quote, quote_plus, lambda key: quote(key, safe="/+~*")])),
    )
    keys = st.one_of(ANY_TEXT if dialect.encoding else XML_TEXT, st.lists(PIECES).map("".join)).filter(bool)
    if dialect.encode not in (quote, quote_plus):
        keys = keys.filter(lambda key: "+" not in key)  # what it writes for "+" means a space
    versions = draw(st.booleans())
    entries = st.builds(
        Entry,
        key=keys,
        deleted=st.booleans() if versions else st.just(False),
        IsLatest=st.sampled_from(["true", "true", "false"]),
        VersionId=st.sampled_from(["null", "3HL4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY+MTRCxf3vjVBH40Nr8X8gdRQBpUMLUo", ""]),
        LastModified=TIMES,
        ETag=st.sampled_from(["d41d8cd98f00b204e9800998ecf8427e", "d41d8cd98f00b204e9800998ecf8427e-12", ""]),
        Size=st.integers(0, 1 << 62).map(str),
        StorageClass=st.sampled_from(["STANDARD", "GLACIER", "", None]),
        without=st.frozensets(
            st.sampled_from(["ETag", "StorageClass", "Owner", "VersionId", "LastModified", "Size"]), max_size=2
        )
        if draw(st.booleans())
        else st.just(frozenset()),
    )
    found = tuple(draw(st.lists(entries, max_size=8)))
    next_key = draw(st.none() | keys) if versions else None
    token = (
        draw(st.none() | st.sampled_from(["1ueGcxLPRx1Tr/XYExHnhbYLgveDs2J/wm36Hy4vbOwM=", "a&b<c"]))
        if not versions
        else None
    )
    truncated = draw(st.booleans()) if found or next_key else False
    return Written(found, versions, dialect, truncated, next_key, token)


@settings(max_examples=500)
@given(pages())
def test_any_page_is_read_as_botocore_reads_it(written):
    check(written)


def _many(dialect: Dialect, *, versions: bool, deleted: bool = False, count: int = 30) -> Written:
    kinds = islice(cycle([(False, "true"), (False, "false"), (deleted, "true")]), count)
    entries = tuple(
        Entry(f"dir {number}/é&\U0001f600", deleted=gone, IsLatest=latest if versions else None, Size=str(number))
        for number, (gone, latest) in enumerate(kinds)
    )
    next_key = entries[-1].key if versions else None
    return Written(entries, versions, dialect, True, next_key, None if versions else "token")


@pytest.mark.parametrize("name", DIALECTS)
@pytest.mark.parametrize(("versions", "deleted"), [(True, True), (True, False), (False, False)])
class TestRegularPages:
    def test_they_are_read_as_botocore_reads_them(self, name, versions, deleted):
        check(_many(DIALECTS[name], versions=versions, deleted=deleted))

    def test_they_take_the_fast_way(self, name, versions, deleted):
        assert read_at_once(_many(DIALECTS[name], versions=versions, deleted=deleted).body) is not None

    def test_an_odd_entry_among_them_is_not_lost(self, name, versions, deleted):
        written = _many(DIALECTS[name], versions=versions, deleted=deleted)
        plain = written.body
        tag = b"Version" if versions else b"Contents"
        second = plain.index(b"<" + tag + b">", plain.index(b"</" + tag + b">"))
        end = second + len(tag) + 2
        for odd in (b"<" + tag + b' kind="odd">', b"<" + tag + b" >", b"<" + tag + b"\n>", b"<" + tag + b"><Odd/>"):
            body = plain[:second] + odd + plain[end:]
            assert parse_page(body) == parse_page(plain), odd

    def test_an_entry_without_a_key_is_not_passed_over(self, name, versions, deleted):
        plain = _many(DIALECTS[name], versions=versions, deleted=deleted).body
        second = re.search(rb"<Key>dir(%20| |\+)1(/|%2F)[^<]*</Key>", plain)[0]
        with pytest.raises(StoreError, match="has no key"):
            parse_page(plain.replace(second, b"<NoKey/>", 1))

    def test_comments_and_sections_are_no_entries(self, name, versions, deleted):
        plain = _many(DIALECTS[name], versions=versions, deleted=deleted).body
        tag = b"Version" if versions else b"Contents"
        first, behind = plain.index(b"<" + tag + b">"), plain.index(b"</" + tag + b">") + len(tag) + 3
        entry = plain[first:behind]
        for odd in (b"<!--" + entry.replace(b"--", b"") + b"-->", b"<Odd><![CDATA[" + entry + b"]]></Odd>"):
            for place in (first, behind):
                body = plain[:place] + odd + plain[place:]
                assert parse_page(body) == parse_page(plain)

    def test_a_key_in_a_section_is_a_key(self, name, versions, deleted):
        plain = _many(DIALECTS[name], versions=versions, deleted=deleted).body
        key = re.search(rb"<Key>([^<&]+?) ?[^<]*</Key>", plain)[0]
        body = plain.replace(key, b"<Key><![CDATA[a&b<c]]></Key>", 1)
        assert parse_page(body).rows.column("key")[0].as_py() == "a&b<c"


class TestRefusals:
    PAGES = (
        _many(AWS, versions=True, deleted=True, count=4),
        _many(MOTO, versions=True, deleted=True, count=4),
        _many(AWS, versions=False, count=2),
        _many(BARE, versions=False, count=2),
        Written((), True, AWS),
        Written((Entry("only", deleted=True),), True, MOTO),
    )

    @pytest.mark.parametrize("written", PAGES)
    def test_a_body_that_was_cut_anywhere(self, written):
        whole = written.body.rstrip()
        parse_page(whole)
        for length in range(len(whole)):
            with pytest.raises(StoreError, match="cannot be read"):
                parse_page(whole[:length])

    @pytest.mark.parametrize("written", PAGES)
    @pytest.mark.parametrize(
        "subset",
        [
            "",
            ' SYSTEM "http://127.0.0.1:9/x.dtd"',
            ' [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]',
            ' [<!ENTITY x SYSTEM "file:///etc/passwd">]',
        ],
    )
    def test_document_types(self, written, subset):
        root = "ListVersionsResult" if written.versions else "ListBucketResult"
        body = written.body.replace(f"<{root}".encode(), f"<!DOCTYPE {root}{subset}><{root}".encode(), 1)
        with pytest.raises(StoreError, match="document type"):
            parse_page(body)

    def test_entities_that_nobody_defined(self):
        for written in self.PAGES[:4]:
            body = written.body.replace(b"</Key>", b"&unknown;</Key>", 1)
            with pytest.raises(StoreError, match="entity"):
                parse_page(body)

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"not a listing",
            b"<html><body>Sign in</body></html>",
            b"<Error><Code>SlowDown</Code></Error>",
            b"<ListBucketResult></ListBucketResult>",
            b"<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Size>1</Size></Contents></ListBucketResult>",
            b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult><x/>",
            b"\xff\xfe",
        ],
    )
    def test_what_is_no_listing(self, body):
        with pytest.raises(StoreError, match="cannot be read") as caught:
            parse_page(body)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        ("name", "text"), [("Size", "many"), ("Size", "1e3"), ("LastModified", "yesterday"), ("Key", "%FF")]
    )
    def test_values_that_make_no_sense(self, name, text):
        body = re.sub(f"<{name}>[^<]*<".encode(), f"<{name}>{text}<".encode(), self.PAGES[0].body, count=1)
        with pytest.raises(StoreError, match="cannot be read"):
            parse_page(body)

    @pytest.mark.parametrize("versions", [True, False])
    def test_more_without_a_way_to_it(self, versions):
        body = Written((), versions, AWS, truncated=True).body
        with pytest.raises(StoreError, match="cannot be read"):
            parse_page(body)
        with pytest.raises(StoreError, match="cannot be read"):
            page_of({"IsTruncated": True})


def test_times_without_a_zone_are_universal():
    body = Written((Entry("a", LastModified="2024-01-01T00:00:00"), Entry("b", LastModified="")), False, AWS).body
    assert parse_page(body).rows.column("last_modified").to_pylist() == [datetime(2024, 1, 1, tzinfo=UTC), None]


class TestControlCharacters:
    """XML 1.0 cannot hold them, but stores that do not encode keys send them, and a key is a key."""

    @pytest.mark.parametrize("written_as", ["\x01", "&#1;", "&#x1;", "&#x01;"])
    @pytest.mark.parametrize("versions", [True, False])
    def test_they_are_read(self, written_as, versions):
        body = Written((Entry("aKEYb"), Entry("c")), versions, replace(AWS, encoding=None)).body
        page = parse_page(body.replace(b"KEY", written_as.encode()))
        assert page.rows.column("key").to_pylist() == ["a\x01b", "c"]
