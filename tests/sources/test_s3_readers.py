"""The readers of listings against each other and against plain Python: by columns, as a grid, by the XML parser."""

import re
from dataclasses import replace
from datetime import UTC
from urllib.parse import quote, unquote_plus
from xml.sax.saxutils import escape

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from test_s3_page import AWS, DIALECTS, Entry, Written, pages, read_by_botocore, rows_of, rows_of_botocore

from refscan.errors import StoreError
from refscan.sources.cut import cut, scatter
from refscan.sources.s3.digits import read_numbers
from refscan.sources.s3.grid import read_grid
from refscan.sources.s3.listing import frame_of
from refscan.sources.s3.page import parse_page
from refscan.sources.s3.scattered import read_scattered
from refscan.sources.s3.unescape import has_only_known_escapes, unescape, unquote
from refscan.sources.s3.xml import read_listing

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
ESCAPES = st.lists(
    st.sampled_from(
        ["&amp;", "&lt;", "&gt;", "&quot;", "&apos;", "&#34;", "&#39;", "&#x41;", "&#66;", "#34;", "lt;", "x", "é", ";"]
    )
).map("".join)
QUOTED = st.lists(
    st.sampled_from(["%", "%2", "%41", "%2f", "%25", "+", "%C3%A9", "%f0%9f%98%80", "é", "a", "0", "2B", "%%", "%zz"])
).map("".join)
# Bytes that mean something in a listing.
SCRAPS = st.sampled_from(
    b'< > / & ; % + " <Key> </Key> <Key/> </Contents> <Contents> <Version> <DeleteMarker> true false x 0 ]]> <!----> '
    b"\xc3 e \n".split(b" ")
)


def as_lists(listing):
    columns = {name: column.to_pylist() for name, column in listing.columns.items()}
    # Sizes may be numbers already, written so or with zeros before them.
    sizes = [f"{int(size)}" if size is not None and str(size).isdecimal() else size for size in columns.get("Size", [])]
    columns["Size"] = sizes
    # Quotes may be left out with the rest, or later.
    columns["ETag"] = [(text and text.strip('"')) or None for text in columns.get("ETag", [])]
    return {name: texts for name, texts in columns.items() if texts}, listing.marks, listing.last_key


def is_same(one, other) -> bool:
    (columns, *rest), (others, *other_rest) = as_lists(one), as_lists(other)
    count = max(map(len, [*columns.values(), *others.values()]), default=0)
    names = {*columns, *others}
    missing = [None] * count
    return all(columns.get(name, missing) == others.get(name, missing) for name in names) and rest == other_rest


@given(pages())
def test_all_readers_read_the_same(written):
    frame = frame_of(written.body)
    assume(frame is not None)
    by_parser = read_listing(written.body)
    for read in (read_grid, read_scattered):
        found = read(written.body, frame)
        assert found is None or is_same(found, by_parser)


def page(entries, *, versions=True, dialect=AWS) -> bytes:
    return Written(tuple(entries), versions, dialect).body


UNLIKE = {
    "missing fields": page(Entry(f"k{n}", without=frozenset(["Size", "ETag"][: n % 3])) for n in range(9)),
    "delete markers": page(Entry(f"k{n}", deleted=n % 2 == 0) for n in range(9)),
    "delete markers only": page(Entry(f"k{n}", deleted=True) for n in range(9)),
    "no checksums here and there": page(
        (Entry(f"k{n}", without=frozenset(["ChecksumAlgorithm", "Owner"][: n % 3])) for n in range(9)), versions=False
    ),
    "empty fields": page(Entry(f"k{n}", StorageClass="" if n % 2 else "GLACIER") for n in range(9)),
    "restored objects": page((Entry(f"k{n}") for n in range(9)), versions=False).replace(
        b"</Contents>", b"<RestoreStatus><IsRestoreInProgress>true</IsRestoreInProgress></RestoreStatus></Contents>", 4
    ),
    "orders": page((Entry(f"k{n}") for n in range(4)), versions=False).replace(
        b"</IsTruncated>",
        b"</IsTruncated><Contents><Size>1</Size><Key>k</Key></Contents><Contents><Key>l</Key><Size>2</Size></Contents>",
    ),
    "folders too": page((Entry(f"k{n}") for n in range(4)), versions=False).replace(
        b"</IsTruncated>", b"</IsTruncated><CommonPrefixes><Prefix>Key/</Prefix></CommonPrefixes>"
    ),
}


