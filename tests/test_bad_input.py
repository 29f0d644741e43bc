"""What people get wrong, in one table: one line that says what happened, for which URI, and what to try.

Nothing is added, nothing secret is shown, and no row takes ten seconds: the time limit of each has room for a busy
machine, not for a second try at what cannot work.
"""

import json
import socket
from contextlib import AsyncExitStack
from dataclasses import dataclass

import anyio
import pytest
from servers.azure import ACCOUNT, connection_string
from servers.scripted import Answer, ScriptedServer, Stall
from servers.tls import serve_tls, write_certificate

from refscan import (
    AccessDeniedError,
    Artifact,
    AzureOptions,
    GCSOptions,
    InvalidURIError,
    MaxObjectsExceededError,
    ObjectNotFoundError,
    RefscanError,
    S3Options,
    StoreError,
    UnsupportedSchemeError,
)
from refscan.sources.retry import BUSY

SECRET = "q7SECRETq7"
pytestmark = pytest.mark.timeout(20)


@dataclass(frozen=True)
class Case:
    """A store, what it answers, and what a person is told."""

    name: str
    store: str
    answer: object
    error: type[RefscanError]
    words: tuple[str, ...]


def s3_error(status: int, code: str, **headers: str) -> Answer:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html."""
    body = f"<Error><Code>{code}</Code><Message>{code} was said.</Message><RequestId>1</RequestId></Error>"
    return Answer(body.encode(), status, {"Content-Type": "application/xml", "x-amz-request-id": "1", **headers})


def gcs_error(status: int, message: str) -> Answer:
    """https://cloud.google.com/storage/docs/json_api/v1/status-codes."""
    body = json.dumps({"error": {"code": status, "message": message}})
    return Answer(body.encode(), status, {"Content-Type": "application/json"})


def azure_error(status: int, code: str, detail: str = "") -> Answer:
    """https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes."""
    more = f"<AuthenticationErrorDetail>{detail}</AuthenticationErrorDetail>" if detail else ""
    body = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>{code} was said.</Message>{more}</Error>'
    return Answer(body.encode(), status, {"Content-Type": "application/xml", "x-ms-error-code": code})


PAGE = Answer(b"<html>\n<body>It works!</body>\n</html>", headers={"Content-Type": "text/html"})
NO_PAGE = Answer(b"<html>\n<body>Not here.</body>\n</html>", 404, {"Content-Type": "text/html"})

ANSWERED = [
    Case("missing bucket", "s3", s3_error(404, "NoSuchBucket"), ObjectNotFoundError, ("no such bucket",)),
    Case("no permission", "s3", s3_error(403, "AccessDenied"), AccessDeniedError, ("s3:ListBucket",)),
    Case("expired token", "s3", s3_error(400, "ExpiredToken"), AccessDeniedError, ("ExpiredToken", "renew")),
    Case("wrong key", "s3", s3_error(403, "InvalidAccessKeyId"), AccessDeniedError, ("AWS_ACCESS_KEY_ID",)),
    Case("wrong secret", "s3", s3_error(403, "SignatureDoesNotMatch"), AccessDeniedError, ("SECRET_ACCESS_KEY",)),
    Case("clock", "s3", s3_error(403, "RequestTimeTooSkewed"), AccessDeniedError, ("clock",)),
    Case("region", "s3", s3_error(400, "AuthorizationHeaderMalformed"), StoreError, ("AWS_REGION",)),
    Case("no store", "s3", PAGE, StoreError, ("endpoint",)),
    Case("no page", "s3", NO_PAGE, StoreError, ("endpoint",)),
    Case(
        "missing bucket", "gs", gcs_error(404, "The specified bucket does not exist."), ObjectNotFoundError, ("bucket",)
    ),
    Case("no permission", "gs", gcs_error(403, "No access."), AccessDeniedError, ("storage.objects.list",)),
    Case("expired token", "gs", gcs_error(401, "Invalid Credentials"), AccessDeniedError, ("gcloud auth",)),
    Case(
        "no credentials",
        "gs",
        gcs_error(401, "Anonymous caller does not have access."),
        AccessDeniedError,
        ("GOOGLE_APPLICATION_CREDENTIALS",),
    ),
    Case("no store", "gs", PAGE, StoreError, ("cannot be read",)),
    Case("missing container", "az", azure_error(404, "ContainerNotFound"), ObjectNotFoundError, ("container",)),
    Case(
        "no permission",
        "az",
        azure_error(403, "AuthorizationPermissionMismatch"),
        AccessDeniedError,
        ("Storage Blob Data Reader",),
    ),
    Case(
        "wrong key",
        "az",
        azure_error(403, "AuthenticationFailed", f"The MAC signature {SECRET} is wrong"),
        AccessDeniedError,
        ("AZURE_STORAGE",),
    ),
    Case("no store", "az", PAGE, StoreError, ()),
    Case("missing", "http", Answer(b"", 404), ObjectNotFoundError, ("not found", "check the URL")),
    Case("no permission", "http", Answer(b"", 403), AccessDeniedError, ("HTTP 403", "~/.netrc")),
    Case("login", "http", Answer(b"", 401), AccessDeniedError, ("~/.netrc",)),
    Case("broken", "http", Answer(b"", 501), StoreError, ("HTTP 501",)),
]
assert not {case.answer.status for case in ANSWERED} & BUSY, "what is busy is asked again"


