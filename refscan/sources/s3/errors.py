"""The SDK's errors, turned into refscan's: what happened, for which URI, and what to try.

Codes are those of the S3 API reference, "Error responses", and of stores that speak its protocol.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
from botocore import exceptions as sdk
from botocore.parsers import ResponseParserError

from refscan.errors import (
    AccessDeniedError,
    DigestMismatchError,
    ObjectNotFoundError,
    RefscanError,
    StoreError,
)
from refscan.sources.retry import BUSY
from refscan.sources.s3.attempts import BUSY_CODES

__all__ = ["NOT_S3", "is_denied", "is_missing", "translated"]

_MISSING = frozenset(["404", "NoSuchKey", "NoSuchVersion", "NotFound", "405", "MethodNotAllowed"])
_DENIED = frozenset(["403", "401", "AccessDenied", "AllAccessDisabled", "Forbidden", "Unauthorized"])
_NOT_OFFERED = frozenset(["501", "NotImplemented", "NotSupported", "UnsupportedOperation", "XNotImplemented"])
_ARCHIVED = "the object is archived; restore it first (aws s3api restore-object), then try again"
_RENEW = "renew them (aws sso login, or a new AWS_SESSION_TOKEN)"
_KEYS = "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_PROFILE"
_BAD_CREDENTIALS = {
    **dict.fromkeys(["InvalidAccessKeyId", "SignatureDoesNotMatch", "AuthFailure", "InvalidSecurity"], _KEYS),
    **dict.fromkeys(["InvalidClientTokenId", "UnrecognizedClientException", "MissingAuthenticationToken"], _KEYS),
    **dict.fromkeys(["ExpiredToken", "ExpiredTokenException", "InvalidToken", "TokenRefreshRequired"], _RENEW),
    "RequestTimeTooSkewed": "set this machine's clock, which is more than 15 minutes wrong",
    "RequestExpired": "set this machine's clock, or renew them",
}
_OTHER_REGION = frozenset(
    [
        "301",
        "307",
        "PermanentRedirect",
        "TemporaryRedirect",
        "AuthorizationHeaderMalformed",
        "IllegalLocationConstraintException",
    ]
)
NOT_S3 = "the endpoint answers, and not as S3 does; check AWS_S3_ENDPOINT_URL and the proxy"
_HEAD = "HeadObject"
# What the SDK asks of its own accord, before the request itself.
_FORERUNNERS = {
    "CreateSession": "s3express:CreateSession",
    "AssumeRole": "sts:AssumeRole",
    "AssumeRoleWithWebIdentity": "sts:AssumeRoleWithWebIdentity",
}
_LOGIN = re.compile(r"//[^/\s]*@")
_SIGNED = re.compile(r"\b(X-Amz-[A-Za-z-]+|Signature|AWSAccessKeyId|Credential)=[^&\s,\"']+", re.IGNORECASE)
_ACTION = re.compile(r"not authorized to perform:? ([a-z0-9-]+:[A-Za-z]+)")
_LONGEST_QUOTE = 160
_NO_CREDENTIALS = (
    sdk.NoCredentialsError,
    sdk.PartialCredentialsError,
    sdk.CredentialRetrievalError,
    sdk.ProfileNotFound,
    sdk.ConfigNotFound,
    sdk.InvalidConfigError,
    sdk.TokenRetrievalError,
    sdk.SSOError,
)


def _code(error: sdk.ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def is_denied(error: sdk.ClientError) -> bool:
    """Tell whether the caller may not do this, or the store does not offer it."""
    return _code(error) in _DENIED | _NOT_OFFERED | {"MethodNotAllowed", "405"} and not _is_foreign(error)


def is_missing(error: sdk.ClientError) -> bool:
    """Tell whether the object or version does not exist; a delete marker answers 405."""
    return _code(error) in _MISSING and not _is_foreign(error)


def _is_foreign(error: sdk.ClientError) -> bool:
    """Tell whether a web server answers that is no S3: with a page, and without the headers that S3 sends."""
    headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    is_page = str(headers.get("content-type", "")).startswith("text/html")
    return (_code(error) or "0").isdecimal() and is_page and not any(name.startswith("x-amz") for name in headers)


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
            f"{uri}: no usable credentials ({_quoted(error)}); set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or "
            f"AWS_PROFILE; a public bucket takes S3Options(anonymous=True)",
            uri=uri,
        ) from error
    except sdk.MissingDependencyException as error:
        raise StoreError(
            f"{uri}: the AWS SDK lacks a package that this needs; install awscrt (pip install 'botocore[crt]')", uri=uri
        ) from error
    except (sdk.ConnectionError, sdk.HTTPClientError, TimeoutError, OSError, aiohttp.ClientError) as error:
        raise StoreError(f"{uri}: {_connection_failure(error)}", uri=uri) from error
    except ResponseParserError as error:
        raise StoreError(f"{uri}: {NOT_S3}", uri=uri) from error
    except (sdk.BotoCoreError, ValueError) as error:
        hint = "; write https://HOST or http://HOST:PORT" if str(error).startswith("Invalid endpoint") else ""
        raise StoreError(f"{uri}: {_quoted(error)}{hint}", uri=uri) from error


def _connection_failure(error: Exception) -> str:
    host = _host(error)
    cause = getattr(error, "kwargs", {}).get("error")
    match error:
        case sdk.SSLError():
            return f"TLS failed; check the endpoint and AWS_CA_BUNDLE ({host})"
        case sdk.ProxyConnectionError():
            return f"the proxy cannot be reached or refuses ({host}); check HTTPS_PROXY, HTTP_PROXY and NO_PROXY"
        case sdk.ReadTimeoutError() | sdk.ConnectTimeoutError() | TimeoutError():
            return f"no answer in time; check the endpoint, or try again ({host})"
        case sdk.ConnectionClosedError():
            return f"the connection was closed; check AWS_S3_ENDPOINT_URL, or try again ({host})"
        case sdk.HTTPClientError() if isinstance(cause, FileNotFoundError):
            return "the file of certificates is missing; check AWS_CA_BUNDLE"
        case sdk.HTTPClientError() if isinstance(cause, aiohttp.ClientResponseError):
            return f"{NOT_S3} ({host})"
        case sdk.ConnectionError() | sdk.HTTPClientError():
            return f"cannot be reached ({host}); check AWS_S3_ENDPOINT_URL and the network"
    return f"the answer broke off ({type(error).__name__}); try again"


def _translate(error: sdk.ClientError, uri: str, permission: str) -> RefscanError:
    code = _code(error)
    message = str(error.response.get("Error", {}).get("Message", ""))
    said = _quoted(message) or code
    needed = _FORERUNNERS.get(error.operation_name, permission)
    if _is_foreign(error) or (code == "404" and error.operation_name != _HEAD):
        return StoreError(f"{uri}: {NOT_S3} (it said {code})", uri=uri)
    if code == "NoSuchBucket":
        return ObjectNotFoundError(f"{uri}: no such bucket; check its name, AWS_REGION and the endpoint", uri=uri)
    if code in _MISSING:
        return ObjectNotFoundError(f"{uri}: no such object or version", uri=uri)
    if code in ("412", "PreconditionFailed"):
        return DigestMismatchError(f"{uri} was overwritten: its ETag is not the recorded one any more", uri=uri)
    if code in _BAD_CREDENTIALS:
        return AccessDeniedError(f"{uri}: the credentials are not accepted ({code}); {_BAD_CREDENTIALS[code]}", uri=uri)
    if code in _DENIED or code.startswith("KMS."):
        return AccessDeniedError(f"{uri}: access denied; {_needed(code, message, needed)}", uri=uri)
    if code == "InvalidObjectState":
        return StoreError(f"{uri}: {_ARCHIVED}", uri=uri)
    return StoreError(f"{uri}: {_refusal(code, said, is_head=error.operation_name == _HEAD)}", uri=uri)


def _refusal(code: str, said: str, *, is_head: bool) -> str:
    if code in _OTHER_REGION:
        return f"the store answered {code} ({said}); if the bucket lies in another region, set AWS_REGION"
    if code == "400" and is_head:
        return (
            "the store answered 400, which to a HEAD says no more; the credentials may have expired, or the bucket "
            "lies in another region (AWS_REGION)"
        )
    if code in BUSY_CODES or (code.isdecimal() and int(code) in BUSY):
        return (
            f"the store is busy or broken, and stayed so ({code}); try again later, or with fewer "
            f"S3Options(connections=...)"
        )
    return f"the store answered {code} ({said})"


def _needed(code: str, message: str, permission: str) -> str:
    """Name the permission that was missing: the one that the store names, or the one that the request needs."""
    named = _ACTION.search(message)
    action = named[1] if named else "kms:Decrypt" if code.startswith("KMS.") else permission
    needed = f"the permission {action} is needed"
    if action.startswith("kms:"):
        return f"{needed} for the key that encrypts the object"
    # Source: the S3 API reference, HeadObject and GetObject, "Permissions".
    unknown = permission.startswith("s3:GetObject")
    return f"{needed} (a missing object is denied too without s3:ListBucket)" if unknown and not named else needed


def _quoted(said: object) -> str:
    """Return what somebody else says, in one short line and without what may be secret."""
    text = _SIGNED.sub(r"\1=...", _LOGIN.sub("//", " ".join(str(said).split())))
    return text if len(text) <= _LONGEST_QUOTE else text[:_LONGEST_QUOTE] + "..."


def _host(error: Exception) -> str:
    """Return the endpoint that an SDK error speaks of, without its path and query, which may hold a signature."""
    match = re.search(r"https?://[^/\s\"'?]+", str(error))
    return match[0].rpartition("@")[2] if match else type(error).__name__
