"""Access points in a bucket's place, by ARN and by alias.

Their hosts: the S3 user guide, "Referencing access points" and "Using Amazon S3 access points for general purpose
buckets". moto has none; the scripted server stands in as a proxy, which sees the host that is asked for.
"""

from urllib.parse import urlsplit

import pytest
from conformance.suite import keys_of, read, stat_rows
from servers.s3 import signer
from servers.scripted import Answer, listing, s3_error

from refscan.errors import AccessDeniedError, StoreError
from refscan.sources.options import S3Options
from refscan.sources.s3 import S3Source
from refscan.uri import parse

ARN = "arn:aws:s3:us-west-2:123456789012:accesspoint/mine"
HERE = S3Options(endpoint_url="http://s3.example.test")


def play(request):
    if request.lists_versions or request.lists_objects:
        return listing(["dir/a", "dir/b"], versions=request.lists_versions)
    return Answer(b"data", headers={"ETag": '"x"', "x-amz-version-id": "v1"})


@pytest.fixture
def proxied(aws, scripted_s3):
    """Start a scripted server as the proxy of all requests, with the client's own region another one."""

    def start(script):
        class Proxy(type(scripted_s3(script))):
            async def __aenter__(self):
                await super().__aenter__()
                aws.delenv("AWS_S3_ENDPOINT_URL")
                aws.setenv("http_proxy", self.url)
                aws.setenv("https_proxy", self.url)
                aws.setenv("AWS_REGION", "eu-west-1")
                return self

        return Proxy(script)

    return start


@pytest.mark.parametrize("style", [None, "path", "virtual"])
async def test_everything_is_asked_of_the_access_point(proxied, style):
    options = S3Options(endpoint_url="http://s3.example.test", addressing_style=style)
    async with proxied(play) as server, S3Source(ARN, options) as source:
        assert await keys_of(source, "dir/") == ["dir/a", "dir/b"]
        assert await source.probe("dir/", after="") == "dir/a"
        assert [row["version_id"] for row in await stat_rows(source, ["dir/a"])] == ["v1"]
        assert await read(source, "dir/a", version_id="v1", e_tag="x") == b"data"
    assert {urlsplit(request.target).netloc for request in server.requests} == {"mine-123456789012.s3.example.test"}
    # The ARN's region, not the client's.
    assert {signer(request).region for request in server.requests} == {"us-west-2"}


@pytest.mark.parametrize("resource", ["accesspoint/mine", "accesspoint:mine"])
async def test_amazons_own_host(proxied, resource):
    """The tunnel's target is all that a proxy sees of https; it lets none through."""
    arn = f"arn:aws:s3:us-west-2:123456789012:{resource}"
    async with proxied(lambda _: Answer(b"", 403)) as server, S3Source(arn) as source:
        with pytest.raises(StoreError, match="proxy"):
            await source.probe("", after="")
    assert {(request.method, request.target) for request in server.requests} == {
        ("CONNECT", "mine-123456789012.s3-accesspoint.us-west-2.amazonaws.com:443")
    }


async def test_references_keep_the_arn(proxied):
    async with proxied(play), S3Source(ARN, HERE) as source:
        assert source.base == f"s3://{ARN}/"
        page = await source.list_page("dir/")
        (first, _) = source.refs(page.rows.column("key")).to_pylist()
    assert first == f"s3://{ARN}/dir/a"
    assert (parse(first).container, parse(first).key) == (ARN, "dir/a")


@pytest.mark.parametrize("name", [ARN, "mine-a1b2c3d4e5f6a1b2c3d4e5f6-s3alias"])
async def test_the_buckets_settings_are_not_asked_for(proxied, name):
    """``GetBucketVersioning`` is none of its operations (S3 user guide, "Access point compatibility")."""
    async with proxied(play) as server, S3Source(name, HERE) as source:
        page = await source.list_page("")
    assert page.rows.column("version_id").to_pylist() == ["v1", "v1"]
    assert [request.lists_versions for request in server.requests] == [True]


async def test_versions_that_it_does_not_list_are_asked_for_one_by_one(proxied):
    def script(request):
        return s3_error("AccessDenied") if request.lists_versions else play(request)

    async with proxied(script), S3Source(ARN, HERE) as source:
        assert not (await source.list_page("")).complete


@pytest.mark.usefixtures("aws")
async def test_several_regions_need_a_package():
    """Their signature, version 4A, is not the SDK's own (S3 user guide, "Multi-Region Access Points")."""
    arn = "arn:aws:s3::123456789012:accesspoint/mfzwi23gnjvgw.mrap"
    async with S3Source(arn) as source:
        with pytest.raises(StoreError, match="install awscrt") as caught:
            await source.list_page("")
    assert str(caught.value).startswith(f"s3://{arn}/")


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize(
    "arn", ["arn:aws:s3:us-west-2::accesspoint/mine", "arn:aws:s3:us-west-2:1:accesspoint/a.b", "arn:aws:s3:::bucket"]
)
async def test_what_is_no_access_point(arn):
    async with S3Source(arn) as source:
        with pytest.raises((StoreError, AccessDeniedError)) as caught:
            await source.list_page("")
    assert str(caught.value).startswith(f"s3://{arn}/")
    assert "\n" not in str(caught.value)
