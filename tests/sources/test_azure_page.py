"""Listings, read. The elements are those of https://learn.microsoft.com/rest/api/storageservices/list-blobs."""

import re
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from servers.azure_service import ARROW, Version, arrow_listing, blob_element, name_element, xml_listing

from refscan.errors import StoreError
from refscan.sources.azure.listing import to_page
from refscan.sources.azure.page import _read_regular, parse_page
from refscan.sources.azure.xml import read_listing

XML = "application/xml"
TWO = [Version("a", b"x", "2024-01-01T00:00:00.0000000Z"), Version("b", b"", "2024-01-02T00:00:00.0000000Z")]


def keys_of(page) -> list[str]:
    return page.rows.column("key").to_pylist()


def listing(*versions: Version, marker: str = "") -> bytes:
    return xml_listing("".join(map(blob_element, versions)), marker)


def both(body: bytes):
    """Read a page both ways and return what is the same."""
    regular = _read_regular(body)
    assert regular is not None
    quick, slow = to_page(regular), to_page(read_listing(body))
    assert quick.rows.equals(slow.rows)
    assert quick.stubs.equals(slow.stubs)
    for fact in ("folders", "first", "last", "ascending", "settled", "marker"):
        assert getattr(quick, fact) == getattr(slow, fact), fact
    return quick


class TestColumns:
    def test_every_column(self):
        first, second = both(listing(*TWO, marker="2!92!MDAw")).rows.to_pylist()
        assert first == {
            "key": "a",
            "size": 1,
            "e_tag": "0x8DC704A1B2C3D4E",
            "version_id": "2024-01-01T00:00:00.0000000Z",
            "checksum": "md5:ndTkYSaMgDT1yFZOFVxnpg==",
            "last_modified": datetime(2024, 5, 9, 17, 8, 44, tzinfo=UTC),
            "storage_class": "Hot",
        }
        assert (second["size"], second["checksum"]) == (0, None)

    def test_the_last_page(self):
        page = both(listing(*TWO))
        assert (page.marker, page.first, page.last, page.settled) == (None, "a", "b", "b")

    def test_a_page_without_blobs(self):
        page = parse_page(xml_listing("", "2!4!x"), XML)
        assert (page.rows.num_rows, page.marker, page.first, page.settled) == (0, "2!4!x", None, None)

    def test_an_etag_in_quotes(self):
        body = listing(Version("a", e_tag='"0x1"'))
        assert both(body).rows.column("e_tag").to_pylist() == ["0x1"]

    def test_without_etag_md5_and_tier(self):
        body = re.sub(rb"<(Etag|Content-MD5|AccessTier)>[^<]*</\1>", b"", listing(*TWO))
        for row in both(body).rows.to_pylist():
            assert (row["e_tag"], row["checksum"], row["storage_class"]) == (None, None, None)

    def test_an_etag_missing_in_one_blob_stays_with_its_own(self):
        body = listing(*TWO).replace(b"<Etag>0x8DC704A1B2C3D4E</Etag>", b"", 1)
        assert both(body).rows.column("e_tag").to_pylist() == [None, "0x8DC704A1B2C3D4E"]

    @pytest.mark.parametrize("day", range(1, 29, 9))
    @pytest.mark.parametrize("month", range(1, 13))
    def test_dates_of_http(self, day, month):
        names = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        when = datetime(1999, month, day, 23, 0, month, tzinfo=UTC)
        text = f"{when:%a}, {day:02} {names[month - 1]} 1999 23:00:{month:02} GMT"
        body = listing(*TWO).replace(
            b"<Last-Modified>Thu, 09 May 2024 17:08:44 GMT", b"<Last-Modified>" + text.encode()
        )
        assert both(body).rows.column("last_modified").to_pylist() == [when, when]

    def test_a_date_of_another_form(self):
        body = listing(*TWO).replace(b"d>Thu, 09 May 2024 17:08:44 GMT", b"d>9 May 2024 17:08:44 +0000", 1)
        assert both(body).rows.column("last_modified").to_pylist() == [datetime(2024, 5, 9, 17, 8, 44, tzinfo=UTC)] * 2

    def test_names_that_xml_cannot_hold_come_encoded(self):
        names = ["a%41", "b\x01 é", "c\uffff/d"]
        body = listing(*map(Version, names))
        assert body.count(b"Encoded") == 2
        assert keys_of(both(body)) == names

    def test_an_encoded_name_that_is_not_utf8(self):
        body = listing(Version("a\x01")).replace(b"a%01", b"a%FF")
        with pytest.raises(StoreError, match="cannot be read"):
            parse_page(body, XML)


