"""Versions in all their states: enabled, suspended, never heard of; delete markers wherever they stand."""

import pytest
from conformance.suite import keys_of, pages_of, read, stat_rows
from servers.scripted import Answer, Forward, ScriptedServer, listing, mend_key_marker, s3_error, versioning

from refscan.errors import AccessDeniedError, DigestMismatchError, ObjectNotFoundError
from refscan.sources.s3 import S3Source


@pytest.fixture
async def mended(aws, s3):
    """A way to moto on which a key marker means what S3's does."""
    async with ScriptedServer(mend_key_marker(s3)) as server:
        aws.setenv("AWS_S3_ENDPOINT_URL", server.url)
        yield server


async def rows_of(source: S3Source) -> list[dict]:
    return [row for page in await pages_of(source, "") for row in page.rows.to_pylist()]


class TestNullVersions:
    """Objects from before versioning, and from while it was suspended, have the version ID ``null``."""

    async def test_written_while_suspended(self, bucket):
        place = bucket()
        pinned = place.put("kept", b"1")
        place.set_versioning("Suspended")
        place.put("key", b"first")
        async with S3Source(place.name) as source:
            rows = await rows_of(source)
            assert [(row["key"], row["version_id"]) for row in rows] == [("kept", pinned), ("key", "null")]
            e_tag = next(row["e_tag"] for row in rows if row["key"] == "key")
            # As long as nobody writes, the pin is as good as any.
            assert await read(source, "key", version_id="null", e_tag=e_tag) == b"first"

    async def test_overwritten_while_suspended(self, bucket):
        place = bucket()
        place.set_versioning("Suspended")
        place.put("key", b"first")
        async with S3Source(place.name) as source:
            (row,) = await rows_of(source)
            assert row["version_id"] == "null"
            place.put("key", b"other")
            with pytest.raises(DigestMismatchError, match=r"s3://.*/key was overwritten"):
                await read(source, "key", version_id="null", e_tag=row["e_tag"])

    async def test_overwritten_with_the_same_bytes(self, bucket):
        place = bucket()
        place.set_versioning("Suspended")
        place.put("key", b"first")
        async with S3Source(place.name) as source:
            (row,) = await rows_of(source)
            place.put("key", b"first")
            assert await read(source, "key", version_id="null", e_tag=row["e_tag"]) == b"first"

    async def test_overwritten_after_versions_came_back(self, bucket):
        place = bucket(versioned=False)
        place.put("key", b"first")
        place.set_versioning("Enabled")
        async with S3Source(place.name) as source:
            (row,) = await rows_of(source)
            place.put("key", b"other")
            assert await read(source, "key", version_id="null", e_tag=row["e_tag"]) == b"first"

    async def test_deleted(self, bucket):
        place = bucket(versioned=False)
        place.put("key", b"first")
        place.set_versioning("Enabled")
        async with S3Source(place.name) as source:
            (row,) = await rows_of(source)
            place.client.delete_object(Bucket=place.name, Key="key", VersionId="null")
            with pytest.raises(ObjectNotFoundError):
                await read(source, "key", version_id="null", e_tag=row["e_tag"])

    async def test_never_versioned(self, bucket):
        place = bucket(versioned=False)
        place.put("key", b"1")
        async with S3Source(place.name) as source:
            assert [row["version_id"] for row in await rows_of(source)] == [None]
            assert [row["version_id"] for row in await stat_rows(source, ["key"])] == [None]


class TestUnknownState:
    """Where the bucket's state may not be asked, the listing alone cannot tell an unversioned bucket's ``null``.

    Source: the S3 API reference, ``HeadObject``, ``x-amz-version-id``.
    """

    @staticmethod
    def script(head: Answer, pins=("null", "null")):
        def script(request):
            if request.asks_for_versioning:
                return s3_error("AccessDenied")
            if request.method == "HEAD":
                return head
            first = "key-marker" not in request.query
            body = listing(["a", "b"] if first else ["c", "d"], versions=True, truncated=first, next_key="b").body
            for pin in pins:
                body = body.replace(b"<VersionId>v1<", f"<VersionId>{pin}<".encode(), 1)
            return Answer(body)

        return script

    @pytest.mark.parametrize(
        ("headers", "pins"),
        [({"ETag": '"x"'}, [None] * 4), ({"ETag": '"x"', "x-amz-version-id": "null"}, ["null"] * 4)],
    )
    async def test_one_head_tells(self, scripted_s3, headers, pins):
        async with scripted_s3(self.script(Answer(headers=headers))) as server, S3Source("bucket") as source:
            assert [row["version_id"] for row in await rows_of(source)] == pins
        assert [request.method for request in server.requests].count("HEAD") == 1

    async def test_real_versions_stay(self, scripted_s3):
        script = self.script(Answer(headers={"ETag": '"x"'}), pins=("null", "real"))
        async with scripted_s3(script), S3Source("bucket") as source:
            assert [row["version_id"] for row in await rows_of(source)] == [None, "real", None, "real"]

    @pytest.mark.parametrize("head", [Answer(b"", 401), Answer(b"", 403), Answer(b"", 404)])
    async def test_what_cannot_be_found_out_is_recorded_as_listed(self, scripted_s3, head):
        async with scripted_s3(self.script(head)), S3Source("bucket") as source:
            assert [row["version_id"] for row in await rows_of(source)] == ["null"] * 4

    async def test_no_question_where_no_pin_is_null(self, scripted_s3):
        script = self.script(Answer(), pins=())
        async with scripted_s3(script) as server, S3Source("bucket") as source:
            assert [row["version_id"] for row in await rows_of(source)] == ["v1"] * 4
        assert "HEAD" not in [request.method for request in server.requests]

    @pytest.mark.parametrize("versioned", [True, False])
    async def test_a_real_bucket(self, bucket, s3, scripted_s3, versioned):
        place = bucket(versioned=versioned)
        pin = place.put("key", b"1")

        def script(request):
            return s3_error("AccessDenied") if request.asks_for_versioning else Forward(s3)

        async with scripted_s3(script), S3Source(place.name) as source:
            assert [row["version_id"] for row in await rows_of(source)] == [pin]


