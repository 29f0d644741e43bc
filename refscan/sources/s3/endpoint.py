"""Which endpoint is asked, and where in its URLs the bucket stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from refscan.errors import StoreError
from refscan.sources.options import S3Options

__all__ = ["address", "check_endpoint", "given_endpoint"]

_VARIABLES = ("AWS_S3_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")


def given_endpoint(options: S3Options, environment: Mapping[str, str]) -> str | None:
    """Return the endpoint that options or the environment name; ``None`` leaves it to the shared configuration.

    Raises:
        StoreError: It is no URL with a host, or holds a login.
    """
    named = [("endpoint_url", options.endpoint_url), *((name, environment.get(name)) for name in _VARIABLES)]
    name, endpoint = next(((name, value) for name, value in named if value), ("", None))
    if endpoint is None:
        return None
    check_endpoint(endpoint, name)
    # The SDK looks at its own variables itself, and whether it is told to ignore them.
    return None if name in _VARIABLES[1:] else endpoint


def check_endpoint(endpoint: str, name: str) -> None:
    """Refuse an endpoint that no request can be sent to.

    Args:
        endpoint: The URL.
        name: Where it comes from: the option or variable to mend.

    Raises:
        StoreError: It is no URL with a host, or holds a login.
    """
    shown = endpoint.rpartition("@")[2]
    scheme, slashes, rest = endpoint.partition("://")
    if not slashes or scheme.lower() not in ("http", "https"):
        shown = shown.rpartition("://")[2].lstrip("/") if slashes else shown
        raise StoreError(f"{name} is no URL with a scheme; write https://{shown} or http://{shown}")
    if "@" in rest.partition("/")[0]:
        raise StoreError(f"{name} holds a login, and S3 takes none in a URL; write {scheme}://{shown}")
    try:
        host = urlsplit(endpoint).hostname
        _ = urlsplit(endpoint).port
    except ValueError:
        host = None
    if not host or any(character.isspace() for character in host):
        raise StoreError(f"{name} names no host that can be asked: {shown!r}; write https://HOST or http://HOST:PORT")


def address(builtins: dict[str, Any], **_: object) -> None:
    """Put the bucket into the host name where the endpoint wants it there, whatever names the endpoint.

    To be called on ``before-endpoint-resolution``, with the inputs of the SDK's endpoint rules. These put it into
    the path, all the same, where it cannot stand in a host name: it has upper case letters, or the endpoint is an IP
    address.
    """
    endpoint = builtins.get("SDK::Endpoint")
    if endpoint and _is_coreweave(endpoint):
        builtins["AWS::S3::ForcePathStyle"] = False


def _is_coreweave(endpoint: str) -> bool:
    host = urlsplit(endpoint).hostname or ""
    if host in ("cwobject.com", "cwlota.com") or host.endswith((".cwobject.com", ".cwlota.com")):
        return True
    return host.endswith(".coreweave.com") and host.startswith(("object.", "accel-object."))
