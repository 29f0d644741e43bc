"""Which credential goes where, and that none is ever shown."""

import logging

import pytest
from azure.core.credentials import AccessToken, AzureNamedKeyCredential
from servers.azure import ACCOUNT, KEY, connection_string
from servers.azure_service import BlobService
from servers.scripted import ScriptedServer

from refscan.errors import AccessDeniedError, InvalidURIError, StoreError
from refscan.sources.azure import AzureSource
from refscan.sources.azure.credentials import choose_credential
from refscan.sources.options import AzureOptions

MINE = "https://mine.blob.core.windows.net/container/"
OTHER = "https://other.blob.core.windows.net/container/"
CONNECTION = "DefaultEndpointsProtocol=https;AccountName=mine;AccountKey=S0VZ;EndpointSuffix=core.windows.net"
SECRETS = ("S0VZ", "U0VDUkVU", "SECRET", KEY)


class Tokens:
    async def get_token(self, *_scopes, **_options):
        raise ValueError("SECRET\nof many lines")

    async def close(self):
        pass


def chosen(base=MINE, sas=None, environment=(), **options):
    credential = choose_credential(base, AzureOptions(**options), sas, dict(environment))
    secret = credential.secret
    assert all(word not in repr(credential) for word in SECRETS)
    match credential.kind:
        case "key":
            return (secret.named_key.name, secret.named_key.key)
        case "sas":
            return secret.signature
    return credential.kind


TOKEN = Tokens()
ENV_CONNECTION = {"AZURE_STORAGE_CONNECTION_STRING": CONNECTION}
ENV_SAS = {"AZURE_STORAGE_ACCOUNT": "mine", "AZURE_STORAGE_SAS_TOKEN": "?sig=ENV"}
ENV_KEY = {"AZURE_STORAGE_ACCOUNT_NAME": "mine", "AZURE_STORAGE_ACCOUNT_KEY": "RU5W"}


class TestOrder:
    def test_from_the_first_to_the_last(self):
        """Each step takes away what won the step before."""
        options = {
            "credential": TOKEN,
            "account_key": "S0VZ",
            "sas_token": "?sig=OPTION",
            "connection_string": CONNECTION.replace("S0VZ", "Q09OTg=="),
            "anonymous": True,
        }
        environment = {**ENV_CONNECTION, **ENV_KEY, **ENV_SAS}
        found = []
        for name in (*options, *ENV_CONNECTION, "AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_SAS_TOKEN"):
            found.append(chosen(environment=environment, **options))
            options.pop(name, None)
            environment.pop(name, None)
        assert found == [
            "token",
            ("mine", "S0VZ"),
            "sig=OPTION",
            ("mine", "Q09OTg=="),
            "anonymous",
            ("mine", "S0VZ"),
            ("mine", "RU5W"),
            "sig=ENV",
        ]
        assert chosen(environment=environment, **options) == "default"

    def test_the_uris_signature_wins_over_the_environment(self):
        assert chosen(sas="sig=URI", environment={**ENV_CONNECTION, **ENV_SAS}) == "sig=URI"
        assert chosen(sas="sig=URI", sas_token="sig=OPTION") == "sig=URI"
        assert chosen(sas="sig=URI", connection_string=CONNECTION) == "sig=URI"

    def test_a_connection_string_may_hold_a_signature(self):
        text = "BlobEndpoint=https://mine.blob.core.windows.net/;SharedAccessSignature=sv=1&sig=U0VDUkVU"
        assert chosen(connection_string=text) == "sv=1&sig=U0VDUkVU"

    def test_without_anything_it_is_the_sdks_chain(self):
        assert chosen() == "default"


class TestNoOtherAccount:
    @pytest.mark.parametrize("environment", [ENV_CONNECTION, ENV_SAS, ENV_KEY])
    def test_the_environments_secrets_stay_with_its_account(self, environment):
        assert chosen(MINE, environment=environment) != "default"
        assert chosen(OTHER, environment=environment) == "default"

    @pytest.mark.parametrize(
        "options",
        [
            {"connection_string": CONNECTION},
            {"account": "mine", "account_key": "S0VZ"},
            {"account": "mine", "sas_token": "sig=SECRET"},
            {"endpoint_url": "https://mine.blob.core.windows.net/", "sas_token": "sig=SECRET"},
        ],
    )
    def test_the_options_secrets_stay_with_their_account(self, options):
        assert chosen(MINE, **options) != "default"
        assert chosen(OTHER, **options) == "default"

    def test_a_signature_without_an_account_is_not_used(self):
        assert chosen(environment={"AZURE_STORAGE_SAS_TOKEN": "sig=SECRET"}) == "default"

    def test_a_signature_does_not_go_to_an_account_of_that_name_in_another_cloud(self):
        abroad = MINE.replace("windows.net", "chinacloudapi.cn")
        assert chosen(abroad, environment=ENV_SAS) == "default"
        assert chosen(abroad, environment=ENV_KEY) == ("mine", "RU5W")
        endpoint = {"AZURE_STORAGE_BLOB_ENDPOINT": abroad.removesuffix("/container/")}
        assert chosen(abroad, environment={**ENV_SAS, **endpoint}) == "sig=ENV"

    @pytest.mark.parametrize("host", ["mine.blob.core.windows.net.evil.test", "evil.test/mine", "mine.evil.test"])
    def test_a_host_that_looks_alike_gets_no_signature(self, host):
        assert chosen(f"https://{host}/container/", environment={**ENV_SAS, **ENV_CONNECTION}) == "default"