@pytest.fixture
def stores(aws, gcs_env, azure_env):
    """Let every store's endpoint be this one, and return the URI of a folder in each."""

    def point(endpoint: str) -> dict[str, str]:
        aws.setenv("AWS_S3_ENDPOINT_URL", endpoint)
        gcs_env.setenv("STORAGE_EMULATOR_HOST", endpoint)
        azure_env.setenv("AZURE_STORAGE_CONNECTION_STRING", connection_string(f"{endpoint}/{ACCOUNT}"))
        return {
            "s3": "s3://bucket/folder/",
            "gs": "gs://bucket/folder/",
            "az": "az://container/folder/",
            "http": f"{endpoint}/folder/file",
        }

    return point


async def told(uri: str, error: type[RefscanError], **options) -> str:
    """Return the one line that a person gets for a reference that fails, and see that nothing was added."""
    artifact = Artifact("data", type="dataset")
    with pytest.raises(error) as caught:
        await artifact.add_reference(uri, **options)
    artifact.seal()
    assert list(artifact.draft.batches()) == []
    text = str(caught.value)
    assert "\n" not in text
    assert SECRET not in text + repr(caught.value)
    assert caught.value.uri is not None
    assert caught.value.uri in text
    return text


@pytest.mark.parametrize("case", ANSWERED, ids=lambda case: f"{case.store}-{case.name}".replace(" ", "-"))
async def test_what_the_store_answers(stores, case):
    async with ScriptedServer(lambda _: case.answer) as server:
        text = await told(stores(server.url)[case.store], case.error)
    assert all(word in text for word in case.words), text


REAL = [
    ("s3", "missing", ObjectNotFoundError, "no such bucket"),
    ("s3", "missing/object", ObjectNotFoundError, "no such bucket"),
    ("s3", "{bucket}/object", ObjectNotFoundError, "neither an object nor a folder"),
    ("s3", "{bucket}/object?versionId=1", ObjectNotFoundError, "no version"),
    ("gs", "missing-bucket", ObjectNotFoundError, "no such bucket"),
    ("gs", "{bucket}/object", ObjectNotFoundError, "neither an object nor a folder"),
    ("gs", "{bucket}/object#5", ObjectNotFoundError, "no version '5'"),
    ("az", "missing-container", ObjectNotFoundError, "container"),
    ("az", "{bucket}/object", ObjectNotFoundError, "neither an object nor a folder"),
]


@pytest.mark.parametrize(("scheme", "place", "error", "words"), REAL)
async def test_what_is_not_there(request, scheme, place, error, words):
    made = request.getfixturevalue({"s3": "bucket", "gs": "gcs_bucket", "az": "container"}[scheme])()
    made.put("other", b"x")
    assert words in await told(f"{scheme}://{place.format(bucket=made.name)}", error)


