"""Names of Azure's blobs: https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refscan.errors import InvalidURIError
from refscan.sources.azure.endpoint import blob_endpoints, connection_settings, is_configured
from refscan.sources.options import AzureOptions
from refscan.sources.schemes import has_source, locate, open_source
from refscan.uri import parse, parse_ref, quote_key

ACCOUNT = "https://account.blob.core.windows.net"
EMULATOR = "http://127.0.0.1:10000/devstoreaccount1"
SAS = "sv=2024-01-01&se=2030-01-01T00%3A00%3A00Z&sr=c&sp=rl&sig=abc%2Fdef%3D"


class TestPublicNames:
    @pytest.mark.parametrize(
        ("uri", "base", "key"),
        [
            (f"{ACCOUNT}/c/dir/blob", f"{ACCOUNT}/c/", "dir/blob"),
            (f"{ACCOUNT}/c/", f"{ACCOUNT}/c/", ""),
            (f"{ACCOUNT}/c", f"{ACCOUNT}/c/", ""),
            (f"{ACCOUNT}/$root/blob", f"{ACCOUNT}/$root/", "blob"),
            ("HTTPS://Account.Blob.Core.Windows.Net/c/Blob", f"{ACCOUNT}/c/", "Blob"),
            ("http://account.blob.core.windows.net/c/b", f"{ACCOUNT}/c/", "b"),
            ("https://account.dfs.core.windows.net/c/b", f"{ACCOUNT}/c/", "b"),
            ("abfss://c@account.dfs.core.windows.net/d/b", f"{ACCOUNT}/c/", "d/b"),
            ("abfs://c@account.dfs.core.windows.net/", f"{ACCOUNT}/c/", ""),
            ("abfss://c@account/d", f"{ACCOUNT}/c/", "d"),
            ("https://a.blob.core.chinacloudapi.cn/c/b", "https://a.blob.core.chinacloudapi.cn/c/", "b"),
            ("https://a.blob.core.usgovcloudapi.net/c/b", "https://a.blob.core.usgovcloudapi.net/c/", "b"),
            ("https://a.z01.blob.storage.azure.net/c/b", "https://a.z01.blob.storage.azure.net/c/", "b"),
        ],
    )
    def test_they_are_read(self, uri, base, key):
        location = parse(uri)
        assert (location.base, location.key, location.store) == (base, key, "azure")

    @pytest.mark.parametrize(
        "uri",
        [
            "https://account.blob.core.windows.net.evil.test/c/b",
            "https://evil.test/account.blob.core.windows.net/c/b",
            "https://blob.core.windows.net/c/b",
            "https://account.table.core.windows.net/c/b",
            "https://user@account.blob.core.windows.net:8443/c/b",
        ],
    )
    def test_others_are_not(self, uri):
        assert parse(uri).store == "http"

    @pytest.mark.parametrize("rest", ["", "/", "/?comp=list", "//blob", "/con_tainer/blob"])
    def test_a_container_must_be_named(self, rest):
        with pytest.raises(InvalidURIError, match="container") as caught:
            parse(ACCOUNT + rest)
        assert "\n" not in str(caught.value)

    def test_snapshots_are_refused(self):
        with pytest.raises(InvalidURIError, match="versionId"):
            parse(f"{ACCOUNT}/c/b?snapshot=2024-01-01T00:00:00.0000000Z")


class TestPinsAndSignatures:
    VERSION = "2024-05-09T17:08:44.1234567Z"

    @pytest.mark.parametrize("name", ["versionId", "versionid"])
    def test_a_version(self, name):
        location = parse(f"{ACCOUNT}/c/b?{name}={self.VERSION}")
        assert (location.key, location.version_id, location.sas) == ("b", self.VERSION, None)

    @pytest.mark.parametrize("query", [f"versionId={VERSION}&{SAS}", f"{SAS}&versionId={VERSION}"])
    def test_a_version_beside_a_signature(self, query):
        location = parse(f"{ACCOUNT}/c/b?{query}")
        assert (location.key, location.version_id, location.sas) == ("b", self.VERSION, SAS)

    def test_a_signature_is_never_shown(self):
        location = parse(f"{ACCOUNT}/c/dir/b?{SAS}")
        assert location.sas == SAS
        for shown in (repr(location), location.uri, location.base, location.key):
            assert "sig" not in shown
            assert "abc" not in shown

    @pytest.mark.parametrize("uri", [f"{ACCOUNT}/?{SAS}", f"{ACCOUNT}/c/b?{SAS}&snapshot=1", f"{ACCOUNT}/c/%FF?{SAS}"])
    def test_nor_in_an_error(self, uri):
        with pytest.raises(InvalidURIError) as caught:
            parse(uri)
        assert "abc%2Fdef" not in str(caught.value) + str(caught.value.uri)


class TestKeys:
    @pytest.mark.parametrize("key", ["a b", "a%b", "a%2Fb", "a?b", "a#b", "é", "a//b", "/a", "a/", "+", "\u4e2d", "~"])
    def test_a_key_is_written_so_that_it_is_read(self, key):
        ref = f"{ACCOUNT}/c/{quote_key(key, 'azure')}"
        assert parse_ref(ref).key == parse(ref).key == key

    @given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
    def test_any_key_is(self, key):
        location = parse_ref(f"{ACCOUNT}/c/{quote_key(key, 'azure')}")
        assert (location.base, location.key, location.version_id) == (f"{ACCOUNT}/c/", key, None)

    def test_escapes_of_a_browser_are_decoded(self):
        assert parse(f"{ACCOUNT}/c/a%20b%C3%A9%3Fx").key == "a bé?x"


class TestShortNames:
    def test_the_first_account_that_is_configured_is_taken(self):
        for scheme in ("az", "azure", "abfs", "abfss"):
            location = parse(f"{scheme}://c/dir/b", blob_endpoints=[EMULATOR, ACCOUNT])
            assert (location.base, location.key) == (f"{EMULATOR}/c/", "dir/b")

    @pytest.mark.parametrize("uri", ["az://c/b", "abfss://c/b"])
    def test_without_an_account_it_says_what_to_set(self, uri):
        with pytest.raises(InvalidURIError, match="AZURE_STORAGE_ACCOUNT"):
            parse(uri)

    def test_a_host_that_is_not_azures(self):
        with pytest.raises(InvalidURIError, match="evil"):
            parse("abfss://c@account.evil.test/b")


class TestEndpoints:
    def test_an_emulator_is_known_once_it_is_configured(self):
        assert parse(f"{EMULATOR}/c/b").store == "http"
        location = parse(f"{EMULATOR}/c/d/b", blob_endpoints=[EMULATOR])
        assert (location.store, location.base, location.key) == ("azure", f"{EMULATOR}/c/", "d/b")
        assert parse("http://127.0.0.1:10000/devstoreaccount10/c/b", blob_endpoints=[EMULATOR]).store == "http"

    @pytest.mark.parametrize(
        ("options", "environment", "found"),
        [
            ({}, {}, []),
            ({"account": "account"}, {}, [ACCOUNT]),
            ({"endpoint_url": f"{EMULATOR}/"}, {}, [EMULATOR]),
            ({"connection_string": "UseDevelopmentStorage=true"}, {}, [EMULATOR]),
            ({"connection_string": "AccountName=account;AccountKey=a=="}, {}, [ACCOUNT]),
            ({"connection_string": f"BlobEndpoint={ACCOUNT}/?x;SharedAccessSignature=sig=1"}, {}, [ACCOUNT]),
            ({}, {"AZURE_STORAGE_ACCOUNT": "account"}, [ACCOUNT]),
            ({}, {"AZURE_STORAGE_ACCOUNT_NAME": "account", "AZURE_STORAGE_ACCOUNT": "account"}, [ACCOUNT]),
            ({}, {"AZURE_STORAGE_BLOB_ENDPOINT": EMULATOR, "AZURE_STORAGE_ACCOUNT": "account"}, [EMULATOR, ACCOUNT]),
            ({"account": "account"}, {"AZURE_STORAGE_SERVICE_ENDPOINT": EMULATOR}, [ACCOUNT, EMULATOR]),
            (
                {"connection_string": "AccountName=a;AccountKey=k;EndpointSuffix=core.chinacloudapi.cn"},
                {},
                ["https://a.blob.core.chinacloudapi.cn"],
            ),
        ],
    )
    def test_where_they_are_named(self, options, environment, found):
        assert blob_endpoints(AzureOptions(**options), environment) == found
        assert is_configured(environment) == bool(environment)

    @pytest.mark.parametrize("text", ["SECRET", "AccountName=a;SECRET", "=SECRET"])
    def test_a_connection_string_that_cannot_be_read_is_not_shown(self, text):
        with pytest.raises(InvalidURIError, match="connection string") as caught:
            connection_settings(text)
        assert "SECRET" not in str(caught.value)

    def test_values_may_hold_what_divides(self):
        assert connection_settings("AccountKey=a==;X=b;") == {"accountkey": "a==", "x": "b"}


class TestSources:
    def test_the_source_of_a_location(self, azure_env):  # noqa: ARG002
        from refscan.sources.azure import AzureSource

        options = AzureOptions(account="account", anonymous=True)
        for uri in ("az://c/b", f"{ACCOUNT}/c/b", "abfss://c@account.dfs.core.windows.net/b"):
            assert has_source(uri)
            source = open_source(locate(uri, [options]), [options])
            assert isinstance(source, AzureSource)
            assert source.base == f"{ACCOUNT}/c/"

    def test_the_sdk_is_imported_with_the_source_only(self):
        code = "import sys, refscan.sources.schemes; sys.exit('azure.core' in sys.modules or 'aiohttp' in sys.modules)"
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

    def test_the_package_has_no_other_names(self):
        import refscan.sources.azure as package

        with pytest.raises(AttributeError, match="nothing"):
            package.nothing  # noqa: B018
