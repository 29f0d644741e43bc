"""URIs without what signs a request or names a password, for manifests, logs and errors."""

from __future__ import annotations

import re
from urllib.parse import unquote

__all__ = ["redact"]

_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_QUERY = re.compile(r"([^?#]*)(.*)", re.DOTALL)
_PARAMETER = re.compile(r"([?#&])([^?#&]*)")
_LOGIN = re.compile(r"(?<=//)[^/?#]*@|[^/?#]*:[^/?#]*@")

# Query parameters that sign a request or carry a key: AWS and Google signatures (versions 2 and 4), CloudFront,
# Azure shared access signatures, and the usual names of bearer tokens.
_SECRET_PREFIXES = ("x-amz-", "x-goog-")
_SECRET_NAMES = frozenset(
    [
        "sig",
        "signature",
        "awsaccesskeyid",
        "googleaccessid",
        "key-pair-id",
        "token",
        "access_token",
        "auth_token",
        "api_key",
        "apikey",
        "password",
        "secret",
    ]
)
_SIGNATURE_NAMES = frozenset(("sig", "signature"))
_BESIDE_A_SIGNATURE = frozenset(
    [
        "expires",
        "policy",
        "sv",
        "st",
        "se",
        "sp",
        "sr",
        "spr",
        "sip",
        "srt",
        "ss",
        "si",
        "sdd",
        "skoid",
        "sktid",
        "skt",
        "ske",
        "sks",
        "skv",
        "saoid",
        "suoid",
        "scid",
    ]
)


def redact(uri: str) -> str:
    """Return ``uri`` without credentials: user information, signatures, tokens.

    Keys of object stores are left as they are: there ``?`` and ``@`` are part of a key.
    """
    match = _URI.fullmatch(uri)
    if match is None:
        # Not a URI, yet it may be one with a typing error, and then its secrets are secrets too.
        return _without_secret_parameters(_LOGIN.sub("", uri))
    scheme = match[1].lower()
    authority, tail = re.fullmatch(r"([^/?#]*)(.*)", match[2], re.DOTALL).groups()  # type: ignore[union-attr]
    userinfo, at, host = authority.rpartition("@")
    if at:
        user = userinfo.partition(":")[0]
        # A token may stand as the user of HTTP (git+https too); elsewhere it is part of the place: ssh, abfss.
        keeps_user = user and "http" not in scheme and scheme not in ("s3", "gs")
        authority = f"{user}@{host}" if keeps_user else host
    if scheme not in ("s3", "gs", "memory", "file"):
        tail = _without_secret_parameters(tail)
    return f"{match[1]}://{authority}{tail}"


def _without_secret_parameters(tail: str) -> str:
    path, parameters = _QUERY.fullmatch(tail).groups()  # type: ignore[union-attr]
    found = _PARAMETER.findall(parameters)
    names = [unquote(text.partition("=")[0]).lower() for _, text in found]
    signed = not _SIGNATURE_NAMES.isdisjoint(names)
    kept, opening = path, ""
    for (mark, text), name in zip(found, names, strict=True):
        opening = mark if mark != "&" else opening
        if name in _SECRET_NAMES or name.startswith(_SECRET_PREFIXES) or (signed and name in _BESIDE_A_SIGNATURE):
            continue
        kept += (opening or mark) + text
        opening = ""
    return kept