@pytest.mark.parametrize("scheme", ["s3", "gs", "az", "http"])
class TestEndpoints:
    async def test_nobody_listens(self, stores, scheme):
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            uri = stores(f"http://127.0.0.1:{unused.getsockname()[1]}")[scheme]
            assert "cannot be reached" in await told(uri, StoreError)

    async def test_no_such_host(self, stores, scheme):
        text = await told(stores("http://nowhere.invalid")[scheme], StoreError)
        assert "cannot be reached" in text or "no such host" in text

    async def test_a_certificate_that_nobody_vouches_for(self, stores, scheme, tmp_path):
        async with serve_tls(write_certificate(tmp_path / "server.pem")) as url:
            options = {"options": GCSOptions(anonymous=True)} if scheme == "gs" else {}
            assert "TLS failed" in await told(stores(url)[scheme], StoreError, **options)

    async def test_an_answer_that_never_ends_can_be_given_up(self, stores, scheme):
        async with AsyncExitStack() as stack:
            server = await stack.enter_async_context(ScriptedServer(lambda _: Stall(b"<")))
            artifact = Artifact("data", type="dataset")
            async with anyio.create_task_group() as group:
                group.start_soon(artifact.add_reference, stores(server.url)[scheme])
                await server.stalled.wait()
                group.cancel_scope.cancel()
            await server.abandoned.wait()
        artifact.seal()
        assert list(artifact.draft.batches()) == []


class TestCredentials:
    async def test_none_for_s3(self, aws, s3_server):
        aws.setenv("AWS_S3_ENDPOINT_URL", s3_server)
        aws.delenv("AWS_ACCESS_KEY_ID")
        aws.delenv("AWS_SECRET_ACCESS_KEY")
        text = await told("s3://bucket/", AccessDeniedError)
        assert "AWS_ACCESS_KEY_ID" in text
        assert "S3Options(anonymous=True)" in text

    async def test_a_profile_that_is_not_there(self, aws):
        aws.delenv("AWS_ACCESS_KEY_ID")
        text = await told("s3://bucket/", AccessDeniedError, options=S3Options(profile="nobody"))
        assert "nobody" in text

    async def test_none_for_google(self, gcs_env):  # noqa: ARG002  nothing set
        text = await told("gs://bucket/", AccessDeniedError)
        assert "GOOGLE_APPLICATION_CREDENTIALS" in text
        assert "GCSOptions(anonymous=True)" in text

    async def test_none_for_azure(self, azure_env):
        azure_env.setenv("AZURE_TOKEN_CREDENTIALS", "dev")  # no metadata service is looked for
        text = await told("https://account.blob.core.windows.net/container/", AccessDeniedError)
        assert "AZURE_STORAGE_CONNECTION_STRING" in text

    async def test_a_connection_string_that_is_none(self, azure_env):
        azure_env.setenv("AZURE_STORAGE_CONNECTION_STRING", SECRET)
        with pytest.raises(InvalidURIError, match="connection string") as caught:
            await Artifact("data", type="dataset").add_reference("az://container/x")
        assert SECRET not in str(caught.value)

    async def test_an_account_key_that_is_none(self, azure_env):  # noqa: ARG002  nothing set
        options = AzureOptions(account="account", account_key=f"{SECRET}!")
        text = await told("az://container/x", AccessDeniedError, options=options)
        assert "account key" in text or "account_key" in text


@pytest.mark.parametrize(
    ("uri", "error", "words"),
    [
        ("data/images", InvalidURIError, "file://"),
        ("s3:///key", InvalidURIError, "names no bucket"),
        ("gs://", InvalidURIError, "gs://BUCKET/KEY"),
        ("az://container/blob", InvalidURIError, "AZURE_STORAGE_ACCOUNT"),
        ("https://account.blob.core.windows.net/", InvalidURIError, "names no container"),
        ("https://account.blob.core.windows.net/c/b?snapshot=1", InvalidURIError, "only versions"),
        ("abfss://c@not.an.account/x", InvalidURIError, "ACCOUNT.dfs.core.windows.net"),
        ("file://relative/path", InvalidURIError, "file:///PATH"),
        ("http:///path", InvalidURIError, "names no host"),
        ("weird://host/x", InvalidURIError, "give name="),
    ],
)
async def test_uris_that_cannot_be_read(azure_env, uri, error, words):  # noqa: ARG001  nothing set
    assert words in await told(uri, error)


async def test_a_limit_says_how_to_lift_it(gcs_bucket):
    bucket = gcs_bucket()
    for number in range(4):
        bucket.put(str(number), b"x")
    assert "max_objects=None" in await told(bucket.uri, MaxObjectsExceededError, max_objects=3)


async def test_an_unsupported_scheme_among_many():
    with pytest.raises(UnsupportedSchemeError, match="weird://"):
        await Artifact("data", type="dataset").add_references(["weird://host/x"])
