"""The SDK's errors, turned into refscan's: what happened, for which URI, and what to try.

The SDK's own texts are never shown: they may hold URLs with their signatures. The codes are those of
https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes and
https://learn.microsoft.com/rest/api/storageservices/common-rest-api-error-codes.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
from azure.core import exceptions as sdk

from refscan.errors import (
    AccessDeniedError,
    DigestMismatchError,
    ObjectNotFoundError,
    RefscanError,
    StoreError,
)
from refscan.sources.retry import BusyError

__all__ = ["LIST", "READ", "code_of", "is_missing", "translated"]

LIST = "list"
"""The permission of a shared access signature that listings need."""
READ = "read"
"""The permission of a shared access signature that blobs need."""

_NO_CONTAINER = frozenset(["ContainerNotFound", "ContainerBeingDeleted", "ContainerDisabled", "InvalidResourceName"])
_NO_BLOB = frozenset(["BlobNotFound", "BlobBeingRehydrated", "VersionNotFound"])
_REFUSED = frozenset(["AuthenticationFailed", "InvalidAuthenticationInfo"])
_NONE_SENT = frozenset(["NoAuthenticationInformation", "PublicAccessNotPermitted"])
_NETWORK = frozenset(["AuthorizationFailure", "AuthorizationSourceIPMismatch", "AuthorizationProtocolMismatch"])
_CREDENTIALS = (
    "AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT with AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN"
)


def code_of(error: sdk.HttpResponseError) -> str:
    """Return the store's error code, or an empty text."""
    headers = getattr(error.response, "headers", {})
    found = headers.get("x-ms-error-code") or getattr(error, "error_code", None)
    return str(getattr(found, "value", found) or "")


def is_missing(error: sdk.HttpResponseError) -> bool:
    """Tell whether the blob or version does not exist, while its container does."""
    return error.status_code == 404 and code_of(error) not in _NO_CONTAINER  # noqa: PLR2004  Not Found


@contextmanager
def translated(uri: str, permission: str) -> Iterator[None]:
    """Raise refscan's errors in place of the SDK's.

    Args:
        uri: What the request is about, without secrets.
        permission: ``LIST`` or ``READ``, whichever the request needs.
    """
    try:
        yield
    except RefscanError as error:
        if error.uri is not None:
            raise
        raise type(error)(f"{uri}: {error}", uri=uri) from error.__cause__
    except BusyError as error:
        raise StoreError(f"{uri}: the store is busy (HTTP {error.status}); try again later", uri=uri) from error
    except sdk.HttpResponseError as error:
        raise _of_answer(error, uri, permission) from None
    except sdk.AzureError as error:
        raise _of_connection(error.inner_exception or error, uri) from None
    except (aiohttp.ClientError, OSError) as error:
        raise _of_connection(error, uri) from None
    except (ValueError, TypeError) as error:
        raise StoreError(f"{uri}: the SDK refuses it ({type(error).__name__}); check the URI", uri=uri) from None


def _of_answer(error: sdk.HttpResponseError, uri: str, permission: str) -> RefscanError:
    code, status = code_of(error), error.status_code
    if status is None:
        return _without_answer(error, uri)
    if status == 412:  # noqa: PLR2004  Precondition Failed
        return DigestMismatchError(f"{uri} was overwritten: its ETag is not the recorded one any more", uri=uri)
    denial = _denial(code, status, permission, expired=_expired(error))
    if denial is not None and code not in _NO_CONTAINER:
        return AccessDeniedError(f"{uri}: {denial}", uri=uri)
    if code in _NO_CONTAINER or status == 404:  # noqa: PLR2004  Not Found
        return _missing(code, uri)
    return StoreError(f"{uri}: {_complaint(code, status)}", uri=uri)


def _without_answer(error: sdk.HttpResponseError, uri: str) -> RefscanError:
    if isinstance(error, sdk.ClientAuthenticationError):
        return AccessDeniedError(
            f"{uri}: the account key cannot sign requests; it is Base64, as the portal shows it", uri=uri
        )
    if isinstance(error, sdk.IncompleteReadError):
        return StoreError(f"{uri}: the answer broke off; try again", uri=uri)
    return StoreError(f"{uri}: the answer cannot be read ({type(error).__name__})", uri=uri)


