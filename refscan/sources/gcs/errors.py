"""The SDK's and the connection's errors, turned into refscan's: what happened, for which URI, and what to try."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp

from refscan.errors import AccessDeniedError, DigestMismatchError, ObjectNotFoundError, RefscanError, StoreError
from refscan.sources.retry import BusyError

__all__ = ["is_missing_object", "translated"]

_MESSAGE_LENGTH = 300


def is_missing_object(error: aiohttp.ClientResponseError) -> bool:
    """Tell whether the object or its version does not exist, in a bucket that does."""
    return error.status == 404 and not _is_of_bucket(_said(error))  # noqa: PLR2004  HTTP Not Found


@contextmanager
def translated(  # noqa: C901  one line for each kind
    uri: str, permission: str, *, what: str = "bucket"
) -> Iterator[None]:
    """Raise refscan's errors in place of the SDK's.

    Args:
        uri: What the request is about.
        permission: The IAM permission that the request needs.
        what: What is missing if the store says that something is.
    """
    try:
        yield
    except RefscanError as error:
        if error.uri is not None:
            raise
        raise type(error)(f"{uri}: {error}", uri=uri) from error.__cause__
    except aiohttp.ClientResponseError as error:
        raise _translate(error, uri, permission, what) from error
    except BusyError as error:
        raise StoreError(
            f"{uri}: the store is busy (HTTP {error.status}), and stayed so; try again later", uri=uri
        ) from error
    except (aiohttp.ClientSSLError, aiohttp.ServerFingerprintMismatch) as error:
        raise StoreError(
            f"{uri}: TLS failed; check the endpoint and its certificate ({_host(error)})", uri=uri
        ) from error
    except TimeoutError as error:
        raise StoreError(
            f"{uri}: no answer in time; check STORAGE_EMULATOR_HOST and the network, or try again", uri=uri
        ) from error
    except aiohttp.ClientProxyConnectionError as error:
        raise StoreError(f"{uri}: its proxy cannot be reached; check HTTPS_PROXY and HTTP_PROXY", uri=uri) from error
    except (aiohttp.ClientConnectorError, aiohttp.InvalidURL) as error:
        raise StoreError(
            f"{uri}: cannot be reached ({_host(error)}); check STORAGE_EMULATOR_HOST and the network", uri=uri
        ) from error
    except ValueError as error:
        raise StoreError(f"{uri}: the endpoint is no URL; check STORAGE_EMULATOR_HOST", uri=uri) from error
    except (aiohttp.ClientError, ConnectionError) as error:
        raise StoreError(f"{uri}: the answer broke off ({type(error).__name__}); try again", uri=uri) from error


def _translate(error: aiohttp.ClientResponseError, uri: str, permission: str, what: str) -> RefscanError:
    status, said = error.status, _said(error)
    match status:
        case 404 | 410:
            missing = "bucket" if _is_of_bucket(said) else what
            return ObjectNotFoundError(f"{uri}: no such {missing}; check its name", uri=uri)
        case 401 if "anonymous" in said.lower():
            return AccessDeniedError(
                f"{uri}: not open to anonymous callers; give credentials (GOOGLE_APPLICATION_CREDENTIALS) with the "
                f"permission {permission}",
                uri=uri,
            )
        case 401:
            return AccessDeniedError(
                f"{uri}: the credentials are not accepted or have expired ({said}); renew them with 'gcloud auth "
                f"application-default login'",
                uri=uri,
            )
        case 403:
            return AccessDeniedError(
                f"{uri}: access denied; the permission {permission} is needed, as in the role Storage Object Viewer",
                uri=uri,
            )
        case 400 if "requester pays" in said.lower():
            return AccessDeniedError(
                f"{uri}: the requester pays for this bucket; pass GCSOptions(user_project=…) with a project to bill",
                uri=uri,
            )
        case 412:
            return DigestMismatchError(f"{uri} was overwritten: it is not what was recorded any more", uri=uri)
        case _:
            return StoreError(f"{uri}: the store answered HTTP {status} ({said})", uri=uri)


def _is_of_bucket(said: str) -> bool:
    """Tell whether it is the bucket that is missing: an object's message names it, and names may hold any word."""
    return "bucket" in said.lower() and not said.startswith("No such object")


def _said(error: aiohttp.ClientResponseError) -> str:
    """Return the store's message; the SDK puts the reason and the whole body into one text."""
    text = error.message.partition(": ")[2] or error.message
    try:
        said = json.loads(text)["error"]["message"]
    except (ValueError, TypeError, LookupError):
        said = text
    return " ".join(str(said).split())[:_MESSAGE_LENGTH]


def _host(error: Exception) -> str:
    host = getattr(error, "host", None)
    return f"{host}:{getattr(error, 'port', '')}" if host else type(error).__name__
