"""What aiohttp raises and what servers refuse, turned into refscan's errors.

No text of aiohttp's errors is shown: it may hold a URL with its signature, or a proxy's password.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping

import aiohttp

from refscan.errors import AccessDeniedError, ObjectNotFoundError, RefscanError, StoreError
from refscan.redact import redact
from refscan.sources.retry import BusyError, raise_if_busy

__all__ = ["MISSING", "SUCCESS", "raise_for_status", "translated"]

MISSING = frozenset([404, 410])
"""Statuses of what is not there."""

SUCCESS = range(200, 300)
"""Statuses of answers that are about the resource itself (RFC 9110, section 15.3)."""

_LOGIN = "put its login into ~/.netrc (or the file that NETRC names), into HTTPOptions(headers=), or ask for access"


def raise_for_status(status: int, reason: str | None, headers: Mapping[str, str], uri: str) -> None:
    """Raise what an answer without success means.

    Raises:
        BusyError: Another attempt may find the server in a better state.
        ObjectNotFoundError: 404, 410.
        AccessDeniedError: 401, 403, 407.
        StoreError: Any other status.
    """
    if status in SUCCESS:
        return
    raise_if_busy(status, headers)
    if status in MISSING:
        raise ObjectNotFoundError(f"{uri}: not found (HTTP {status}); check the URL", uri=uri)
    if status == 407:  # noqa: PLR2004  Proxy Authentication Required
        raise AccessDeniedError(f"{uri}: {_PROXY_LOGIN}", uri=uri)
    if status in (401, 403):
        raise AccessDeniedError(f"{uri}: access denied (HTTP {status}); {_LOGIN}", uri=uri)
    raise StoreError(f"{uri}: the server answered HTTP {status} {reason or ''}".rstrip(), uri=uri)


class translated:  # noqa: N801  reads as a verb where it is used
    """Turn all that a request may raise into refscan's errors.

    Args:
        base: What the key hangs from.
        key: Path and query; what is secret in it is left out of errors.
    """

    __slots__ = ("_base", "_key")

    def __init__(self, base: str, key: str) -> None:
        self._base = base
        self._key = key

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None or isinstance(error, RefscanError):
            return
        uri = redact(self._base + self._key)
        if (translation := _translation(error, uri)) is not None:
            raise translation from None


def _translation(error: BaseException, uri: str) -> RefscanError | None:  # noqa: C901, PLR0912  one line for each kind
    match error:
        case BusyError():
            return _busy(error, uri)
        case aiohttp.ClientHttpProxyError(status=407):
            return AccessDeniedError(f"{uri}: {_PROXY_LOGIN}", uri=uri)
        case aiohttp.ClientHttpProxyError():
            said = f"the proxy answered HTTP {error.status}"
            return StoreError(f"{uri}: {said}; check HTTPS_PROXY, or except the host with NO_PROXY", uri=uri)
        case aiohttp.ClientProxyConnectionError():
            said = f"its proxy cannot be reached: {_reason(error)}"
            return StoreError(f"{uri}: {said}; check HTTPS_PROXY and HTTP_PROXY", uri=uri)
        case aiohttp.ClientSSLError() | ssl.SSLError():
            hint = "check the certificate, or name the authority's with SSL_CERT_FILE"
            return StoreError(f"{uri}: TLS failed: {_tls_reason(error)}; {hint}", uri=uri)
        case aiohttp.ConnectionTimeoutError():
            return StoreError(f"{uri}: cannot be reached: no connection in time; check host and port", uri=uri)
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError() | ValueError():
            return StoreError(f"{uri}: not a URL that can be asked for", uri=uri)
        case TimeoutError():
            return StoreError(f"{uri}: no answer in time; check the host, or try again", uri=uri)
        case aiohttp.ClientPayloadError():
            return StoreError(f"{uri}: the answer broke off; try again", uri=uri)
        case aiohttp.ServerDisconnectedError() | ConnectionResetError():
            return StoreError(f"{uri}: the server closed the connection; try again", uri=uri)
        case aiohttp.ClientResponseError():
            return StoreError(f"{uri}: the answer is not HTTP that can be read; check host and port", uri=uri)
        case aiohttp.ClientError():
            return StoreError(f"{uri}: cannot be reached: {_reason(error)}; check host and port", uri=uri)
        case _:
            return None


_PROXY_LOGIN = "the proxy asks for a login (HTTP 407); write it into HTTPS_PROXY, HTTP_PROXY: http://USER:PASSWORD@HOST"


def _busy(error: BusyError, uri: str) -> StoreError:
    asked = "" if not error.delay else f", and asks to wait {error.delay:.0f} seconds"
    hint = "try again later, or with fewer connections (HTTPOptions(connections=))"
    return StoreError(f"{uri}: the server is busy: HTTP {error.status}{asked}; {hint}", uri=uri)


def _reason(error: BaseException) -> str:
    """Return what went wrong, in words that hold no URL."""
    inner = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if not isinstance(inner, OSError):
        return type(error).__name__
    # Resolvers have negative numbers, and words of their own.
    named = os.strerror(inner.errno) if inner.errno is not None and inner.errno > 0 else inner.strerror
    return named or type(inner).__name__


def _tls_reason(error: BaseException) -> str:
    inner = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
    return getattr(inner, "verify_message", None) or getattr(inner, "reason", None) or type(inner).__name__