class TestVersions:
    def test_only_current_ones_stay(self):
        versions = [Version("a", version_id="1", current=False), Version("a", version_id="2"), Version("b")]
        page = both(listing(*versions))
        assert list(zip(keys_of(page), page.rows.column("version_id").to_pylist(), strict=True)) == [
            ("a", "2"),
            ("b", None),
        ]

    def test_a_deleted_blob_has_no_current_version(self):
        page = both(listing(Version("a", version_id="1", current=False), Version("b", version_id="2")))
        assert keys_of(page) == ["b"]
        assert page.first == "a"

    def test_false_is_said_too(self):
        body = listing(*TWO).replace(b"<IsCurrentVersion>true", b"<IsCurrentVersion>false", 1)
        assert keys_of(both(body)) == ["b"]

    def test_a_deleted_blob_that_is_listed_all_the_same(self):
        body = listing(Version("a"), Version("b")).replace(b"<Properties>", b"<Deleted>true</Deleted><Properties>", 1)
        assert keys_of(both(body)) == ["b"]

    @pytest.mark.parametrize(
        ("versions", "settled"),
        [
            ([("a", True), ("b", True)], "b"),
            ([("a", True), ("b", False)], "a"),
            ([("a", True), ("b", False), ("b", False)], "a"),
            ([("a", False), ("b", False), ("b", True)], "b"),
            ([("a", False), ("b", True), ("b", False)], "b"),
            ([("a", False), ("b", False)], "a"),
            ([("a", False), ("a", False)], None),
        ],
    )
    def test_the_last_key_is_settled_once_its_current_version_was_seen(self, versions, settled):
        body = listing(*(Version(name, version_id="1", current=current) for name, current in versions), marker="m")
        assert both(body).settled == settled


class TestFolders:
    @pytest.mark.parametrize("name", ["hdi_isfolder", "Hdi_isfolder", "hdi_ISFOLDER"])
    def test_stubs_are_left_out_and_named(self, name):
        stub = Version("dir", metadata={"owner": "x", name: "true"})
        page = both(listing(Version("a"), stub, Version("dir/b", metadata={name: "false"})))
        assert (keys_of(page), page.stubs.to_pylist(), page.settled) == (["a", "dir/b"], ["dir"], "dir/b")

    def test_directories_are_left_out_and_named(self):
        page = both(listing(Version("dir", resource_type="directory"), Version("dir/a", resource_type="file")))
        assert (keys_of(page), page.stubs.to_pylist()) == (["dir/a"], ["dir"])

    def test_a_stub_that_was_deleted_is_not_named(self):
        stub = Version("dir", version_id="1", current=False, metadata={"hdi_isfolder": "true"})
        page = both(listing(stub, Version("e", version_id="2")))
        assert (keys_of(page), page.stubs.to_pylist()) == (["e"], [])

    def test_prefixes_stand_between_blobs(self):
        names = ["a/", "c&d/", "e\x01/"]
        inside = "".join(f"<BlobPrefix>{name_element(name)}</BlobPrefix>" for name in names)
        page = both(xml_listing(blob_element(Version("0")) + inside + blob_element(Version("z"))))
        assert (page.folders, keys_of(page)) == (names, ["0", "z"])

    def test_prefixes_with_properties(self):
        prefix = "<BlobPrefix><Name>a/</Name><Properties><Etag>0x1</Etag></Properties></BlobPrefix>"
        page = both(xml_listing(prefix + blob_element(Version("z"))))
        assert (page.folders, page.rows.column("e_tag").to_pylist()) == (["a/"], ["0x8DC704A1B2C3D4E"])

    def test_a_prefix_of_another_form_is_not_lost(self):
        prefix = "<BlobPrefix><Properties /><Name>a/</Name></BlobPrefix>"
        assert parse_page(xml_listing(prefix + blob_element(Version("z"))), XML).folders == ["a/"]


