"""URIs without what signs a request or names a password, for manifests, logs and errors."""

from __future__ import annotations

import re
from urllib.parse import unquote

__all__ = ["redact"]

_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_NO_PORT = re.compile(r"[^:\[\]]+:[^:\[\]]*[^0-9:\[\]][^:\[\]]*")
_QUERY = re.compile(r"([^?#]*)(.*)", re.DOTALL)
_PARAMETER = re.compile(r"([?#&;])([^?#&;]*)")
_LOGIN = re.compile(r"(?<=//)[^/?#]*@|[^/?#]*:[^/?#]*@")

# Query parameters that sign a request or carry a key: signatures of AWS and Google (versions 2 and 4), CloudFront,
# Alibaba, Tencent and Akamai, Azure shared access signatures, and the usual names of keys and bearer tokens.
_SECRET_PREFIXES = ("x-amz-", "x-goog-", "x-oss-", "x-cos-")
_SECRET_NAMES = frozenset(
    [
        "sig",
        "signature",
        "awsaccesskeyid",
        "googleaccessid",
        "ossaccesskeyid",
        "accesskeyid",
        "key-pair-id",
        "token",
        "access-token",
        "auth-token",
        "id-token",
        "refresh-token",
        "security-token",
        "session-token",
        "private-token",
        "job-token",
        "bearer",
        "jwt",
        "auth",
        "authorization",
        "api-key",
        "apikey",
        "x-api-key",
        "x-access-token",
        "password",
        "passwd",
        "pwd",
        "secret",
        "client-secret",
        "sas",
        "sastoken",
        "sas-token",
        "hdnea",
        "hdnts",
        "hdntl",
        "--token--",
        "q-ak",
        "q-signature",
        "q-sign-algorithm",
        "q-sign-time",
        "q-key-time",
        "q-header-list",
        "q-url-param-list",
    ]
)
# Google's API keys and JSON web tokens are known by their looks: "key" may as well name what is asked for.
_SECRET_VALUE = re.compile(r"AIza[\w-]{35}|eyJ[\w-]+\.eyJ[\w-]+\.[\w-]*")
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
    if "http" in scheme and not at and "@" in tail and _NO_PORT.fullmatch(authority):
        # A password with a "/" in it, which should have been escaped.
        return redact(f"{match[1]}://{tail.rpartition('@')[2]}")
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
    names = [unquote(text.partition("=")[0]).lower().replace("_", "-") for _, text in found]
    signed = not _SIGNATURE_NAMES.isdisjoint(names)
    kept, opening = path, ""
    for (mark, text), name in zip(found, names, strict=True):
        opening = mark if mark not in "&;" else opening
        if name in _SECRET_NAMES or name.startswith(_SECRET_PREFIXES) or (signed and name in _BESIDE_A_SIGNATURE):
            continue
        if _SECRET_VALUE.match(unquote(text.partition("=")[2])):
            continue
        kept += (opening or mark) + text
        opening = ""
    return kept
