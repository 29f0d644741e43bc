"""Who asks S3, and who pays: options, shared configuration, sessions, nobody."""

import os
from pathlib import Path

import aioboto3
import pytest
from conformance.suite import read
from servers.s3 import header, signer
from servers.scripted import Answer, Forward, listing, versioning

from refscan.errors import AccessDeniedError
from refscan.sources.options import S3Options
from refscan.sources.s3 import S3Source

OBJECT = Answer(b"data", headers={"ETag": '"x"', "x-amz-version-id": "v1"})


def play(request):
    if request.asks_for_versioning:
        return versioning("Enabled")
    if request.lists_versions or request.lists_objects:
        return listing(["a"], versions=request.lists_versions)
    return OBJECT


async def do_all(options: S3Options) -> None:
    """Send each request that a source sends."""
    async with S3Source("bucket", options) as source:
        await source.list_page("")
        await source.probe("", after="")
        await source.stat(["a"])
        await source.stat(["a"], version_id="v1")
        assert await read(source, "a") == b"data"


def configure(text: str, *, credentials: str = "") -> None:
    Path(os.environ["AWS_CONFIG_FILE"]).write_text(text)
    Path(os.environ["AWS_SHARED_CREDENTIALS_FILE"]).write_text(credentials)


@pytest.fixture
async def server(scripted_s3):
    async with scripted_s3(play) as server:
        yield server


async def signers(server, options: S3Options) -> set:
    await do_all(options)
    assert len(server.requests) == 6
    return {signer(request) and signer(request).access_key for request in server.requests}


PROFILES = "[work]\naws_access_key_id = WORKKEY\naws_secret_access_key = s\n[other]\naws_access_key_id = OTHERKEY\n"


class TestKeys:
    async def test_the_environment(self, aws, server):
        aws.setenv("AWS_ACCESS_KEY_ID", "ENVKEY")
        assert await signers(server, S3Options()) == {"ENVKEY"}

    async def test_a_profile_wins_over_the_environment(self, aws, server):
        configure("[profile work]\nregion = eu-west-1\n", credentials=PROFILES)
        aws.setenv("AWS_ACCESS_KEY_ID", "ENVKEY")
        assert await signers(server, S3Options(profile="work")) == {"WORKKEY"}

    async def test_the_profile_of_the_environment(self, aws, server):
        configure("", credentials=PROFILES)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            aws.delenv(name)
        aws.setenv("AWS_PROFILE", "work")
        assert await signers(server, S3Options()) == {"WORKKEY"}

    async def test_a_session_wins_over_a_profile(self, server):
        configure("", credentials=PROFILES)
        session = aioboto3.Session("SESSIONKEY", "secret", region_name="eu-west-2")
        assert await signers(server, S3Options(session=session, profile="work")) == {"SESSIONKEY"}
        assert {signer(request).region for request in server.requests} == {"eu-west-2"}

    async def test_a_process_that_tells_credentials(self, server, tmp_path):
        told = tmp_path / "credentials.json"
        told.write_text('{"Version": 1, "AccessKeyId": "PROCESSKEY", "SecretAccessKey": "s", "SessionToken": "t"}')
        configure(f"[profile work]\ncredential_process = cat {told}\n")
        assert await signers(server, S3Options(profile="work")) == {"PROCESSKEY"}
        assert header(server.requests[0], "x-amz-security-token") == "t"

    @pytest.mark.usefixtures("aws")
    async def test_a_profile_that_does_not_exist(self):
        with pytest.raises(AccessDeniedError, match=r"profile .nobody. could not be found") as caught:
            async with S3Source("bucket", S3Options(profile="nobody")):
                pass
        assert caught.value.uri == "s3://bucket/"


