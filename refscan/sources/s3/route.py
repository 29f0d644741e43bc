"""Where a bucket is reached, and how requests to it are signed: read off a request of the SDK that was answered."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

__all__ = ["Route", "quoted_key", "read_route"]

_CREDENTIAL = re.compile(r"AWS4-HMAC-SHA256 Credential=[^/,]+/\d{8}/([^/,]+)/([^/,]+)/aws4_request,.*")
_PORTS = {"http": ":80", "https": ":443"}
_SERVICES = frozenset(["s3", "s3-object-lambda", "s3-outposts"])
# What the SDK sends with a GET or HEAD of its own accord; with anything else, somebody has added to its requests.
_KNOWN = frozenset(
    [
        "accept-encoding",
        "amz-sdk-invocation-id",
        "amz-sdk-request",
        "authorization",
        "content-length",
        "host",
        "user-agent",
        "x-amz-checksum-mode",
        "x-amz-content-sha256",
        "x-amz-date",
        "x-amz-request-payer",
        "x-amz-security-token",
        "x-amzn-trace-id",
    ]
)


@dataclass(frozen=True, slots=True)
class Route:
    """The way to a bucket.

    Attributes:
        origin: Scheme, host and port, without a slash at its end.
        host: As the header ``Host`` has it.
        base: The path of the bucket, without a slash at its end; empty where the bucket is in the host name.
        scope: Region and service of the signature; ``None``: requests are not signed.
    """

    origin: str
    host: str
    base: str
    scope: tuple[str, str] | None


def quoted_key(key: str) -> str:
    """Quote a key for a path, as the SDK does."""
    return quote(key, safe="/~")


def read_route(url: str, headers: Mapping[str, str | bytes], key: str | None, *, anonymous: bool) -> Route | None:
    """Read the route off a request; ``None``: it is one that cannot be imitated.

    Args:
        url: The request's.
        headers: The request's.
        key: The object it is about; ``None``: it is about the bucket.
        anonymous: It is meant to have no signature.
    """
    place = urlsplit(url)
    if any(name.lower() not in _KNOWN for name in headers):
        return None
    found = next((value for name, value in headers.items() if name.lower() == "authorization"), b"")
    match = _CREDENTIAL.fullmatch(found if isinstance(found, str) else found.decode("latin-1"))
    if (match is None) != anonymous or (match and match[2] not in _SERVICES):
        return None
    end = "/" + quoted_key(key) if key is not None else ""
    if "@" in place.netloc or not place.path.endswith(end):
        return None
    base = place.path.removesuffix(end) if end else place.path.rstrip("/")
    host = place.netloc.removesuffix(_PORTS.get(place.scheme, ""))
    return Route(f"{place.scheme}://{host}", host, base, (match[1], match[2]) if match else None)
