"""Which endpoint is asked, whoever names it, and where in its URLs the bucket stands."""

import os
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from servers.s3 import header
from servers.scripted import listing, versioning

from refscan.errors import StoreError
from refscan.sources.options import S3Options
from refscan.sources.s3 import S3Source

SECRET = "q7SECRETq7"


def empty(request):
    return versioning(None) if request.asks_for_versioning else listing([])


async def asked(options: S3Options = S3Options(), bucket: str = "my-bucket") -> tuple[str, str]:  # noqa: B008
    """Return host and path that a request for ``dir/key`` has; nothing is sent."""
    async with S3Source(bucket, options) as source:
        url = await source._client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "dir/key"})
    return urlsplit(url).netloc, urlsplit(url).path


def configure(text: str) -> None:
    Path(os.environ["AWS_CONFIG_FILE"]).write_text(text)


CONFIGURED = {
    "profile": "[default]\nendpoint_url = {}\n",
    "services": "[default]\nservices = here\n[services here]\ns3 =\n  endpoint_url = {}\n",
}


class TestWhoNamesIt:
    @pytest.mark.parametrize("by", CONFIGURED)
    async def test_the_shared_configuration(self, aws, scripted_s3, by):
        async with scripted_s3(empty) as server:
            aws.delenv("AWS_S3_ENDPOINT_URL")
            configure(CONFIGURED[by].format(server.url))
            async with S3Source("bucket") as source:
                assert (await source.list_page("")).next_after is None
        assert len(server.requests) == 2

    @pytest.mark.usefixtures("aws")
    async def test_the_service_wins_over_the_profile(self):
        configure(
            "[default]\nservices = here\nendpoint_url = http://127.0.0.1:1\n"
            "[services here]\ns3 =\n  endpoint_url = http://127.0.0.1:2\n"
        )
        assert await asked() == ("127.0.0.1:2", "/my-bucket/dir/key")

    @pytest.mark.parametrize("variable", ["AWS_S3_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"])
    async def test_variables_win_over_the_configuration_and_options_over_all(self, aws, variable):
        configure("[default]\nendpoint_url = http://127.0.0.1:1\n")
        aws.setenv(variable, "http://127.0.0.1:2")
        assert await asked() == ("127.0.0.1:2", "/my-bucket/dir/key")
        assert await asked(S3Options(endpoint_url="http://127.0.0.1:3")) == ("127.0.0.1:3", "/my-bucket/dir/key")

    async def test_the_endpoint_of_a_profile_that_is_an_option(self, aws):
        configure("[profile work]\nendpoint_url = http://127.0.0.1:1\nregion = x\n")
        Path(os.environ["AWS_SHARED_CREDENTIALS_FILE"]).write_text(
            "[work]\naws_access_key_id = k\naws_secret_access_key = s\n"
        )
        assert await asked(S3Options(profile="work")) == ("127.0.0.1:1", "/my-bucket/dir/key")
        aws.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:2")
        assert await asked(S3Options(profile="work")) == ("127.0.0.1:2", "/my-bucket/dir/key")


