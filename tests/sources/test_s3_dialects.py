"""Listings as S3-like endpoints write them: a table of answers, each read to the byte."""

import re

import pytest
from conformance.suite import keys_of
from servers.scripted import Answer, listing, versioning

from refscan.errors import StoreError
from refscan.sources.s3 import S3Source
from refscan.sources.s3.page import parse_page

NAMESPACE = b"http://s3.amazonaws.com/doc/2006-03-01/"
KEYS = ["a", "b c", "d%2F", "e+f", "ü"]


def prefixed(body: bytes) -> bytes:
    body = re.sub(rb"<(/?)([A-Z])", rb"<\1s3:\2", body)
    return re.sub(rb"<(s3:List\w+Result)>", rb'<\1 xmlns:s3="' + NAMESPACE + rb'">', body, count=1)


def without(name: bytes):
    return lambda body: re.sub(rb"<" + name + rb">[^<]*</" + name + rb">", b"", body)


def declared(encoding: str):
    return lambda body: re.sub(rb'encoding="[^"]*"', f'encoding="{encoding}"'.encode(), body)


def reordered(body: bytes) -> bytes:
    """Put the key of each entry behind all else."""
    return re.sub(rb"(<Key>[^<]*</Key>)(.*?)(</(?:Contents|Version)>)", rb"\2\1\3", body)


def shuffled(body: bytes) -> bytes:
    """Put the key of every other entry behind all else, so that no two neighbours look alike."""
    turn = iter(range(1_000))
    return re.sub(
        rb"(<Key>[^<]*</Key>)(.*?)(</(?:Contents|Version)>)",
        lambda m: (m[2] + m[1] if next(turn) % 2 else m[1] + m[2]) + m[3],
        body,
    )


WRITTEN = {
    "as S3": lambda body: body,
    "namespace": lambda body: re.sub(rb"(<List\w+Result)>", rb'\1 xmlns="' + NAMESPACE + rb'">', body, count=1),
    "prefixes": prefixed,
    "no declaration": lambda body: body.partition(b"\n")[2],
    "lower case": declared("utf-8"),
    "Latin-1": declared("ISO-8859-1"),
    "ASCII": declared("US-ASCII"),
    "Windows": declared("windows-1252"),
    "byte order mark": lambda body: b"\xef\xbb\xbf" + body,
    "UTF-16": lambda body: declared("UTF-16")(body).decode().encode("utf-16"),
    "carriage returns": lambda body: body.replace(b"><", b">\r\n  <"),
    "line feeds": lambda body: body.replace(b"><", b">\n<") + b"\n\n",
    "no ETags": without(b"ETag"),
    "no classes": without(b"StorageClass"),
    "no times": without(b"LastModified"),
    "no IsTruncated": without(b"IsTruncated"),
    "another order": reordered,
    "any order": shuffled,
    "unknown elements": lambda body: body.replace(b"</Size>", b"</Size><Tier><Key>x</Key></Tier><Extra/>"),
    "empty elements": lambda body: body.replace(b"<StorageClass>STANDARD</StorageClass>", b"<StorageClass/>"),
    "comments": lambda body: body.replace(b"</Size>", b"</Size><!-- <Key>no</Key> -->"),
    "upper-case truth": lambda body: body.replace(b">false<", b">False<").replace(b">true<", b">True<"),
}


def play(write, *, versions: bool, page_size: int = 2):
    """A bucket of ``KEYS`` on an endpoint that writes so."""

    def script(request):
        if request.asks_for_versioning:
            return versioning("Enabled" if versions else None)
        query = request.query
        after = query.get("key-marker") or query.get("continuation-token") or query.get("start-after", "")
        found = [key for key in KEYS if key > after]
        page, more = found[:page_size], len(found) > page_size
        token = None if versions or not more else page[-1]
        marker = page[-1] if versions and more else None
        return Answer(write(listing(page, versions=versions, truncated=more, next_key=marker, token=token).body))

    return script


@pytest.mark.parametrize("versions", [True, False])
@pytest.mark.parametrize("name", WRITTEN)
async def test_it_is_read_to_the_byte(scripted_s3, name, versions):
    # A token of the store's stays as it is, so it may be of any characters; these are keys.
    async with scripted_s3(play(WRITTEN[name], versions=versions)), S3Source("bucket") as source:
        assert await keys_of(source, "") == KEYS
        rows = (await source.list_page("")).rows.to_pylist()
    assert [row["size"] for row in rows] == [0, 0]
    assert [row["version_id"] for row in rows] == (["v1", "v1"] if versions else [None, None])
    assert {row["e_tag"] for row in rows} == {None if name == "no ETags" else "d41d8cd98f00b204e9800998ecf8427e"}
    assert {row["last_modified"] is None for row in rows} == {name == "no times"}


