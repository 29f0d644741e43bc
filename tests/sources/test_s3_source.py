"""What S3 buckets can be like beside the ordinary: versioned late, half permitted, odd to list, broken."""

import gzip
import re
import socket

import anyio
import pytest
from conformance.suite import keys_of, read, stat_rows
from servers.scripted import (
    Answer,
    Forward,
    deny_versions,
    list_by_tokens_only,
    listing,
    s3_error,
    versioning,
)

from refscan.errors import AccessDeniedError, DigestMismatchError, ObjectNotFoundError, StoreError
from refscan.sources.options import S3Options
from refscan.sources.s3 import S3Source
from refscan.sources.source import Source

SECRET = "q7SECRETq7"
OPERATIONS = {
    "list": lambda source: source.list_page("pre/"),
    "probe": lambda source: source.probe("pre/", after=""),
    "stat": lambda source: source.stat(["pre/key"]),
    "stat_pinned": lambda source: source.stat(["pre/key"], version_id="v1"),
    "open": lambda source: read(source, "pre/key"),
    "open_pinned": lambda source: read(source, "pre/key", version_id="v1"),
}


@pytest.fixture
def scripted(scripted_s3):
    return scripted_s3


class TestPins:
    async def test_a_bucket_that_was_versioned_late(self, bucket):
        place = bucket(versioned=False)
        place.put("early", b"1")
        place.set_versioning("Enabled")
        late = place.put("late", b"22")
        async with S3Source(place.name) as source:
            page = await source.list_page("")
            assert page.complete
            assert page.rows.column("version_id").to_pylist() == ["null", late]
            place.put("early", b"4444")
            assert await read(source, "early", version_id="null") == b"1"
            assert await read(source, "early") == b"4444"

    async def test_a_bucket_whose_versions_were_suspended_keeps_pins(self, bucket):
        place = bucket()
        pin = place.put("key", b"1")
        place.set_versioning("Suspended")
        async with S3Source(place.name) as source:
            (row,) = (await source.list_page("")).rows.to_pylist()
            assert row["version_id"] == pin

    async def test_versions_are_listed_though_their_state_may_not_be_asked(self, bucket, s3, scripted):
        place = bucket()
        pin = place.put("key", b"1")
        async with (
            scripted(lambda r: s3_error("AccessDenied") if r.asks_for_versioning else Forward(s3)),
            S3Source(place.name) as source,
        ):
            page = await source.list_page("")
        assert page.complete
        assert page.rows.column("version_id").to_pylist() == [pin]

    @pytest.mark.parametrize(
        ("code", "status"), [("AccessDenied", 403), ("NotImplemented", 501), ("MethodNotAllowed", 405)]
    )
    async def test_where_versions_cannot_be_listed_each_object_is_asked(self, bucket, s3, scripted, code, status):
        place = bucket()
        pin = place.put("key", b"1")

        def script(request):
            if request.asks_for_versioning or request.lists_versions:
                return s3_error(code, status=status)
            return Forward(s3)

        async with scripted(script) as server, S3Source(place.name) as source:
            page = await source.list_page("")
            assert not page.complete
            assert [row["version_id"] for row in await stat_rows(source, ["key"])] == [pin]
            # It is found out once, not for every page.
            await source.list_page("")
            assert len([request for request in server.requests if request.lists_versions]) == 1
            assert source.requests == len(server.requests)

    async def test_a_permission_lost_on_the_way_does_not_begin_anew(self, scripted):
        def script(request):
            if request.asks_for_versioning:
                return versioning("Enabled")
            if request.lists_versions:
                if "key-marker" in request.query:
                    return s3_error("AccessDenied")
                return listing(["a", "b"], versions=True, truncated=True, next_key="b")
            return listing([key for key in ("a", "b", "c") if key > request.query.get("start-after", "")])

        for by_token in (True, False):
            async with scripted(script), S3Source("bucket") as source:
                assert await keys_of(source, "", by_token=by_token) == ["a", "b", "c"]