@pytest.mark.usefixtures("aws")
class TestAddressing:
    @pytest.mark.parametrize("endpoint", ["https://cwobject.com", "http://cwlota.com"])
    @pytest.mark.parametrize("by", [*CONFIGURED, "options"])
    async def test_coreweave_whoever_names_it(self, endpoint, by):
        if by in CONFIGURED:
            configure(CONFIGURED[by].format(endpoint))
        options = S3Options(endpoint_url=endpoint) if by == "options" else S3Options()
        assert await asked(options) == (f"my-bucket.{urlsplit(endpoint).netloc}", "/dir/key")

    async def test_coreweave_on_the_wire(self, aws, scripted_s3):
        """The scripted server stands in for a proxy, which sees the host that is asked for."""
        async with scripted_s3(empty) as server:
            aws.delenv("AWS_S3_ENDPOINT_URL")
            aws.setenv("http_proxy", server.url)
            async with S3Source("my-bucket", S3Options(endpoint_url="http://cwobject.com")) as source:
                await source.list_page("")
        assert {urlsplit(request.target).netloc for request in server.requests} == {"my-bucket.cwobject.com"}
        assert {header(request, "host") for request in server.requests} == {"my-bucket.cwobject.com"}

    @pytest.mark.parametrize("bucket", ["with.dots", "Upper-Case", "under_score", "ab.c-"])
    @pytest.mark.parametrize("style", [None, "virtual"])
    async def test_names_that_no_host_can_have_stand_in_the_path(self, bucket, style):
        options = S3Options(endpoint_url="https://cwobject.com", addressing_style=style)
        assert await asked(options, bucket) == ("cwobject.com", f"/{bucket}/dir/key")
        host, path = await asked(S3Options(region="eu-west-1", addressing_style=style), bucket)
        assert host.startswith("s3.")
        assert path == f"/{bucket}/dir/key"

    @pytest.mark.parametrize(
        "endpoint", ["http://127.0.0.1:9000", "http://localhost:9000", "https://[::1]:9000", "http://minio:9000"]
    )
    async def test_other_endpoints_have_the_bucket_in_the_path(self, endpoint):
        assert await asked(S3Options(endpoint_url=endpoint)) == (urlsplit(endpoint).netloc, "/my-bucket/dir/key")

    async def test_an_address_has_no_subdomains(self):
        options = S3Options(endpoint_url="http://127.0.0.1:9000", addressing_style="virtual")
        assert await asked(options) == ("127.0.0.1:9000", "/my-bucket/dir/key")

    async def test_the_option(self):
        virtual = S3Options(endpoint_url="https://minio.example.com", addressing_style="virtual")
        assert await asked(virtual) == ("my-bucket.minio.example.com", "/dir/key")
        path = S3Options(endpoint_url="https://cwobject.com", addressing_style="path")
        assert await asked(path) == ("cwobject.com", "/my-bucket/dir/key")
        amazon = S3Options(addressing_style="path", region="eu-west-1")
        assert await asked(amazon) == ("s3.eu-west-1.amazonaws.com", "/my-bucket/dir/key")

    async def test_the_style_of_the_shared_configuration(self):
        configure("[default]\ns3 =\n  addressing_style = virtual\nendpoint_url = https://minio.example.com\n")
        assert await asked() == ("my-bucket.minio.example.com", "/dir/key")


class TestNoEndpoint:
    """What cannot be one is told before anything is sent."""

    @pytest.mark.parametrize("variable", ["AWS_S3_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "option"])
    @pytest.mark.parametrize("endpoint", ["localhost:9000", "minio.example.com", "//host", "s3://host", "host"])
    async def test_without_a_scheme(self, aws, variable, endpoint):
        options = S3Options(endpoint_url=endpoint if variable == "option" else None)
        if variable != "option":
            aws.setenv(variable, endpoint)
        with pytest.raises(StoreError, match="no URL with a scheme; write https://") as caught:
            async with S3Source("bucket", options):
                pass
        named = "endpoint_url" if variable == "option" else variable
        assert str(caught.value).startswith(f"s3://bucket/: {named} is ")
        assert caught.value.uri == "s3://bucket/"

    @pytest.mark.parametrize("by", CONFIGURED)
    @pytest.mark.usefixtures("aws")
    async def test_without_a_scheme_in_the_shared_configuration(self, by):
        configure(CONFIGURED[by].format("localhost:9000"))
        with pytest.raises(StoreError, match=r"s3://bucket/: .*localhost:9000") as caught:
            async with S3Source("bucket"):
                pass
        assert "https://" in str(caught.value)

    @pytest.mark.parametrize(
        "endpoint", ["https://", "http://bad host", "http://host:port", f"http://u:{SECRET}@bad host/", "https://:80"]
    )
    async def test_without_a_host(self, aws, endpoint):
        aws.setenv("AWS_S3_ENDPOINT_URL", endpoint)
        with pytest.raises(StoreError, match="s3://bucket/: AWS_S3_ENDPOINT_URL ") as caught:
            async with S3Source("bucket"):
                pass
        assert SECRET not in str(caught.value)

    @pytest.mark.parametrize("by", [*CONFIGURED, "AWS_S3_ENDPOINT_URL", "AWS_ENDPOINT_URL"])
    async def test_with_a_login(self, aws, by):
        endpoint = f"http://user:{SECRET}@127.0.0.1:9000"
        if by in CONFIGURED:
            configure(CONFIGURED[by].format(endpoint))
        else:
            aws.setenv(by, endpoint)
        with pytest.raises(StoreError, match="holds a login") as caught:
            async with S3Source("bucket"):
                pass
        assert SECRET not in str(caught.value)
        assert "http://127.0.0.1:9000" in str(caught.value)


class TestWhereItIs:
    @pytest.mark.parametrize("region", ["us-east-1", "eu-central-1", "cn-north-1"])
    async def test_aws_is_one_place(self, aws, region):
        aws.setenv("AWS_REGION", region)
        async with S3Source("bucket") as source:
            assert source.endpoint is None

    async def test_others_are_told_apart(self, aws):
        aws.setenv("AWS_S3_ENDPOINT_URL", "http://127.0.0.1:9000")
        async with S3Source("bucket") as source:
            assert source.endpoint == "http://127.0.0.1:9000"