class TestOddPages:
    def test_other_orders_of_the_properties(self):
        body = re.sub(
            rb"(<Last-Modified>.*?</Last-Modified>)(<Etag>.*?</Etag>)(<Content-Length>.*?</Content-Length>)",
            rb"\3\1\2",
            listing(*TWO),
        )
        assert both(body).rows.column("size").to_pylist() == [1, 0]

    def test_an_order_that_changes_within_the_page(self):
        body = re.sub(rb"(<Last-Modified>.*?</Last-Modified>)(<Etag>.*?</Etag>)", rb"\2\1", listing(*TWO), count=1)
        assert _read_regular(body) is None
        assert parse_page(body, XML).rows.equals(both(listing(*TWO)).rows)

    def test_elements_nobody_has_heard_of(self):
        body = listing(*TWO).replace(b"<BlobType>", b"<New>1</New><Newer /><BlobType>", 1)
        body = body.replace(b"<OrMetadata />", b"<Tags><TagSet><Tag><Key>k</Key></Tag></TagSet></Tags>")
        assert both(body).rows.equals(both(listing(*TWO)).rows)

    @pytest.mark.parametrize("end", ["\n", "\r\n"])
    def test_white_space_between_elements(self, end):
        body = listing(*TWO, marker="m").replace(b"><", b">" + end.encode() + b"  <")
        page = parse_page(body, XML)
        assert page.rows.equals(both(listing(*TWO)).rows)
        assert page.marker == "m"

    @pytest.mark.parametrize(
        "hidden",
        [
            "<!-- " + blob_element(Version("no")) + " -->",
            "<?x " + blob_element(Version("no")) + " ?>",
        ],
    )
    def test_what_is_commented_out_is_not_there(self, hidden):
        body = xml_listing(blob_element(Version("a")) + hidden + blob_element(Version("b")))
        assert keys_of(parse_page(body, XML)) == ["a", "b"]

    def test_a_section_of_text(self):
        body = listing(*TWO).replace(b"<Name>a<", b"<Name><![CDATA[<Blob>&]]><")
        assert keys_of(parse_page(body, XML)) == ["<Blob>&", "b"]

    def test_metadata_named_like_elements(self):
        odd = Version("a", metadata={"Blob": "x", "Name": "y", "Etag": "z", "NextMarker": "n"})
        page = parse_page(listing(odd, Version("b")), XML)
        assert (keys_of(page), page.marker) == (["a", "b"], None)
        assert page.rows.column("e_tag").to_pylist() == ["0x8DC704A1B2C3D4E"] * 2

    def test_without_xml_declaration(self):
        body = re.sub(rb"^\xef\xbb\xbf<\?xml.*?\?>", b"", listing(*TWO))
        assert parse_page(body, XML).rows.equals(both(listing(*TWO)).rows)

    def test_another_encoding(self):
        text = listing(Version("\xe9")).decode("utf-8-sig").replace("utf-8", "iso-8859-1")
        assert keys_of(parse_page(text.encode("latin-1"), XML)) == ["\xe9"]

    @pytest.mark.parametrize("length", [1, 2, 3])
    def test_a_document_type_is_refused(self, length):
        entities = "".join(f"<!ENTITY e{n} '&e{n - 1};&e{n - 1};'>" for n in range(1, length))
        doctype = f"<!DOCTYPE EnumerationResults [<!ENTITY e0 'x'>{entities}]>".encode()
        body = listing(*TWO).replace(b"?><Enum", b"?>" + doctype + b"<Enum").replace(b"<Name>a", b"<Name>&e0;")
        with pytest.raises(StoreError, match="document type"):
            parse_page(body, XML)

    @given(cut=st.integers(0, len(listing(*TWO)) - 1))
    def test_a_body_cut_off_anywhere_is_refused(self, cut):
        with pytest.raises(StoreError, match="cannot be read"):
            parse_page(listing(*TWO)[:cut], XML)

    @pytest.mark.parametrize(
        "body",
        [
            b"<html><body>Sign in</body></html>",
            b"<Error><Code>x</Code></Error>",
            b'{"error": 1}',
            xml_listing("<Blob><Properties /></Blob>"),
            listing(*TWO).replace(b"<Content-Length>1", b"<Content-Length>one"),
            listing(*TWO).replace(b"<Name>a", b"<Name>&nbsp;"),
            listing(*TWO).replace(b"<Name>a", b"<Name>\xff"),
            listing(*TWO).replace(b"d>Thu, 09 May 2024 17:08:44 GMT", b"d>Thu, 09 Mai 2024 17:08:44 GMT"),
            listing(*TWO).replace(b"d>Thu, 09 May 2024 17:08:44 GMT", b"d>yesterday"),
        ],
    )
    def test_what_cannot_be_read_says_so_in_one_line(self, body):
        with pytest.raises(StoreError, match="cannot be read") as caught:
            parse_page(body, XML)
        assert "\n" not in str(caught.value)


