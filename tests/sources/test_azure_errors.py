"""What a user reads when Azure says no. The codes are those of
https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes."""

import ssl
import traceback
from functools import partial

import pytest
from azure.core.exceptions import AzureError, ServiceRequestError
from conformance.suite import read
from servers.azure_service import error
from servers.scripted import Answer, Raw, ScriptedServer

from refscan.errors import AccessDeniedError, DigestMismatchError, ObjectNotFoundError, StoreError
from refscan.sources.azure import AzureSource
from refscan.sources.azure.errors import LIST, translated
from refscan.sources.options import AzureOptions

pytestmark = pytest.mark.usefixtures("azure_env")
SAS = "sv=2024-01-01&sp=rl&sig=U0VDUkVUU0VDUkVU%3D"
OPTIONS = AzureOptions(sas_token=SAS, hierarchical_namespace=False)
EXPIRED = (
    "<AuthenticationErrorDetail>Signature not valid in the specified time frame: Start [x] - Expiry [y]"
    "</AuthenticationErrorDetail>"
)
ANSWERS = [
    (error("ContainerNotFound", 404), ObjectNotFoundError, "no such container"),
    (error("ContainerBeingDeleted", 409), ObjectNotFoundError, "no such container"),
    (error("ResourceNotFound", 404), ObjectNotFoundError, "not public"),
    (error("AuthorizationPermissionMismatch", 403), AccessDeniedError, "Storage Blob Data Reader"),
    (error("AuthorizationFailure", 403), AccessDeniedError, "firewall"),
    (error("AuthenticationFailed", 403), AccessDeniedError, "not accepted"),
    (error("AuthenticationFailed", 403, EXPIRED), AccessDeniedError, "expired"),
    (error("InvalidAuthenticationInfo", 401), AccessDeniedError, "not accepted"),
    (error("NoAuthenticationInformation", 401), AccessDeniedError, "AZURE_STORAGE_SAS_TOKEN"),
    (error("PublicAccessNotPermitted", 409), AccessDeniedError, "not public"),
    (error("KeyBasedAuthenticationNotPermitted", 403), AccessDeniedError, "az login"),
    (error("AccountIsDisabled", 403), AccessDeniedError, "AccountIsDisabled"),
    (error("InvalidHeaderValue", 400), StoreError, "skipApiVersionCheck"),
    (error("BlobArchived", 409), StoreError, "archived"),
    (error("OutOfRangeInput", 400), StoreError, "OutOfRangeInput"),
    (Answer(b"<html>\nproxy\n</html>", 418), StoreError, "418"),
    (Answer(b"", 403), AccessDeniedError, "HTTP 403"),
    (Answer(b"", 404), ObjectNotFoundError, "check the name"),
    (Answer(b"not xml", 401, {"Content-Type": "application/xml"}), AccessDeniedError, "HTTP 401"),
]


def is_told_well(caught: BaseException, uri: str) -> None:
    text = str(caught)
    assert text.startswith(uri)
    assert caught.uri == uri
    shown = "".join(traceback.format_exception(caught)) + repr(caught)
    for secret in ("sig=", "U0VDUkVU", "SECRET"):
        assert secret not in text
        assert secret not in shown
    assert "\n" not in text


@pytest.mark.parametrize("operation", ["list", "stat", "open"])
@pytest.mark.parametrize(("answer", "kind", "says"), ANSWERS)
async def test_what_the_store_says(answer, kind, says, operation):
    async with (
        ScriptedServer(lambda _: answer) as server,
        AzureSource(f"{server.url}/account/container/", OPTIONS) as source,
    ):
        if operation == "stat" and answer.status == 404 and "no such container" not in says:
            assert (await source.stat(["dir%/"])).skipped == {"vanished": 1}
            return
        calls = {"list": source.list_page, "stat": lambda key: source.stat([key]), "open": partial(read, source)}
        with pytest.raises(kind) as caught:
            await calls[operation]("dir%/")
    assert type(caught.value) is kind
    is_told_well(caught.value, source.base + "dir%25/")
    # HEAD has no body, and with it no detail.
    if (operation, says) != ("stat", "expired"):
        assert says in str(caught.value)


