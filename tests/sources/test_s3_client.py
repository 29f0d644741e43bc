"""The SDK's client as refscan sets it up: who parses, where it asks, in which region, under which host name."""

from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError
from servers.scripted import Answer, ScriptedServer, listing

from refscan.sources.options import S3Options
from refscan.sources.s3.attempts import Attempts
from refscan.sources.s3.client import BODY, _session, open_client

OPERATIONS = {"list_objects_v2": "Contents", "list_object_versions": "Versions"}


@pytest.fixture
async def client(s3):  # noqa: ARG001  names the server
    async with open_client(S3Options(connections=4), Attempts(lambda: None)) as client:
        yield client


@pytest.mark.parametrize("operation", OPERATIONS)
class TestBodies:
    async def test_a_listing_comes_unparsed(self, client, bucket, operation):
        place = bucket()
        place.put("key", b"x")
        answer = await getattr(client, operation)(Bucket=place.name)
        assert b"<Key>key</Key>" in answer[BODY]
        assert OPERATIONS[operation] not in answer
        assert "IsTruncated" not in answer

    @pytest.mark.parametrize("listened", ["before-parse.s3", "before-parse.s3.{}"])
    async def test_the_hook_runs_ahead_of_all_on_this_service(self, client, bucket, operation, listened):
        """botocore's own handlers there would each parse the body; the order of its events is nowhere promised."""
        place = bucket()
        place.put("key", b"x")
        seen = []

        def listen(response_dict, **_):
            seen.append(response_dict["body"])

        name = "".join(word.title() for word in operation.split("_"))
        client.meta.events.register_first(listened.format(name), listen)
        answer = await getattr(client, operation)(Bucket=place.name)
        assert seen == [b"<R/>"]
        assert b"<Key>key</Key>" in answer[BODY]

    async def test_an_empty_listing_comes_unparsed(self, client, bucket, operation):
        answer = await getattr(client, operation)(Bucket=bucket().name)
        assert answer[BODY].rstrip().endswith(b"Result>")

    async def test_errors_are_the_sdks(self, client, operation):
        with pytest.raises(ClientError) as caught:
            await getattr(client, operation)(Bucket="no-such-bucket")
        assert caught.value.response["Error"]["Code"] == "NoSuchBucket"
        assert BODY not in caught.value.response

    async def test_an_error_is_one_whatever_it_says(self, aws, operation):
        root = "ListVersionsResult" if operation == "list_object_versions" else "ListBucketResult"
        answer = Answer(f"<{root}><IsTruncated>false</IsTruncated></{root}>".encode(), status=403)
        async with ScriptedServer(lambda _: answer) as server:
            aws.setenv("AWS_S3_ENDPOINT_URL", server.url)
            async with open_client(S3Options(connections=1), Attempts(lambda: None)) as client:
                with pytest.raises(ClientError) as caught:
                    await getattr(client, operation)(Bucket="bucket")
        assert BODY not in caught.value.response

    async def test_an_error_in_a_success_is_tried_again(self, aws, operation):
        error = Answer(b"<Error><Code>InternalError</Code><Message>once</Message></Error>")
        async with ScriptedServer(lambda _: error if len(server.requests) == 1 else page) as server:
            page = listing(["key"], versions=operation == "list_object_versions")
            aws.setenv("AWS_S3_ENDPOINT_URL", server.url)
            async with open_client(S3Options(connections=1), Attempts(lambda: None)) as client:
                answer = await getattr(client, operation)(Bucket="bucket")
        assert answer[BODY] == page.body
        assert len(server.requests) == 2


async def endpoint_of() -> str:
    async with open_client(S3Options(connections=1), Attempts(lambda: None)) as client:
        return client.meta.endpoint_url


class TestEndpoint:
    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            (("AWS_S3_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"), "AWS_S3_ENDPOINT_URL"),
            (("AWS_S3_ENDPOINT_URL", "AWS_ENDPOINT_URL"), "AWS_S3_ENDPOINT_URL"),
            (("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"), "AWS_ENDPOINT_URL_S3"),
            (("AWS_ENDPOINT_URL",), "AWS_ENDPOINT_URL"),
        ],
    )
    async def test_the_most_special_variable_wins(self, aws, given, expected):
        for number, name in enumerate(given):
            aws.setenv(name, f"http://127.0.0.1:{9000 + number}")
        assert await endpoint_of() == f"http://127.0.0.1:{9000 + given.index(expected)}"

    async def test_an_empty_variable_is_none(self, aws):
        aws.setenv("AWS_S3_ENDPOINT_URL", "")
        aws.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9000")
        assert await endpoint_of() == "http://127.0.0.1:9000"

    async def test_without_any_it_is_amazons(self, aws):
        aws.setenv("AWS_REGION", "eu-central-1")
        assert await endpoint_of() == "https://s3.eu-central-1.amazonaws.com"


class TestRegion:
    @pytest.mark.parametrize(
        ("region", "default", "expected"),
        [("eu-west-1", "us-west-2", "eu-west-1"), (None, "us-west-2", "us-west-2"), ("", "us-west-2", "us-west-2")],
    )
    async def test_aws_region_wins(self, aws, region, default, expected):
        aws.setenv("AWS_DEFAULT_REGION", default)
        if region is not None:
            aws.setenv("AWS_REGION", region)
        async with open_client(S3Options(connections=1), Attempts(lambda: None)) as client:
            assert client.meta.region_name == expected

    async def test_none_is_needed(self, aws):
        aws.delenv("AWS_DEFAULT_REGION")
        async with open_client(S3Options(connections=1), Attempts(lambda: None)) as client:
            assert client.meta.endpoint_url == "https://s3.amazonaws.com"


async def request_line(endpoint: str, variable: str, aws) -> tuple[str, str]:
    """Return host and path of a request for the key ``dir/key`` of ``my-bucket``; nothing is sent."""
    aws.setenv(variable, endpoint)
    async with open_client(S3Options(connections=1), Attempts(lambda: None)) as client:
        url = await client.generate_presigned_url("get_object", Params={"Bucket": "my-bucket", "Key": "dir/key"})
    return urlsplit(url).netloc, urlsplit(url).path


@pytest.mark.parametrize("variable", ["AWS_S3_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"])
class TestAddressing:
    @pytest.mark.parametrize(
        "endpoint",
        [
            "https://cwobject.com",
            "http://cwlota.com",
            "http://lota.cwlota.com:80",
            "https://object.ord1.coreweave.com",
            "https://accel-object.lga1.coreweave.com",
        ],
    )
    async def test_coreweave_has_the_bucket_in_the_host_name(self, aws, endpoint, variable):
        host = urlsplit(endpoint).netloc
        assert await request_line(endpoint, variable, aws) == (f"my-bucket.{host}", "/dir/key")

    @pytest.mark.parametrize(
        "endpoint",
        ["http://127.0.0.1:9000", "https://minio.example.com", "https://notcwobject.com", "https://docs.coreweave.com"],
    )
    async def test_others_have_it_in_the_path(self, aws, endpoint, variable):
        assert await request_line(endpoint, variable, aws) == (urlsplit(endpoint).netloc, "/my-bucket/dir/key")


def test_the_sdks_descriptions_are_read_once_in_a_process(aws, tmp_path):
    def loader():
        return _session(None)._session.get_component("data_loader")

    first = loader()
    assert loader() is first
    aws.setenv("AWS_DATA_PATH", str(tmp_path))
    assert loader() is not first
