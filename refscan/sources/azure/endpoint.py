"""The blob endpoints that options and the environment name."""

from __future__ import annotations

import os
from collections.abc import Mapping

from refscan.errors import InvalidURIError
from refscan.sources.options import AzureOptions

__all__ = ["ACCOUNT_VARIABLES", "CONNECTION_STRING", "blob_endpoints", "connection_settings", "is_configured"]

CONNECTION_STRING = "AZURE_STORAGE_CONNECTION_STRING"
ACCOUNT_VARIABLES = ("AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_ACCOUNT_NAME")
_ENDPOINT_VARIABLES = ("AZURE_STORAGE_SERVICE_ENDPOINT", "AZURE_STORAGE_BLOB_ENDPOINT")

# The emulator's well-known account, as its documents give it:
# https://learn.microsoft.com/azure/storage/common/storage-connect-azurite
_EMULATOR = "http://127.0.0.1:10000/devstoreaccount1"


def is_configured(environment: Mapping[str, str] = os.environ) -> bool:
    """Tell whether the environment names an account."""
    return any(environment.get(name) for name in (CONNECTION_STRING, *ACCOUNT_VARIABLES, *_ENDPOINT_VARIABLES))


def blob_endpoints(options: AzureOptions, environment: Mapping[str, str] = os.environ) -> list[str]:
    """Return the blob endpoints that are configured, the most particular one first, without a ``/`` at the end.

    Raises:
        InvalidURIError: A connection string cannot be read.
    """
    found = [
        options.endpoint_url,
        _endpoint_of(options.connection_string),
        _of_account(options.account),
        *(environment.get(name) for name in _ENDPOINT_VARIABLES),
        _endpoint_of(environment.get(CONNECTION_STRING)),
        *(_of_account(environment.get(name)) for name in ACCOUNT_VARIABLES),
    ]
    return list(dict.fromkeys(endpoint.rstrip("/") for endpoint in found if endpoint))


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


def _endpoint_of(connection_string: str | None) -> str | None:
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
