"""The SDK's errors, turned into refscan's: what happened, for which URI, and what to try."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
from botocore import exceptions as sdk

from refscan.errors import (
    AccessDeniedError,
    DigestMismatchError,
    ObjectNotFoundError,
    RefscanError,
    StoreError,
)

__all__ = ["is_denied", "is_missing", "translated"]

_MISSING = frozenset(["404", "NoSuchBucket", "NoSuchKey", "NoSuchVersion", "NotFound", "405", "MethodNotAllowed"])
_DENIED = frozenset(["403", "401", "AccessDenied", "AllAccessDisabled", "Forbidden", "Unauthorized"])
_NOT_OFFERED = frozenset(["501", "NotImplemented", "NotSupported", "UnsupportedOperation", "XNotImplemented"])
_BAD_CREDENTIALS = frozenset(
    [
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "ExpiredToken",
        "InvalidToken",
        "TokenRefreshRequired",
        "RequestTimeTooSkewed",
        "AuthFailure",
    ]
)
_OTHER_REGION = frozenset(
    [
        "301",
        "307",
        "400",
        "PermanentRedirect",
        "TemporaryRedirect",
        "AuthorizationHeaderMalformed",
        "IllegalLocationConstraintException",
    ]
)
_LOGIN = re.compile(r"//[^/\s]*@")
_NO_CREDENTIALS = (
    sdk.NoCredentialsError,
    sdk.PartialCredentialsError,
    sdk.CredentialRetrievalError,
    sdk.ProfileNotFound,
    sdk.ConfigNotFound,
    sdk.TokenRetrievalError,
    sdk.SSOError,
)


def _code(error: sdk.ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def is_denied(error: sdk.ClientError) -> bool:
    """Tell whether the caller may not do this, or the store does not offer it."""
    return _code(error) in _DENIED | _NOT_OFFERED | {"MethodNotAllowed", "405"}


def is_missing(error: sdk.ClientError) -> bool:
    """Tell whether the object or version does not exist; a delete marker answers 405."""
    return _code(error) in _MISSING - {"NoSuchBucket"}


@contextmanager
def translated(uri: str, permission: str) -> Iterator[None]:
    """Raise refscan's errors in place of the SDK's.

    Args:
        uri: What the request is about.
        permission: The IAM action that the request needs.
    """
    try:
        yield
    except RefscanError as error:
        if error.uri is not None:
            raise
        raise type(error)(f"{uri}: {error}", uri=uri) from error.__cause__
    except sdk.ClientError as error:
        raise _translate(error, uri, permission) from error
    except _NO_CREDENTIALS as error:
        raise AccessDeniedError(
            f"{uri}: no usable credentials ({error}); set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
            uri=uri,
        ) from error
    except sdk.SSLError as error:
        raise StoreError(
            f"{uri}: TLS failed; check the endpoint and AWS_CA_BUNDLE ({_host(error)})", uri=uri
        ) from error
    except (sdk.ReadTimeoutError, sdk.ConnectTimeoutError, TimeoutError) as error:
        raise StoreError(
            f"{uri}: no answer in time; check the endpoint, or try again ({_host(error)})", uri=uri
        ) from error
    except (sdk.ConnectionError, sdk.HTTPClientError) as error:
        raise StoreError(
            f"{uri}: cannot be reached ({_host(error)}); check AWS_S3_ENDPOINT_URL and the network", uri=uri
        ) from error
    except (aiohttp.ClientError, ConnectionError) as error:
        raise StoreError(f"{uri}: the answer broke off ({type(error).__name__}); try again", uri=uri) from error
    except (sdk.BotoCoreError, ValueError) as error:
        said = _LOGIN.sub("//", " ".join(str(error).split()))
        raise StoreError(f"{uri}: {said}", uri=uri) from error


def _translate(error: sdk.ClientError, uri: str, permission: str) -> RefscanError:
    code = _code(error)
    said = " ".join(str(error.response.get("Error", {}).get("Message", "")).split()) or code
    if code == "NoSuchBucket":
        return ObjectNotFoundError(f"{uri}: no such bucket; check its name, AWS_REGION and the endpoint", uri=uri)
    if code in _MISSING:
        return ObjectNotFoundError(f"{uri}: no such object or version", uri=uri)
    if code in ("412", "PreconditionFailed"):
        return DigestMismatchError(f"{uri} was overwritten: its ETag is not the recorded one any more", uri=uri)
    if code in _BAD_CREDENTIALS:
        return AccessDeniedError(f"{uri}: the credentials are not accepted ({code}); renew them", uri=uri)
    if code in _DENIED:
        return AccessDeniedError(f"{uri}: access denied; the permission {permission} is needed", uri=uri)
    if code in _OTHER_REGION:
        return StoreError(
            f"{uri}: the store answered {code} ({said}); if the bucket lies in another region, set AWS_REGION",
            uri=uri,
        )
    return StoreError(f"{uri}: the store answered {code} ({said})", uri=uri)


def _host(error: Exception) -> str:
    """Return the endpoint that an SDK error speaks of, without its path and query, which may hold a signature."""
    match = re.search(r"https?://[^/\s\"'?]+", str(error))
    return match[0].rpartition("@")[2] if match else type(error).__name__