@pytest.mark.parametrize("versions", [True, False])
async def test_without_etags_the_uri_is_the_digest(scripted_s3, versions):
    async with scripted_s3(play(WRITTEN["no ETags"], versions=versions)), S3Source("bucket") as source:
        rows = (await source.list_page("")).rows
        refs = source.refs(rows.column("key"))
        assert (
            (await source.digests(rows, refs)).to_pylist() == refs.to_pylist() == ["s3://bucket/a", "s3://bucket/b c"]
        )


@pytest.mark.parametrize("versions", [True, False])
class TestKeysThatAreNotEncoded:
    """Some endpoints leave ``EncodingType`` out, and write keys as XML has them."""

    def page(self, keys: list[str], *, versions: bool, write=lambda body: body) -> list[str]:
        body = listing(["KEY"] * len(keys), versions=versions).body.replace(b"<EncodingType>url</EncodingType>", b"")
        for key in keys:
            body = body.replace(b"KEY", key.encode(), 1)
        return parse_page(write(body)).rows.column("key").to_pylist()

    def test_percent_and_plus_are_what_they_are(self, versions):
        keys = ["100%", "a%20b", "a+b", "%41", "%zz"]
        assert self.page(keys, versions=versions) == keys

    @pytest.mark.parametrize("write", [lambda body: body, shuffled, prefixed, reordered])
    @pytest.mark.parametrize(
        ("text", "key"),
        [
            ("a\x01b", "a\x01b"),
            ("a&#1;b", "a\x01b"),
            ("a&#x1F;b", "a\x1fb"),
            ("a&#x1f;b", "a\x1fb"),
            ("a\x00b", "a\x00b"),
            ("a&#0;b", "a\x00b"),
            ("\x0b\x0c", "\x0b\x0c"),
            ("a\ufffeb\uffff", "a\ufffeb\uffff"),
            ("a&#xFFFF;b", "a\uffffb"),
            ("a&#65534;b", "a\ufffeb"),
            ("a&#13;b", "a\rb"),
            ("a\rb", "a\rb"),
            ("a\r\nb>", "a\r\nb>"),
            ("a&#xD;&#10;&#9;b", "a\r\n\tb"),
            ("\ue000\x01\ue0001", "\ue000\x01\ue0001"),
            ("x&amp;#1;y", "x&#1;y"),
            ("\x7f\x80", "\x7f\x80"),
        ],
    )
    def test_control_characters_and_the_like(self, versions, write, text, key):
        assert self.page(["first", text, "last"], versions=versions, write=write) == ["first", key, "last"]


@pytest.mark.parametrize("marker", ["a%41", "100%", "x%25y"])
async def test_markers_that_come_back_raw(scripted_s3, marker):
    """Keys are encoded, the marker is not: to decode it would lead somewhere else."""
    body = listing(["A", marker], versions=True, truncated=True, next_key="MARKER").body
    answer = Answer(body.replace(b"MARKER", marker.encode()))
    async with (
        scripted_s3(lambda r: versioning("Enabled") if r.asks_for_versioning else answer),
        S3Source("bucket") as source,
    ):
        assert (await source.list_page("")).next_after == marker


class TestNoWordOnWhetherThereIsMore:
    async def test_a_page_without_it_is_not_the_last(self, scripted_s3):
        """It would be a cut in silence; the empty page behind the last key ends the listing."""
        async with (
            scripted_s3(
                play(lambda body: without(b"NextContinuationToken")(without(b"IsTruncated")(body)), versions=False)
            ),
            S3Source("bucket") as source,
        ):
            assert await keys_of(source, "") == KEYS

    @pytest.mark.parametrize("versions", [True, False])
    async def test_an_empty_bucket(self, scripted_s3, versions):
        body = without(b"IsTruncated")(listing([], versions=versions).body)
        async with (
            scripted_s3(
                lambda r: versioning("Enabled" if versions else None) if r.asks_for_versioning else Answer(body)
            ),
            S3Source("bucket") as source,
        ):
            assert await keys_of(source, "") == []

    def test_what_says_nothing_at_all_is_no_listing(self):
        with pytest.raises(StoreError, match="whether there is more"):
            parse_page(b"<ListBucketResult></ListBucketResult>")