TEXTS = st.text(st.characters(exclude_characters="\r", exclude_categories=["Cs"]), min_size=1, max_size=8)
MARKS = st.text(st.characters(codec="ascii", min_codepoint=32), max_size=12).map(str.strip)


@st.composite
def blobs(draw):
    versioned = draw(st.booleans())
    return Version(
        draw(TEXTS),
        draw(st.binary(max_size=3)),
        draw(st.sampled_from(["2024-01-01T00:00:00.0000000Z", "v<&>"])) if versioned else None,
        current=draw(st.booleans()) if versioned else True,
        metadata=draw(st.dictionaries(st.sampled_from(["a", "hdi_isfolder", "Etag"]), st.sampled_from(["true", "<&"]))),
        resource_type=draw(st.sampled_from([None, None, "file", "directory"])),
        e_tag=draw(st.sampled_from([None, "0x1", '"0x1"'])),
    )


@given(st.lists(blobs(), max_size=8), MARKS)
def test_the_expression_reads_what_the_parser_reads(versions, marker):
    body = listing(*versions, marker=marker)
    slow = to_page(read_listing(body))
    assert slow.last == (versions[-1].name if versions else None)
    regular = _read_regular(body)
    if versions:
        assert regular is not None
        page = both(body)
        assert page.marker == (marker or None)


@given(st.lists(blobs(), max_size=8), MARKS)
def test_arrow_says_what_xml_says(versions, marker):
    quick = parse_page(arrow_listing(versions, marker), ARROW)
    slow = parse_page(listing(*versions, marker=marker), XML)
    for column in ("key", "size", "version_id", "checksum", "last_modified", "storage_class", "e_tag"):
        assert quick.rows.column(column).equals(slow.rows.column(column)), column
    assert quick.stubs.equals(slow.stubs)
    assert (quick.settled, quick.marker, quick.first) == (slow.settled, slow.marker, slow.first)


class TestArrow:
    def test_prefixes(self):
        page = parse_page(arrow_listing([Version("a")], prefixes=("d/", "e/")), ARROW)
        assert (keys_of(page), page.folders) == (["a"], ["d/", "e/"])

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"no arrow",
            arrow_listing(TWO)[:-300],
            listing(*TWO),
        ],
    )
    def test_what_cannot_be_read_says_so(self, body):
        with pytest.raises(StoreError, match="cannot be read"):
            parse_page(body, ARROW)

    def test_a_column_too_few(self):
        table = pa.table({"Name": ["a"], "Etag": ["x"], "Last-Modified": [datetime.now(UTC)]})
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        with pytest.raises(StoreError, match="Content-Length"):
            parse_page(sink.getvalue().to_pybytes(), ARROW)