class TestAssumedRoles:
    """moto plays the token service too; the profile's ``endpoint_url`` names it."""

    ROLE = "arn:aws:iam::123456789012:role/reader"

    async def test_a_role_of_another_profile(self, s3_server, bucket, scripted_s3):
        place = bucket()
        place.put("a", b"data")
        async with scripted_s3(lambda _: Forward(s3_server)) as server:
            configure(
                f"[profile work]\nrole_arn = {self.ROLE}\nsource_profile = own\nregion = us-east-1\n"
                f"endpoint_url = {s3_server}\n[profile own]\nregion = us-east-1\nendpoint_url = {s3_server}\n",
                credentials="[own]\naws_access_key_id = OWNKEY\naws_secret_access_key = s\n",
            )
            async with S3Source(place.name, S3Options(profile="work")) as source:
                assert await read(source, "a") == b"data"
        (request,) = server.requests
        assert signer(request).access_key.startswith("ASIA")
        assert header(request, "x-amz-security-token")

    async def test_a_web_identity(self, aws, s3_server, bucket, scripted_s3, tmp_path):
        place = bucket()
        place.put("a", b"data")
        (tmp_path / "token").write_text("token")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            aws.delenv(name)
        aws.setenv("AWS_ROLE_ARN", self.ROLE)
        aws.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
        aws.setenv("AWS_ENDPOINT_URL_STS", s3_server)
        async with scripted_s3(lambda _: Forward(s3_server)) as server, S3Source(place.name) as source:
            assert await read(source, "a") == b"data"
        (request,) = server.requests
        assert signer(request).access_key.startswith("ASIA")

    async def test_a_role_that_is_refused_is_told_in_a_line(self, scripted_s3):
        refused = Answer(
            b"<ErrorResponse><Error><Code>AccessDenied</Code><Message>User: arn:aws:iam::1:user/u is not authorized "
            b"to perform: sts:AssumeRole on resource: role</Message></Error></ErrorResponse>",
            403,
        )
        async with scripted_s3(lambda _: refused) as server:
            configure(
                f"[profile work]\nrole_arn = {self.ROLE}\nsource_profile = own\nendpoint_url = {server.url}\n"
                "[profile own]\n",
                credentials="[own]\naws_access_key_id = OWNKEY\naws_secret_access_key = s\n",
            )
            async with S3Source("bucket", S3Options(profile="work")) as source:
                with pytest.raises(AccessDeniedError, match="the permission sts:AssumeRole is needed") as caught:
                    await source.list_page("")
        assert "\n" not in str(caught.value)


class TestAnonymous:
    @pytest.mark.parametrize("configured", [True, False])
    async def test_no_request_is_signed(self, aws, server, configured):
        if not configured:
            for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
                aws.delenv(name)
        assert await signers(server, S3Options(anonymous=True)) == {None}
        heads = b"".join(request.head for request in server.requests).lower()
        assert b"authorization:" not in heads
        assert b"x-amz-security-token" not in heads
        assert b"signature" not in heads

    @pytest.mark.usefixtures("server")
    async def test_listings_still_come_unparsed(self):
        async with S3Source("bucket", S3Options(anonymous=True)) as source:
            page = await source.list_page("")
        assert page.rows.column("version_id").to_pylist() == ["v1"]

    @pytest.mark.usefixtures("server")
    async def test_without_it_missing_credentials_hint_at_it(self, aws):
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            aws.delenv(name)
        async with S3Source("bucket") as source:
            with pytest.raises(AccessDeniedError, match=r"no usable credentials .*anonymous=True"):
                await source.list_page("")


class TestRequesterPays:
    """``RequestPayer`` belongs to each of these but ``GetBucketVersioning`` (S3 API reference, each operation)."""

    async def test_each_request_that_may_cost_agrees(self, server):
        await do_all(S3Options(requester_pays=True))
        for request in server.requests:
            agreed = header(request, "x-amz-request-payer")
            assert agreed == (None if request.asks_for_versioning else "requester"), request

    async def test_by_default_none_does(self, server):
        await do_all(S3Options())
        assert {header(request, "x-amz-request-payer") for request in server.requests} == {None}