def _missing(code: str, uri: str) -> ObjectNotFoundError:
    if code in _NO_CONTAINER:
        return ObjectNotFoundError(f"{uri}: no such container ({code}); check its name and the account", uri=uri)
    if code in _NO_BLOB:
        return ObjectNotFoundError(f"{uri}: no such blob or version ({code})", uri=uri)
    # Whoever may not see a container is told that there is none.
    return ObjectNotFoundError(
        f"{uri}: no such blob or container, or it is not public ({code or 'HTTP 404'}); check the name, or set "
        f"{_CREDENTIALS}",
        uri=uri,
    )


def _complaint(code: str, status: int) -> str:
    if code == "BlobArchived":
        return "the blob is archived; set its tier to Hot, Cool or Cold first"
    if code in ("InvalidHeaderValue", "UnsupportedHeader"):
        return (
            f"the store does not take the SDK's requests ({code}); if it is an emulator, start it with "
            f"--skipApiVersionCheck, else install an older azure-storage-blob"
        )
    if 300 <= status < 400:  # noqa: PLR2004  redirects
        return f"the store redirects (HTTP {status}), which Azure does not; check the URL"
    return f"the store answered HTTP {status} {code}".rstrip()


def _denial(code: str, status: int, permission: str, *, expired: bool) -> str | None:
    """Return why access was denied, and what to do."""
    if expired:
        return "the shared access signature has expired, or is not valid yet; make a new one"
    if code in _REFUSED or status == 407:  # noqa: PLR2004  Proxy Authentication Required
        return (
            f"the credentials are not accepted ({code or status}); check or renew AZURE_STORAGE_CONNECTION_STRING, "
            f"AZURE_STORAGE_KEY or the shared access signature, and this machine's clock"
        )
    if code == "KeyBasedAuthenticationNotPermitted":
        return f"the account takes no account keys ({code}); log in with `az login`, or give AzureOptions(credential=…)"
    if code in _NONE_SENT:
        return f"it is not public ({code}); set {_CREDENTIALS}"
    if code in _NETWORK:
        return (
            f"access denied ({code}); the account's firewall must let this machine in, or the role 'Storage Blob Data "
            f"Reader' is needed"
        )
    if status in (401, 403):
        return (
            f"access denied ({code or f'HTTP {status}'}); the role 'Storage Blob Data Reader' is needed, or the "
            f"permission '{permission}' of a shared access signature"
        )
    return None


def _expired(error: sdk.HttpResponseError) -> bool:
    return code_of(error) == "AuthenticationFailed" and "time frame" in f"{error.message}"


def _of_connection(error: BaseException, uri: str) -> StoreError:
    if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError):
        return StoreError(
            f"{uri}: TLS failed; check the endpoint, and SSL_CERT_FILE if it has a certificate of its own", uri=uri
        )
    if isinstance(error, TimeoutError):
        return StoreError(f"{uri}: no answer in time; check the account's name and the network, or try again", uri=uri)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return StoreError(f"{uri}: there is no such host; check the account's name and the network", uri=uri)
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return StoreError(f"{uri}: its proxy cannot be reached; check HTTPS_PROXY and HTTP_PROXY", uri=uri)
    if isinstance(error, aiohttp.ClientPayloadError | aiohttp.ServerDisconnectedError):
        return StoreError(f"{uri}: the answer broke off ({type(error).__name__}); try again", uri=uri)
    if isinstance(error, aiohttp.ClientConnectorError):
        return StoreError(
            f"{uri}: cannot be reached ({error.os_error.strerror or type(error).__name__}); check the endpoint and "
            f"the network",
            uri=uri,
        )
    if "Bearer token" in str(error):
        return StoreError(
            f"{uri}: the SDK sends no tokens over http://; use https://, or set {_CREDENTIALS}",
            uri=uri,
        )
    return StoreError(
        f"{uri}: the request failed ({type(error).__name__}); check the endpoint and the network", uri=uri
    )