async def test_the_permission_of_a_signature_is_named():
    answer = error("AuthorizationPermissionMismatch", 403)
    async with (
        ScriptedServer(lambda _: answer) as server,
        AzureSource(f"{server.url}/account/container/", OPTIONS) as source,
    ):
        with pytest.raises(AccessDeniedError, match="'list'"):
            await source.list_page("")
        with pytest.raises(AccessDeniedError, match="'read'"):
            await source.stat(["key"])


async def test_a_store_that_stays_busy(monkeypatch):
    async def at_once(_):
        pass

    monkeypatch.setattr("refscan.sources.retry.anyio.sleep", at_once)
    async with (
        ScriptedServer(lambda _: error("ServerBusy", 503)) as server,
        AzureSource(f"{server.url}/account/container/", OPTIONS) as source,
    ):
        with pytest.raises(StoreError, match="busy") as caught:
            await source.list_page("")
    is_told_well(caught.value, source.base)


class TestConnections:
    @pytest.mark.parametrize("raw", [b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"])
    async def test_no_http(self, raw, monkeypatch):
        async def at_once(_):
            pass

        monkeypatch.setattr("refscan.sources.retry.anyio.sleep", at_once)
        async with (
            ScriptedServer(lambda _: Raw(raw)) as server,
            AzureSource(f"{server.url}/account/container/", OPTIONS) as source,
        ):
            with pytest.raises(StoreError) as caught:
                await source.list_page("")
        is_told_well(caught.value, source.base)

    @pytest.mark.parametrize(
        ("endpoint", "says"),
        [
            ("http://127.0.0.1:1/account", "cannot be reached"),
            ("http://nobody.invalid/account", "no such host"),
            ("https://no-such-account-of-refscan.invalid", "no such host"),
        ],
    )
    async def test_nobody_there(self, endpoint, says):
        base = f"{endpoint}/container/"
        for options in (OPTIONS, AzureOptions(sas_token=SAS)):
            with pytest.raises(StoreError, match=says) as caught:
                async with AzureSource(base, options) as source:
                    await source.list_page("")
            is_told_well(caught.value, base)

    async def test_tls_with_a_server_that_speaks_none(self, web_server):
        base = f"https://{web_server.host}/account/container/"
        with pytest.raises(StoreError, match="TLS") as caught:
            async with AzureSource(base, OPTIONS) as source:
                await source.list_page("")
        is_told_well(caught.value, base)

    async def test_a_body_that_breaks_off(self):
        answer = Answer(b"half", headers={"Content-Length": "8", "ETag": '"0x1"'})
        async with (
            ScriptedServer(lambda _: answer) as server,
            AzureSource(f"{server.url}/account/container/", OPTIONS) as source,
        ):
            with pytest.raises(StoreError, match="broke off") as caught:
                await read(source, "key")
        is_told_well(caught.value, source.base + "key")


class TestTranslation:
    URI = "https://account.blob.core.windows.net/container/"

    @pytest.mark.parametrize(
        "raised",
        [
            AzureError("at https://account/?sig=U0VDUkVU"),
            ServiceRequestError("at https://account/?sig=U0VDUkVU"),
            ValueError("SECRET"),
            TimeoutError("SECRET"),
            ssl.SSLError("SECRET"),
            OSError("SECRET"),
        ],
    )
    def test_the_sdks_words_are_not_shown(self, raised):
        with pytest.raises(StoreError) as caught, translated(self.URI, LIST):
            raise raised
        is_told_well(caught.value, self.URI)

    def test_errors_of_refscan_get_the_uri(self):
        with pytest.raises(DigestMismatchError, match="why") as caught, translated(self.URI, LIST):
            raise DigestMismatchError("why")
        is_told_well(caught.value, self.URI)
