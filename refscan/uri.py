"""URIs, taken apart and put together again without changing a byte of a key.

A key is everything behind the container. In ``s3://`` only a trailing ``?versionId=…`` is syntax; a key that
itself ends so is written with an empty pin behind it (``s3://b/odd?versionId=1?versionId=``). In ``file://``
``%XX`` is decoded (RFC 8089) and nothing else is syntax, so ``?`` and ``#`` are part of a name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import unquote, unquote_to_bytes

from refscan.errors import InvalidURIError

__all__ = ["Location", "parse", "parse_ref", "quote_file_key", "redact", "scheme_of"]

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_VERSION_ID = re.compile(r"(.*)\?versionId=([^?&#/\s]*)", re.DOTALL)
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_QUERY = re.compile(r"([^?#]*)(.*)", re.DOTALL)
_PARAMETER = re.compile(r"([?#&])([^?#&]*)")
_LOGIN = re.compile(r"(?<=//)[^/?#]*@|[^/?#]*:[^/?#]*@")
_ESCAPE = re.compile(r"(?:%[0-9A-Fa-f]{2})+")

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


@dataclass(frozen=True, slots=True)
class Location:
    """Where one object or prefix lies.

    Attributes:
        scheme: Lower case: ``s3``, ``file``, ``http``, ``https``, ``memory``.
        container: The bucket, the host with its port, or the memory store's name; empty for files.
        key: The object's key, as its bytes are; for files the absolute path without its first ``/``;
            for HTTP the path and query.
        version_id: The pin of the URI, if it has one.
        userinfo: ``user:password`` of an HTTP URL; never part of ``uri`` or ``repr``.
    """

    scheme: str
    container: str
    key: str
    version_id: str | None = None
    userinfo: str | None = field(default=None, repr=False)

    @property
    def base(self) -> str:
        """The URI that all keys of the container hang from, ending in ``/``."""
        return f"{self.scheme}://{self.container}/"

    @property
    def uri(self) -> str:
        """The URI without its pin and without secrets."""
        key = quote_file_key(self.key) if self.scheme == "file" else self.key
        return redact(self.base + key)

    @property
    def last_segment(self) -> str:
        """What stands behind the last ``/`` that has something behind it, with a trailing ``/`` kept.

        For HTTP the query is no part of it.
        """
        key = self.key
        if self.scheme in ("http", "https"):
            key = key.partition("?")[0]
        stem = key.rstrip("/")
        return key[stem.rfind("/") + 1 :] if stem else key


def scheme_of(uri: str) -> str:
    """Return the scheme in lower case.

    Raises:
        InvalidURIError: ``uri`` has no scheme; the text points to ``file://``.
    """
    match = _SCHEME.fullmatch(uri)
    if match is None:
        shown = redact(uri)
        raise InvalidURIError(
            f"a reference must be a URI, and {shown!r} has no scheme; "
            f"for a local path write file:// and the absolute path",
            uri=shown,
        )
    return match[1].lower()


def parse(uri: str) -> Location:
    """Read a URI as a person writes it, pins included.

    Raises:
        InvalidURIError: It cannot be read; the text says why.
    """
    location = parse_ref(uri)
    if location.scheme in ("s3", "memory") and (match := _VERSION_ID.fullmatch(location.key)):
        return Location(location.scheme, location.container, match[1], match[2] or None)
    return location


def parse_ref(ref: str) -> Location:
    """Read a URI as a manifest records it: everything behind the container is the key.

    Raises:
        InvalidURIError: It cannot be read; the text says why.
    """
    scheme = scheme_of(ref)
    try:
        ref.encode()
    except UnicodeEncodeError:
        shown = redact(ref).encode("utf-8", "backslashreplace").decode()
        raise InvalidURIError(f"{shown} is not valid UTF-8, so no manifest can hold it", uri=shown) from None
    rest = ref[len(scheme) + 3 :]
    if scheme == "file":
        return Location(scheme, "", _file_key(rest, ref))
    container, _, key = rest.partition("/")
    if scheme in ("http", "https"):
        return _http(scheme, rest, ref)
    if not container:
        raise InvalidURIError(f"{ref!r} names no bucket; write {scheme}://BUCKET/KEY", uri=ref)
    if not _BUCKET.fullmatch(container):
        shown = redact(ref)
        raise InvalidURIError(
            f"{shown!r} has no valid bucket name; it takes letters, digits, '.', '-' and '_'", uri=shown
        )
    return Location(scheme, container, key)


def _http(scheme: str, rest: str, uri: str) -> Location:
    authority, key = re.fullmatch(r"([^/?#]*)/?([^#]*)(?:#.*)?", rest, re.DOTALL).groups()  # type: ignore[union-attr]
    userinfo, _, host = authority.rpartition("@")
    if not host or re.search(r"[\s\\\x00-\x1f]", host):
        shown = redact(uri)
        raise InvalidURIError(f"{shown!r} names no host; write {scheme}://HOST/PATH", uri=shown)
    return Location(scheme, host.lower(), key, userinfo=userinfo or None)


def _file_key(rest: str, uri: str) -> str:
    host, slash, path = rest.partition("/")
    if host not in ("", "localhost") or not slash:
        shown = redact(uri)
        raise InvalidURIError(f"{shown!r} is not absolute; a file URI has three slashes: file:///PATH", uri=shown)
    try:
        key = _ESCAPE.sub(lambda match: unquote_to_bytes(match[0]).decode(), path)
    except UnicodeDecodeError:
        raise InvalidURIError(
            f"{uri!r} decodes to bytes that are not UTF-8, so no manifest can hold it", uri=uri
        ) from None
    if "\0" in key:
        raise InvalidURIError(f"{uri!r} holds a zero byte, which no file name can", uri=uri)
    return key


def quote_file_key(key: str) -> str:
    """Write a path so that ``parse`` gives it back: only ``%`` needs an escape."""
    return key.replace("%", "%25")


def redact(uri: str) -> str:
    """Return ``uri`` without credentials: user information, signatures, tokens.

    Keys of object stores are left as they are: there ``?`` and ``@`` are part of a key.
    """
    match = _SCHEME.fullmatch(uri)
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
