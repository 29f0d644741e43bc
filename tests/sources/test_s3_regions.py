"""Buckets that lie elsewhere than asked for: followed, with and without a region set.

How S3 tells: the S3 API reference, ``HeadBucket`` and "Error responses" (``PermanentRedirect``,
``AuthorizationHeaderMalformed``), and the S3 user guide, "Request redirection".
"""

import pytest
from aiobotocore.awsrequest import AioAWSResponse
from conformance.suite import read, stat_rows
from servers.s3 import signer
from servers.scripted import Answer, listing, s3_error, versioning

from refscan.errors import AccessDeniedError, StoreError
from refscan.sources.options import S3Options
from refscan.sources.s3 import S3Source
from refscan.sources.s3.client import BODY

HOME = "eu-west-3"
NAMED = {"x-amz-bucket-region": HOME}
MALFORMED = f"<Error><Code>AuthorizationHeaderMalformed</Code><Message>m</Message><Region>{HOME}</Region></Error>"
OPERATIONS = {
    "list": lambda source: source.list_page(""),
    "probe": lambda source: source.probe("", after=""),
    "stat": lambda source: stat_rows(source, ["a"]),
    "open": lambda source: read(source, "a"),
}
# What S3 says to a request for another region; to a HEAD it says so without a body.
TOLD = {
    "redirect": Answer(s3_error("PermanentRedirect").body, 301, NAMED),
    "temporary": Answer(s3_error("TemporaryRedirect").body, 307, NAMED),
    "bad request": Answer(b"", 400, NAMED),
    "forbidden": Answer(b"", 403, NAMED),
    "denied": Answer(s3_error("AccessDenied").body, 403, NAMED),
    "malformed": Answer(MALFORMED.encode(), 400, NAMED),
    "opt-in region": Answer(s3_error("IllegalLocationConstraintException").body, 400, NAMED),
}


def at_home(request):
    if request.asks_for_versioning:
        return versioning("Enabled")
    if request.lists_versions or request.lists_objects:
        return listing(["a"], versions=request.lists_versions)
    return Answer(b"data", headers={"ETag": '"x"'})


def elsewhere(answer: Answer):
    return lambda request: at_home(request) if signer(request).region == HOME else answer


@pytest.fixture(params=[None, "us-west-2"])
def region(request, aws):
    """No region at all, or a wrong one."""
    aws.delenv("AWS_DEFAULT_REGION")
    if request.param:
        aws.setenv("AWS_REGION", request.param)
    return request.param


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("told", TOLD)
async def test_a_bucket_is_followed(scripted_s3, region, told, operation):
    async with scripted_s3(elsewhere(TOLD[told])) as server, S3Source("bucket") as source:
        assert await OPERATIONS[operation](source)
        first, second, *others = (signer(request).region for request in server.requests)
        assert (first, second) == (region or "us-east-1", HOME)
        assert set(others) <= {HOME}
        assert source.requests == len(server.requests)
        # It is remembered.
        del server.requests[:]
        await source.probe("", after="")
        assert [signer(request).region for request in server.requests] == [HOME]


async def test_a_region_that_only_the_body_tells(scripted_s3, region):  # noqa: ARG001
    told = Answer(MALFORMED.encode(), 400)
    for operation in ("list", "probe", "open"):
        async with scripted_s3(elsewhere(told)), S3Source("bucket") as source:
            assert await OPERATIONS[operation](source)


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_a_redirect_to_nowhere_ends(scripted_s3, operation):
    async with scripted_s3(lambda _: TOLD["redirect"]) as server, S3Source("bucket") as source:
        with pytest.raises(StoreError, match="set AWS_REGION") as caught:
            await OPERATIONS[operation](source)
    assert len(server.requests) == 2
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("operation", ["probe", "stat", "open"])
@pytest.mark.parametrize("anonymous", [True, False])
async def test_a_denial_at_home_is_a_denial(scripted_s3, operation, anonymous):
    async with scripted_s3(lambda _: TOLD["denied"]) as server, S3Source("b", S3Options(anonymous=anonymous)) as source:
        with pytest.raises(AccessDeniedError, match="the permission s3:"):
            await OPERATIONS[operation](source)
    assert len(server.requests) == 2


class TestAmazonsHosts:
    """What is asked of Amazon itself, answered before it is sent."""

    @staticmethod
    async def asked(options: S3Options, operation: str) -> list[str]:
        urls = []

        class Content:
            def __init__(self, body: bytes) -> None:
                self.body = body

            async def read(self) -> bytes:
                return self.body

        def answer(request, **_):
            urls.append(request.url)
            away = HOME not in request.url
            body = TOLD["redirect"].body if away else listing(["a"]).body
            return AioAWSResponse(request.url, 301 if away else 200, NAMED, Content(body))

        async with S3Source("bucket", options) as source:
            source._client.meta.events.register("before-send.s3", answer)
            found = await getattr(source._client, operation)(Bucket="bucket")
            assert BODY in found
        return [url.partition("?")[0] for url in urls]

    @pytest.mark.parametrize("anonymous", [True, False])
    async def test_the_regions_own_is_asked(self, aws, anonymous):
        aws.delenv("AWS_DEFAULT_REGION")
        assert await self.asked(S3Options(anonymous=anonymous), "list_objects_v2") == [
            "https://bucket.s3.amazonaws.com/",
            f"https://bucket.s3.{HOME}.amazonaws.com/",
        ]

    async def test_a_region_that_is_right_is_asked_at_once(self, aws):
        aws.setenv("AWS_REGION", "us-west-2")
        options = S3Options(region=HOME)
        assert await self.asked(options, "list_objects_v2") == [f"https://bucket.s3.{HOME}.amazonaws.com/"]


async def test_options_win_over_the_environment(aws, scripted_s3):
    aws.setenv("AWS_REGION", "us-west-2")
    async with scripted_s3(at_home) as server, S3Source("bucket", S3Options(region="ap-south-1")) as source:
        await source.probe("", after="")
    assert signer(server.requests[0]).region == "ap-south-1"