class TestOddListings:
    async def test_tokens_lead_where_start_after_does_not(self, scripted):
        keys = [f"key/{number}" for number in range(7)]
        async with scripted(list_by_tokens_only(keys, page_size=3)), S3Source("bucket") as source:
            first = await source.list_page("key/")
            assert first.rows.column("key").to_pylist() == keys[:3]
            # What the scan must notice: the page begins anew.
            again = await source.list_page("key/", after=first.next_after)
            assert again.rows.column("key").to_pylist() == keys[:3]
            assert await keys_of(source, "key/", by_token=True) == keys

    async def test_empty_pages_are_passed_over(self, scripted):
        keys = [f"{letter}/{number}" for letter in "abc" for number in range(4)]
        async with scripted(list_by_tokens_only(keys, page_size=2)) as server, S3Source("bucket") as source:
            assert await keys_of(source, "c/", by_token=True) == keys[8:]
            assert source.requests == len(server.requests)

    async def test_a_page_of_delete_markers_leads_on(self, bucket):
        place = bucket()
        for key in ("a", "b", "c", "d"):
            place.put(key, b"x")
        for key in ("a", "b"):
            place.delete(key)
        async with S3Source(place.name, page_size=2) as source:
            assert await keys_of(source, "") == ["c", "d"]

    async def test_a_listing_in_other_words_is_left_to_the_sdk(self, scripted):
        body = listing(["a", "b"], versions=True).body.replace(b"<", b"<s:").replace(b"<s:/", b"</s:")
        body = body.replace(b"<s:?xml", b"<?xml").replace(b"<s:ListV", b"<s:ListV", 1)
        body = body.replace(
            b"ListVersionsResult>", b'ListVersionsResult xmlns:s="http://s3.amazonaws.com/doc/2006-03-01/">', 1
        )
        answer = Answer(body)
        async with (
            scripted(lambda r: versioning("Enabled") if r.asks_for_versioning else answer),
            S3Source("bucket") as source,
        ):
            page = await source.list_page("")
        assert page.rows.column("key").to_pylist() == ["a", "b"]
        assert page.rows.column("version_id").to_pylist() == ["v1", "v1"]
        assert page.next_after is None


class TestObjects:
    async def test_bytes_come_as_they_are_stored(self, bucket):
        place = bucket()
        data = gzip.compress(b"text " * 100)
        place.put("packed", data, ContentEncoding="gzip")
        async with S3Source(place.name) as source:
            (row,) = await stat_rows(source, ["packed"])
            assert row["size"] == len(data)
            async with source.open("packed") as body:
                assert body.size == len(data)
                assert b"".join([chunk async for chunk in body.chunks]) == data

    async def test_a_large_object_comes_in_pieces(self, bucket):
        place = bucket()
        data = bytes(range(256)) * 8_192
        place.put("large", data)
        async with S3Source(place.name) as source, source.open("large") as body:
            chunks = [chunk async for chunk in body.chunks]
        assert len(chunks) > 1
        assert b"".join(chunks) == data

    async def test_a_body_that_is_left_early_disturbs_nobody(self, bucket):
        place = bucket()
        data = bytes(1 << 21)
        place.put("large", data)
        async with S3Source(place.name, S3Options(connections=1)) as source:
            for _ in range(3):
                async with source.open("large") as body:
                    assert await anext(body.chunks)
            assert await read(source, "large") == data

    @pytest.mark.parametrize("kind", ["application/x-directory", "application/x-directory; charset=UTF-8"])
    async def test_a_folder_by_content_type_is_skipped_and_counted(self, bucket, kind):
        place = bucket()
        place.put("folder", b"", ContentType=kind)
        async with S3Source(place.name) as source:
            page = await source.stat(["folder"])
        assert (page.rows.num_rows, dict(page.skipped)) == (0, {"folder_marker": 1})

    async def test_what_vanished_is_counted(self, bucket):
        async with S3Source(bucket().name) as source:
            page = await source.stat(["gone"])
        assert (page.rows.num_rows, dict(page.skipped)) == (0, {"vanished": 1})

    @pytest.mark.parametrize("versioned", [True, False])
    async def test_overwritten_without_a_pin_is_an_error_in_one_request(self, bucket, s3, scripted, versioned):
        place = bucket(versioned=versioned)
        place.put("key", b"first")
        async with scripted(lambda _: Forward(s3)) as server, S3Source(place.name) as source:
            (row,) = await stat_rows(source, ["key"])
            place.put("key", b"second")
            del server.requests[:]
            with pytest.raises(DigestMismatchError, match="overwritten"):
                await read(source, "key", e_tag=row["e_tag"])
        (request,) = server.requests
        assert f'\r\nif-match: "{row["e_tag"]}"'.encode() in request.head.lower()

    async def test_a_store_that_ignores_if_match_is_found_out(self, scripted):
        answer = Answer(b"other", headers={"ETag": '"other"'})
        async with scripted(lambda _: answer), S3Source("bucket") as source:
            with pytest.raises(DigestMismatchError, match="it has ETag other now, not mine"):
                await read(source, "key", e_tag="mine")

    async def test_a_body_that_breaks_off_is_an_error(self, scripted):
        answer = Answer(b"beginning", headers={"Content-Length": "100", "ETag": '"x"'})
        async with scripted(lambda _: answer), S3Source("bucket") as source:
            with pytest.raises(StoreError, match=r"s3://bucket/key: .*broke off"):
                await read(source, "key")


