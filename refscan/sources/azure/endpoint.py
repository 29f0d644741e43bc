"""The accounts that options and the environment name, and the one a container lies in."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from refscan.errors import InvalidURIError
from refscan.sources.options import AzureOptions

__all__ = [
    "ACCOUNT_VARIABLES",
    "CONNECTION_STRING",
    "EMULATOR_ACCOUNT",
    "Account",
    "account_of",
    "blob_endpoints",
    "connection_settings",
    "endpoint_of_connection",
    "endpoints_of_environment",
    "endpoints_of_options",
    "is_configured",
]

CONNECTION_STRING = "AZURE_STORAGE_CONNECTION_STRING"
ACCOUNT_VARIABLES = ("AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_ACCOUNT_NAME")
_ENDPOINT_VARIABLES = ("AZURE_STORAGE_SERVICE_ENDPOINT", "AZURE_STORAGE_BLOB_ENDPOINT")

EMULATOR_ACCOUNT = "devstoreaccount1"
# The emulator's well-known account, as its documents give it:
# https://learn.microsoft.com/azure/storage/common/storage-connect-azurite
_EMULATOR = f"http://127.0.0.1:10000/{EMULATOR_ACCOUNT}"


@dataclass(frozen=True, slots=True)
class Account:
    """A storage account.

    Attributes:
        endpoint: The URL of its blob service, without a ``/`` at the end.
        name: Its name.
    """

    endpoint: str
    name: str

    def is_one_of(self, endpoints: Iterable[str | None]) -> bool:
        """Tell whether one of these endpoints is this account's, whatever the scheme and the case of the host."""
        return any(endpoint and _place(endpoint) == _place(self.endpoint) for endpoint in endpoints)


def account_of(base: str, options: AzureOptions) -> Account:
    """Return the account of a container.

    Args:
        base: The container's URL, ending in ``/``.
        options: ``account`` names it where the endpoint's host does not.
    """
    endpoint = base.rstrip("/").rpartition("/")[0]
    place = urlsplit(endpoint)
    name = place.path.strip("/") or (place.hostname or "").partition(".")[0]
    known = endpoint_of_connection(options.connection_string)
    if options.account and options.endpoint_url and _place(options.endpoint_url) == _place(endpoint):
        name = options.account
    elif options.connection_string and known and _place(known) == _place(endpoint):
        name = connection_settings(options.connection_string).get("accountname", name)
    return Account(endpoint, name)


def _place(endpoint: str) -> tuple[str, str]:
    place = urlsplit(endpoint)
    return place.netloc.lower(), place.path.rstrip("/")


def is_configured(environment: Mapping[str, str] = os.environ) -> bool:
    """Tell whether the environment names an account."""
    return any(environment.get(name) for name in (CONNECTION_STRING, *ACCOUNT_VARIABLES, *_ENDPOINT_VARIABLES))


def blob_endpoints(options: AzureOptions, environment: Mapping[str, str] = os.environ) -> list[str]:
    """Return the blob endpoints that are configured, the most particular one first, without a ``/`` at the end.

    Raises:
        InvalidURIError: A connection string cannot be read.
    """
    return list(dict.fromkeys([*endpoints_of_options(options), *endpoints_of_environment(environment)]))


def endpoints_of_options(options: AzureOptions) -> list[str]:
    """Return the blob endpoints that options name, as ``blob_endpoints`` does."""
    return _present(
        options.endpoint_url, endpoint_of_connection(options.connection_string), _of_account(options.account)
    )


def endpoints_of_environment(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Return the blob endpoints that the environment names, as ``blob_endpoints`` does."""
    return _present(
        *(environment.get(name) for name in _ENDPOINT_VARIABLES),
        endpoint_of_connection(environment.get(CONNECTION_STRING)),
        *(_of_account(environment.get(name)) for name in ACCOUNT_VARIABLES),
    )


def _present(*endpoints: str | None) -> list[str]:
    return [_without_secrets(endpoint) for endpoint in endpoints if endpoint]


def _without_secrets(endpoint: str) -> str:
    """Return an endpoint without login and signature: it becomes part of URIs that are recorded."""
    scheme, _, rest = endpoint.partition("://")
    authority, slash, path = rest.partition("?")[0].partition("/")
    return f"{scheme}://{authority.rpartition('@')[2]}{slash}{path}".rstrip("/")


def connection_settings(text: str) -> dict[str, str]:
    """Return the settings of a connection string, by their names in lower case.

    Raises:
        InvalidURIError: It cannot be read; the error does not show it.
    """
    parts = [part.strip().partition("=") for part in text.split(";") if part.strip()]
    if not all(name and equals for name, equals, _ in parts):
        raise InvalidURIError(
            "the Azure connection string cannot be read; it is NAME=VALUE;NAME=VALUE;…, as the portal shows it"
        )
    return {name.lower(): value for name, _, value in parts}


def endpoint_of_connection(connection_string: str | None) -> str | None:
    """Return the blob endpoint that a connection string names.

    Raises:
        InvalidURIError: It cannot be read; the error does not show it.
    """
    if not connection_string:
        return None
    settings = connection_settings(connection_string)
    if settings.get("usedevelopmentstorage", "").lower() == "true":
        return _EMULATOR
    if "blobendpoint" in settings:
        return settings["blobendpoint"].partition("?")[0]
    if "accountname" not in settings:
        return None
    suffix = settings.get("endpointsuffix", "core.windows.net")
    return f"{settings.get('defaultendpointsprotocol', 'https')}://{settings['accountname']}.blob.{suffix}"


def _of_account(account: str | None) -> str | None:
    return f"https://{account}.blob.core.windows.net" if account else None