@pytest.mark.parametrize("name", UNLIKE)
def test_entries_that_are_unlike_need_no_parser(name):
    body = UNLIKE[name]
    found = read_scattered(body, frame_of(body))
    assert found is not None
    assert is_same(found, read_listing(body))


@given(st.data())
def test_a_damaged_grid_is_read_as_botocore_reads_it_or_refused(data):
    """Many entries that are alike but for the lengths of keys, sizes and ETags, as a real page has them."""
    versions = data.draw(st.booleans())
    entries = [
        Entry(
            key,
            IsLatest="true" if versions else None,
            Size=str(size),
            ETag="d41d8cd98f00b204e9800998ecf8427e" + parts,
            LastModified=f"2024-02-{day:02}T23:59:59.000Z",
        )
        for key, size, parts, day in data.draw(
            st.lists(
                st.tuples(
                    st.text("abc/&é", min_size=1, max_size=9),
                    st.one_of(st.integers(0, 10**8), st.integers(0, 1 << 62)),
                    st.sampled_from(["", "-2", "-17"]),
                    st.integers(1, 29),
                ),
                min_size=1,
                max_size=12,
            )
        )
    ]
    written = Written(tuple(entries), versions, AWS)
    frame = frame_of(written.body)
    found = read_grid(written.body, frame)
    assert found is not None
    assert is_same(found, read_listing(written.body))
    check_against_botocore(damaged(data.draw, written.body), written)


@given(st.lists(st.one_of(st.integers(0, 10**16 - 1).map(str), st.text("0123456789", min_size=1, max_size=16))))
def test_numbers_are_read_from_their_digits(texts):
    body = b"beforehand: 0123" + b"".join(text.encode() + b"<" for text in texts)
    stops = np.cumsum([16, *(len(text) + 1 for text in texts)], dtype=np.int64)[1:] - 1
    starts = stops - np.array([len(text) for text in texts], np.int64)
    assert read_numbers(body, starts, stops).to_pylist() == [int(text) for text in texts]


@pytest.mark.parametrize("wrong", ["", "-1", "+1", "1 ", " 1", "1.", "0x1", "1e3", "/", ":", "٣", "1" * 17, "", "a"])
@pytest.mark.parametrize("padding", ["", "1234567", "12345678", "123456789"])
def test_what_is_no_number_is_not_read(wrong, padding):
    is_number = (padding + wrong).isascii() and (padding + wrong).isdecimal() and len(padding + wrong) <= 16
    text = (padding + wrong).encode()
    body = b"beforehand: 0123" + b"7<" + text + b"<"
    starts, stops = np.array([16, 18]), np.array([17, 18 + len(text)])
    found = read_numbers(body, starts, stops)
    assert (found.to_pylist() if found else None) == ([7, int(text)] if is_number else None)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("versions", [True, False])
def test_entries_that_are_alike_are_a_grid(dialect, versions):
    written = DIALECTS[dialect]
    extras = {
        name: text.replace("<Items><Size>9</Size></Items>", "<Key>x</Key>") for name, text in written.extras.items()
    }
    body = page((Entry(f"k{n}") for n in range(7)), versions=versions, dialect=replace(written, extras=extras))
    found = read_grid(body, frame_of(body))
    assert found is not None
    assert is_same(found, read_listing(body))


def damaged(draw, body: bytes) -> bytes:
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(body)))
        stop = min(len(body), start + draw(st.sampled_from([0, 1, 1, 2, 8, 60, 300])))
        put = draw(st.one_of(st.just(b""), SCRAPS, st.binary(max_size=3), st.just(body[start:stop] * 2)))
        body = body[:start] + put + body[stop:]
    return body


@given(st.data())
def test_a_damaged_page_is_read_as_botocore_reads_it_or_refused(data):
    entries = [Entry(f"k {n}/&é", deleted=n == data.draw(st.integers(0, 6)), Size=str(n)) for n in range(4)]
    versions = data.draw(st.booleans())
    if not versions:
        entries = [replace(entry, deleted=False, IsLatest=None) for entry in entries]
    written = data.draw(
        st.one_of(pages(), st.sampled_from(list(DIALECTS.values())).map(lambda d: Written(tuple(entries), versions, d)))
    )
    body = damaged(data.draw, written.body)
    check_against_botocore(body, written)