@pytest.mark.parametrize("status", ["Enabled", "Suspended", "enabled", None, "", "Disabled", "Off"])
async def test_what_stores_call_versioned(scripted_s3, status):
    def script(request):
        return versioning(status) if request.asks_for_versioning else listing(["a"], versions=request.lists_versions)

    async with scripted_s3(script), S3Source("bucket") as source:
        pins = [row["version_id"] for row in await rows_of(source)]
    assert pins == (["v1"] if (status or "").lower() in ("enabled", "suspended") else [None])


@pytest.mark.usefixtures("mended")
@pytest.mark.parametrize("page_size", [1, 2, 3, 100])
class TestDeleteMarkers:
    async def test_wherever_they_stand(self, bucket, page_size):
        place = bucket()
        keys = ["a", "b", "c", "d", "e", "f", "g"]
        for key in keys:
            place.put(key, b"x")
        for key in ("a", "c", "d", "g"):
            place.delete(key)
        async with S3Source(place.name, page_size=page_size) as source:
            assert await keys_of(source, "") == ["b", "e", "f"]
            assert await keys_of(source, "", after="b", until="e") == ["e"]

    async def test_nothing_but_them(self, bucket, page_size):
        place = bucket()
        for key in ("a", "b", "c"):
            place.put(key, b"x")
            place.delete(key)
            place.delete(key)
        async with S3Source(place.name, page_size=page_size) as source:
            assert await keys_of(source, "") == []

    async def test_pages_of_old_versions_only(self, bucket, page_size):
        place = bucket()
        for key in ("a", "b", "c"):
            for turn in range(7):
                place.put(key, bytes(turn))
        place.delete("b")
        newest = place.put("c", bytes(9))
        async with S3Source(place.name, page_size=page_size) as source:
            rows = await rows_of(source)
        assert [(row["key"], row["size"]) for row in rows] == [("a", 6), ("c", 9)]
        assert rows[1]["version_id"] == newest


class TestPagesOfMarkers:
    """Pages as S3 may cut them, which moto cannot be told to."""

    @staticmethod
    def page(entries: str, *, next_key: str | None) -> Answer:
        marks = f"<IsTruncated>{str(bool(next_key)).lower()}</IsTruncated><EncodingType>url</EncodingType>"
        marks += (
            f"<NextKeyMarker>{next_key}</NextKeyMarker><NextVersionIdMarker>o</NextVersionIdMarker>" if next_key else ""
        )
        return Answer(f"<ListVersionsResult><Name>b</Name>{marks}{entries}</ListVersionsResult>".encode())

    @staticmethod
    def version(key: str, *, latest: bool = True, tag: str = "Version") -> str:
        return (
            f"<{tag}><Key>{key}</Key><VersionId>{key}1</VersionId><IsLatest>{str(latest).lower()}</IsLatest>"
            f"<LastModified>2024-01-01T00:00:00.000Z</LastModified>"
            + ("<ETag>&quot;e&quot;</ETag><Size>1</Size>" if tag == "Version" else "")
            + f"</{tag}>"
        )

    async def listed(self, scripted_s3, pages: dict[str, Answer]) -> list[str]:
        def script(request):
            return versioning("Enabled") if request.asks_for_versioning else pages[request.query.get("key-marker", "")]

        async with scripted_s3(script), S3Source("bucket") as source:
            return await keys_of(source, "")

    async def test_only_markers_then_more(self, scripted_s3):
        marker = self.version("a", tag="DeleteMarker")
        pages = {"": self.page(marker, next_key="a"), "a": self.page(self.version("b"), next_key=None)}
        assert await self.listed(scripted_s3, pages) == ["b"]

    async def test_only_old_versions_then_more(self, scripted_s3):
        old = self.version("a", latest=False)
        pages = {"": self.page(old, next_key="a"), "a": self.page(self.version("b"), next_key=None)}
        assert await self.listed(scripted_s3, pages) == ["b"]

    async def test_a_marker_at_the_end(self, scripted_s3):
        both = self.version("a") + self.version("b", tag="DeleteMarker")
        pages = {"": self.page(both, next_key="b"), "b": self.page(self.version("c"), next_key=None)}
        assert await self.listed(scripted_s3, pages) == ["a", "c"]

    async def test_nothing_at_all_then_more(self, scripted_s3):
        pages = {"": self.page("", next_key="a"), "a": self.page(self.version("b"), next_key=None)}
        assert await self.listed(scripted_s3, pages) == ["b"]


async def test_denied_versions_of_an_object(scripted_s3):
    async with scripted_s3(lambda _: s3_error("AccessDenied")), S3Source("bucket") as source:
        with pytest.raises(AccessDeniedError, match="s3:GetObjectVersion"):
            await read(source, "key", version_id="null")