def check_text(error: BaseException, uri: str) -> None:
    """Errors are one line, of a length to read, about the right thing, and keep secrets."""
    assert str(error).startswith(uri)
    assert len(str(error).splitlines()) == 1
    assert len(str(error)) < 400
    assert SECRET not in str(error)
    assert error.uri.startswith(uri)


async def raised_by(operation: str, source: Source, kind: type[Exception]) -> Exception:
    async with source:
        with pytest.raises(kind) as caught:
            await OPERATIONS[operation](source)
    assert type(caught.value) is kind
    check_text(caught.value, source.base)
    return caught.value


class TestErrors:
    @pytest.mark.usefixtures("s3")
    @pytest.mark.parametrize("operation", ["list", "probe", "open"])
    async def test_a_missing_bucket(self, operation):
        error = await raised_by(operation, S3Source("no-such-bucket"), ObjectNotFoundError)
        assert "no such bucket" in str(error)

    @pytest.mark.parametrize(
        ("operation", "permission"),
        [
            ("list", "s3:ListBucket "),
            ("probe", "s3:ListBucket "),
            ("stat", "s3:GetObject "),
            ("stat_pinned", "s3:GetObjectVersion "),
            ("open", "s3:GetObject "),
            ("open_pinned", "s3:GetObjectVersion "),
        ],
    )
    async def test_denied_access_names_the_permission(self, scripted, operation, permission):
        async with scripted(lambda _: s3_error("AccessDenied")):
            error = await raised_by(operation, S3Source("bucket"), AccessDeniedError)
        assert f"the permission {permission}" in str(error)
        assert isinstance(error, PermissionError)

    @pytest.mark.parametrize("operation", ["list", "open"])
    @pytest.mark.parametrize(
        "code", ["InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "RequestTimeTooSkewed"]
    )
    async def test_bad_credentials(self, aws, scripted, operation, code):
        aws.setenv("AWS_ACCESS_KEY_ID", f"{SECRET}-id")
        aws.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        aws.setenv("AWS_SESSION_TOKEN", f"{SECRET}-token")
        async with scripted(lambda _: s3_error(code, message=f"{SECRET}-id is unknown\nhere")):
            error = await raised_by(operation, S3Source("bucket"), AccessDeniedError)
        assert code in str(error)

    @pytest.mark.usefixtures("s3")
    @pytest.mark.parametrize("operation", ["list", "stat", "open"])
    async def test_no_credentials(self, aws, operation):
        aws.delenv("AWS_ACCESS_KEY_ID")
        aws.delenv("AWS_SECRET_ACCESS_KEY")
        error = await raised_by(operation, S3Source("bucket"), AccessDeniedError)
        assert "AWS_ACCESS_KEY_ID" in str(error)

    @pytest.mark.usefixtures("s3")
    @pytest.mark.parametrize(
        ("name", "value", "kind"),
        [
            ("AWS_PROFILE", "nobody", AccessDeniedError),
            ("AWS_S3_ENDPOINT_URL", "no url", StoreError),
            ("AWS_S3_ENDPOINT_URL", f"http://user:{SECRET}@bad host/", StoreError),
            ("AWS_REGION", "not a region", StoreError),
        ],
    )
    async def test_settings_that_cannot_be(self, aws, name, value, kind):
        aws.setenv(name, value)
        source = S3Source("bucket")
        with pytest.raises(kind) as caught:
            async with source:
                await source.list_page("")
        check_text(caught.value, "s3://bucket/")

    async def test_what_stays_broken_after_all_tries(self, aws, scripted):
        """The SDK waits between its tries, so both are tried at once."""

        async def check(source: S3Source, said: str) -> None:
            with pytest.raises(StoreError, match=re.escape(said)) as caught:
                await source.probe("pre/", after="")
            check_text(caught.value, source.base)

        cut = Answer(b"<ListBucketResult>" + b"<Contents><Key>x</Key></Contents>" * 1_000)
        with socket.socket() as reserved:
            reserved.bind(("127.0.0.1", 0))
            dead = f"http://127.0.0.1:{reserved.getsockname()[1]}"
            async with scripted(lambda _: cut) as server, S3Source("unreadable") as unreadable:
                aws.setenv("AWS_S3_ENDPOINT_URL", dead)
                async with S3Source("unreachable") as unreachable, anyio.create_task_group() as group:
                    # The SDK takes an answer that is no XML for a fault of the server.
                    group.start_soon(check, unreadable, "500")
                    group.start_soon(check, unreachable, f"cannot be reached ({dead})")
        assert len(server.requests) > 1

    @pytest.mark.parametrize("code", ["PermanentRedirect", "AuthorizationHeaderMalformed"])
    async def test_another_region(self, scripted, code):
        async with scripted(lambda _: s3_error(code, status=400)):
            error = await raised_by("probe", S3Source("bucket"), StoreError)
        assert "AWS_REGION" in str(error)

    @pytest.mark.parametrize("operation", ["list", "probe", "open"])
    async def test_what_else_the_store_says_is_passed_on(self, scripted, operation):
        async with scripted(lambda _: s3_error("InvalidThing", status=400, message="two\n\nlines")):
            error = await raised_by(operation, S3Source("bucket"), StoreError)
        assert "InvalidThing (two lines)" in str(error)

    @pytest.mark.parametrize("operation", ["list", "probe"])
    @pytest.mark.parametrize(
        "body",
        [
            b"<html><body>Sign in</body></html>",
            b'<!DOCTYPE x [<!ENTITY a "b">]><ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>',
            b"<ListBucketResult><Owner>x</Owner></ListBucketResult>",
            b"<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
        ],
    )
    async def test_what_is_no_listing(self, scripted, operation, body):
        async with scripted(lambda r: versioning(None) if r.asks_for_versioning else Answer(body)):
            await raised_by(operation, S3Source("bucket"), StoreError)

    async def test_a_listing_whose_bytes_break_off(self, scripted):
        whole = listing(["a", "b"])
        broken = Answer(whole.body[:-20], headers={"Content-Length": str(len(whole.body))})
        async with (
            scripted(lambda _: broken if len(server.requests) == 1 else whole) as server,
            S3Source("bucket") as source,
        ):
            assert await source.probe("", after="") == "a"
        assert len(server.requests) == 2

    async def test_a_key_that_breaks_lines(self, scripted):
        async with scripted(lambda _: s3_error("NoSuchKey", status=404)), S3Source("bucket") as source:
            with pytest.raises(ObjectNotFoundError) as caught:
                await read(source, "a\nb")
        assert str(caught.value) == "s3://bucket/a\\nb: no such object or version"
        assert caught.value.uri == "s3://bucket/a\nb"

    async def test_denied_versions_do_not_hide_a_missing_bucket(self, s3, scripted):
        async with scripted(deny_versions(s3)):
            error = await raised_by("list", S3Source("no-such-bucket"), ObjectNotFoundError)
        assert "no such bucket" in str(error)