def check_against_botocore(body: bytes, written: Written) -> None:
    try:
        found = parse_page(body)
    except StoreError:
        return
    try:
        parsed = read_by_botocore(_Changed(written.operation, body))
    except Exception:  # noqa: BLE001  it refuses in many ways
        mended = with_times_where_nobody_reads(body)
        if mended != body:
            # All else of it must be read as it was.
            check_against_botocore(mended, written)
            assert rows_of(parse_page(mended)) == rows_of(found)
            return
        # Control characters are let through on purpose; nothing else is.
        plain = re.sub(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]|\xef\xbf[\xbe\xbf]", b"?", body)
        assert plain != body or not is_well_formed(body), body
        return
    assert with_zones(rows_of(found)) == with_zones(rows_of_botocore(parsed))
    assert found.truncated == parsed.get("IsTruncated", found.truncated)
    assert found.token == parsed.get("NextContinuationToken")


def with_times_where_nobody_reads(body: bytes) -> bytes:
    """Give delete markers and old versions, which are left out, a time that is one."""
    left_out = (
        rb"<DeleteMarker>.*?</DeleteMarker>|<Version>(?:(?!</Version>).)*?<IsLatest>false</IsLatest>.*?</Version>"
    )
    time = rb"(<LastModified>)[^<]*(</LastModified>)"
    return re.sub(
        left_out, lambda entry: re.sub(time, rb"\g<1>2009-10-12T17:50:30.000Z\2", entry[0]), body, flags=re.DOTALL
    )


class _Changed:
    def __init__(self, operation: str, body: bytes) -> None:
        self.operation, self.body = operation, body


def is_well_formed(body: bytes) -> bool:
    from xml.etree.ElementTree import ParseError, fromstring

    try:
        fromstring(body)
    except (ParseError, LookupError, ValueError):
        return False
    return True


def with_zones(rows: list[tuple]) -> list[tuple]:
    """Times without a zone are universal."""
    return [(*row[:4], row[4] and (row[4] if row[4].tzinfo else row[4].replace(tzinfo=UTC)), row[5]) for row in rows]


@given(st.lists(st.one_of(ESCAPES, TEXT.map(escape), st.none())))
def test_escapes_are_undone_as_an_xml_parser_does(texts):
    from xml.etree.ElementTree import fromstring

    known = [text for text in texts if text is not None and "&" in text and re.fullmatch(r"[\x20-\x7e]*", text)]
    column = pa.array([text if text in known else None for text in texts], pa.string())
    assert unescape(column).to_pylist() == [
        None if text not in known else fromstring(f"<x>{text}</x>").text or "" for text in texts
    ]


@pytest.mark.parametrize(
    "text", ["&unknown;", "&amp", "&", "&#;", "&#x;", "&#xD800;", "&#1114112;", "&#99999999999;", "&AMP;"]
)
def test_escapes_that_are_none(text):
    body = page([Entry("KEY")]).replace(b"KEY", text.encode())
    assert not has_only_known_escapes(body)
    with pytest.raises(StoreError, match="cannot be read"):
        parse_page(body)


@given(st.lists(st.one_of(QUOTED, TEXT, TEXT.map(quote))))
@example(["%", "41"])
@example(["%4", "1"])
@example(["a%41+", "", "%2B"])
def test_keys_are_decoded_as_python_does(texts):
    try:
        expected = [unquote_plus(text, errors="strict") for text in texts]
    except UnicodeDecodeError:
        expected = None
    column = pa.array(["first", *texts, "last"], pa.string()).slice(1, len(texts))
    if expected is None:
        with pytest.raises((ValueError, pa.ArrowInvalid)):
            unquote(column)
    else:
        assert unquote(column).to_pylist() == expected


@given(st.lists(st.tuples(TEXT, st.booleans())))
def test_texts_are_cut_where_they_stand(pieces):
    body = b"".join(text.encode() + b"|" for text, _ in pieces)
    stops = np.cumsum([len(text.encode()) + 1 for text, _ in pieces], dtype=np.int64) - 1
    starts = stops - [len(text.encode()) for text, _ in pieces] if pieces else stops
    rows = np.flatnonzero([there for _, there in pieces])
    assert cut(body, starts, stops).to_pylist() == [text for text, _ in pieces]
    found = cut(body, *scatter(len(pieces), rows, starts[rows], stops[rows]))
    assert found.to_pylist() == [text if there else None for text, there in pieces]


def test_names_without_end():
    """They are forgotten again, and the page is read all the same."""
    for turn in range(3):
        odd = b"".join(b"<Odd%d.%d>x</Odd%d.%d>" % (turn, number, turn, number) for number in range(300))
        plain = page([Entry("a"), Entry("b", deleted=True), Entry("c")])
        assert parse_page(plain.replace(b"</Size>", b"</Size>" + odd, 1)) == parse_page(plain)
    assert read_scattered(plain, frame_of(plain)) is not None
