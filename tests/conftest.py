"""What all tests share: a registry of their own, no settings of this machine, and a real S3 server."""

import contextlib
import os

import pytest
from hypothesis import settings

# Before they are imported, so that their assertions explain themselves.
pytest.register_assert_rewrite("conformance.suite", "conformance.walked")

from servers.azure import Container, connection_string, serve_azure  # noqa: E402
from servers.gcs import GCSBucket, serve_gcs  # noqa: E402
from servers.http import WebServer  # noqa: E402
from servers.nginx import serve_nginx  # noqa: E402
from servers.s3 import REGION, Bucket, s3_client, serve_s3  # noqa: E402
from servers.scripted import Script, ScriptedServer  # noqa: E402

# No test asserts a time, and the machine that runs them may be busy.
settings.register_profile("refscan", deadline=None, max_examples=50)
settings.load_profile("refscan")


@pytest.fixture(autouse=True)
def own_settings(monkeypatch, tmp_path):
    """Keep this machine's registry, proxies and logins out of the tests, and the tests out of them."""
    monkeypatch.setenv("REFSCAN_REGISTRY", str(tmp_path / "registry"))
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))


@pytest.fixture(scope="session")
def s3_server():
    """The endpoint of a real S3 server."""
    with serve_s3() as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def s3_sdk(s3_server):
    """The plain SDK's client for that server."""
    with s3_client(s3_server) as client:
        yield client


@pytest.fixture
def aws(monkeypatch, tmp_path):
    """An AWS environment of nothing but a region and dummy credentials, without an endpoint."""
    for name in (
        "AWS_PROFILE",
        "AWS_DEFAULT_PROFILE",
        "AWS_SESSION_TOKEN",
        "AWS_REGION",
        "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT_URL_S3",
        "AWS_S3_ENDPOINT_URL",
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
        "AWS_ROLE_ARN",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    ):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        path = tmp_path / name.lower()
        path.touch()
        monkeypatch.setenv(name, str(path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    return monkeypatch


@pytest.fixture
def s3(aws, s3_server):
    """The endpoint of a real S3 server, which the environment names too."""
    aws.setenv("AWS_S3_ENDPOINT_URL", s3_server)
    return s3_server


@pytest.fixture
def scripted_s3(aws):
    """Start a scripted server in the place of S3, which the environment names."""

    def start(script: Script) -> ScriptedServer:
        class Named(ScriptedServer):
            async def __aenter__(self):
                await super().__aenter__()
                aws.setenv("AWS_S3_ENDPOINT_URL", self.url)
                return self

        return Named(script)

    return start


@pytest.fixture
def bucket(s3, s3_sdk):  # noqa: ARG001
    """Make a fresh bucket: ``bucket()`` or ``bucket(versioned=False)``."""

    def make(*, versioned: bool = True) -> Bucket:
        return Bucket(s3_sdk, versioned=versioned)

    return make


@pytest.fixture
def gcs_env(monkeypatch, tmp_path):
    """An environment without any of Google's settings and credentials."""
    for name in ("STORAGE_EMULATOR_HOST", "GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "no-gcloud"))
    return monkeypatch


@pytest.fixture(scope="session")
def gcs_server():
    """The endpoint of a real emulator of Google Cloud Storage."""
    with serve_gcs() as endpoint:
        yield endpoint


@pytest.fixture
def gcs(gcs_env, gcs_server):
    """The endpoint of that emulator, which the environment names too."""
    gcs_env.setenv("STORAGE_EMULATOR_HOST", gcs_server)
    return gcs_server


@pytest.fixture
def gcs_bucket(gcs):
    """Make a fresh bucket: ``gcs_bucket()`` or ``gcs_bucket(versioned=False)``."""

    def make(*, versioned: bool = True) -> GCSBucket:
        return GCSBucket(gcs, versioned=versioned)

    return make


@pytest.fixture
def web_server():
    """A real web server without resources."""
    with WebServer() as server:
        yield server


@pytest.fixture
def nginx(tmp_path_factory):
    """A real nginx: put files below ``root``, choose an index with ``flavour`` (html, json, none), ask ``url``."""
    with serve_nginx(tmp_path_factory.mktemp("nginx")) as server:
        yield server


@pytest.fixture
def azure_env(monkeypatch):
    """An environment that says nothing of Azure."""
    for name in list(os.environ):
        if name.startswith("AZURE_"):
            monkeypatch.delenv(name)
    return monkeypatch


@pytest.fixture(scope="session")
def azure_server():
    """The endpoint of a real Azure Blob server, the account's name included."""
    with serve_azure() as endpoint:
        yield endpoint


@pytest.fixture
def azure(azure_env, azure_server):
    """The endpoint of a real Azure Blob server, which the environment names too."""
    azure_env.setenv("AZURE_STORAGE_CONNECTION_STRING", connection_string(azure_server))
    return azure_server


@pytest.fixture
def container(azure):
    """Make a fresh container: ``container()``."""
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(contextlib.closing(Container(azure)))