class TestAccounts:
    def test_an_emulators_account_stands_in_the_path(self):
        base = "http://127.0.0.1:10000/devstoreaccount1/container/"
        assert chosen(base, connection_string="UseDevelopmentStorage=true") == (ACCOUNT, KEY)
        assert chosen(base, account_key="S0VZ") == (ACCOUNT, "S0VZ")

    def test_an_endpoint_of_ones_own_has_its_account_beside_it(self):
        base = "https://blobs.example.com/container/"
        options = {"endpoint_url": "https://blobs.example.com", "account": "mine", "account_key": "S0VZ"}
        assert chosen(base, **options) == ("mine", "S0VZ")
        text = "AccountName=mine;AccountKey=S0VZ;BlobEndpoint=https://blobs.example.com"
        assert chosen(base, connection_string=text) == ("mine", "S0VZ")

    def test_a_connection_string_that_cannot_be_read_is_not_shown(self):
        with pytest.raises(InvalidURIError) as caught:
            chosen(connection_string="SECRET")
        assert "SECRET" not in str(caught.value)


class TestUse:
    async def test_the_emulator_takes_them_all(self, container, azure_env):
        from datetime import UTC, datetime, timedelta

        from azure.storage.blob import ContainerSasPermissions, generate_container_sas

        place = container()
        place.put("a b/é%", b"x")
        azure_env.delenv("AZURE_STORAGE_CONNECTION_STRING")
        endpoint = place.uri.rstrip("/").rpartition("/")[0]
        sas = generate_container_sas(
            ACCOUNT,
            place.name,
            KEY,
            permission=ContainerSasPermissions(read=True, list=True),
            expiry=datetime.now(UTC) + timedelta(hours=1),
        )
        for how, options in (
            (None, AzureOptions(account_key=KEY)),
            (None, AzureOptions(sas_token="?" + sas)),
            (None, AzureOptions(connection_string=connection_string(endpoint))),
            (sas, AzureOptions()),
        ):
            async with AzureSource(place.uri, options, sas=how) as source:
                assert (await source.list_page("")).rows.column("key").to_pylist() == ["a b/é%"]
                assert (await source.stat(["a b/é%"])).rows.num_rows == 1
                assert all(word not in repr((source, source.__dict__)) for word in (KEY, sas, "sig="))

    async def test_a_token_that_cannot_be_had_is_one_line(self, azure_env):  # noqa: ARG002
        with pytest.raises(AccessDeniedError, match="credential=") as caught:
            async with AzureSource(MINE, AzureOptions(credential=TOKEN)):
                pass
        assert caught.value.uri == MINE
        assert "SECRET" not in str(caught.value)
        assert "\n" not in str(caught.value)

    async def test_tokens_do_not_go_over_plain_http(self, azure_env):  # noqa: ARG002
        class Ready(Tokens):
            async def get_token(self, *_scopes, **_options):
                return AccessToken("SECRET", 1 << 40)

        async with ScriptedServer(BlobService()) as server:
            with pytest.raises(StoreError, match="http://"):
                async with AzureSource(f"{server.url}/account/container/", AzureOptions(credential=Ready())):
                    pass
            assert server.requests == []

    async def test_without_credentials_the_variables_are_named(self, azure_env, tmp_path, caplog, capfd):
        azure_env.setenv("PATH", str(tmp_path))  # no command line tools that are logged in
        azure_env.setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")  # and no cloud's metadata
        with pytest.raises(AccessDeniedError, match="AZURE_STORAGE_CONNECTION_STRING") as caught:
            async with AzureSource(MINE):
                pass
        assert str(caught.value).startswith(MINE)
        assert "\n" not in str(caught.value)
        assert capfd.readouterr().err == ""
        assert logging.getLogger("azure").handlers
        assert all("SECRET" not in record.getMessage() for record in caplog.records)

    async def test_a_key_that_is_no_base64(self, azure_env):  # noqa: ARG002
        async with ScriptedServer(BlobService()) as server:
            with pytest.raises(AccessDeniedError, match="Base64") as caught:
                async with AzureSource(f"{server.url}/account/container/", AzureOptions(account_key="SECRET!")):
                    pass
        assert "SECRET" not in str(caught.value)

    def test_named_keys_hide_their_key(self):
        assert KEY not in repr(AzureNamedKeyCredential(ACCOUNT, KEY))
