"""URIs, taken apart and put together again without changing a byte of a key.

A key is everything behind the container. In ``s3://`` only a trailing ``?versionId=…`` is syntax, in ``gs://`` only
a trailing ``#GENERATION``; a key that itself ends so is written with an empty pin behind it
(``s3://b/odd?versionId=1?versionId=``, ``gs://b/odd#1#``). In ``file://`` ``%XX`` is decoded (RFC 8089) and nothing
else is syntax, so ``?`` and ``#`` are part of a name. Azure's blobs are named by their URL, where ``%XX`` is decoded
and a query is no part of the key (``refscan.azure_uri``).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import unquote_to_bytes

from refscan.azure_uri import AZURE_SCHEMES, blob_url, split_blob_url
from refscan.errors import InvalidURIError
from refscan.redact import redact

__all__ = ["Location", "StoreName", "parse", "parse_ref", "quote_key", "scheme_of"]

StoreName = Literal["s3", "gcs", "azure", "http", "file", "memory", "fsspec"]
"""What kind of store a location lies in; it decides which source reads it."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_PINS = {
    "s3": re.compile(r"(.*)\?versionId=([^?&#/\s]*)", re.DOTALL),
    "memory": re.compile(r"(.*)\?versionId=([^?&#/\s]*)", re.DOTALL),
    "gcs": re.compile(r"(.*)#([0-9]*)", re.DOTALL),
}
_STORES: dict[str, StoreName] = {"s3": "s3", "gs": "gcs", "memory": "memory", "http": "http", "https": "http"}
# S3 also takes the ARN of an access point in a bucket's place.
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_ARN = re.compile(r"(arn:[a-z-]+:s3[a-z-]*:[a-z0-9-]*:[0-9]*:accesspoint[/:][A-Za-z0-9.-]+)(?:/(.*))?", re.DOTALL)
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.%]+\]|[^\s\\\x00-\x1f:\[\]]+)(?::[0-9]*)?")
_ESCAPE = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_QUOTED = {"file": str.maketrans({"%": "%25"}), "azure": str.maketrans({"%": "%25", "?": "%3F", "#": "%23"})}


@dataclass(frozen=True, slots=True)
class Location:
    """Where one object or prefix lies.

    Attributes:
        scheme: Lower case: ``s3``, ``gs``, ``file``, ``http``, ``https``, ``memory``; ``https`` or ``http`` for Azure.
        container: The bucket, the host with its port, or the memory store's name; for Azure the account's host (and
            its path, for an emulator) with the container; for other schemes the host with the user; empty for files.
        key: The object's key, as its bytes are; for files the absolute path without its first ``/``;
            for HTTP the path and query.
        version_id: The pin of the URI, if it has one.
        store: What kind of store it lies in.
        userinfo: ``user:password`` of a URL; never part of ``uri`` or ``repr``.
        sas: The shared access signature of an Azure URL; never part of ``uri`` or ``repr``.
    """

    scheme: str
    container: str
    key: str
    version_id: str | None = None
    store: StoreName = "fsspec"
    userinfo: str | None = field(default=None, repr=False)
    sas: str | None = field(default=None, repr=False)

    @property
    def base(self) -> str:
        """The URI that all keys of the container hang from, ending in ``/``."""
        return f"{self.scheme}://{self.container}/"

    @property
    def uri(self) -> str:
        """The URI without its pin and without secrets."""
        return redact(self.base + quote_key(self.key, self.store))

    @property
    def last_segment(self) -> str:
        """What stands behind the last ``/`` that has something behind it, with a trailing ``/`` kept.

        For HTTP the query is no part of it.
        """
        key = self.key
        if self.store == "http":
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


def parse(uri: str, *, blob_endpoints: Sequence[str] = ()) -> Location:
    """Read a URI as a person writes it, pins included.

    Args:
        uri: The URI.
        blob_endpoints: Azure blob endpoints beside the public ones, such as an emulator's
            ``http://127.0.0.1:10000/devstoreaccount1``; the first is the account of ``az://CONTAINER/…``.

    Raises:
        InvalidURIError: It cannot be read; the text says why.
    """
    location = parse_ref(uri, blob_endpoints=blob_endpoints)
    pin = _PINS.get(location.store)
    if pin is not None and (match := pin.fullmatch(location.key)):
        return Location(location.scheme, location.container, match[1], match[2] or None, location.store)
    return location


def parse_ref(ref: str, *, blob_endpoints: Sequence[str] = ()) -> Location:
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
        return Location(scheme, "", _file_key(rest, ref), store="file")
    url = blob_url(scheme, rest, blob_endpoints) if scheme in AZURE_SCHEMES else f"{scheme}://{rest}"
    if (blob := split_blob_url(url, blob_endpoints)) is not None:
        key = _decode(blob.path, ref)
        web_scheme, _, container = blob.container.partition("://")
        return Location(web_scheme, container, key, blob.version_id, "azure", sas=blob.sas)
    if scheme in ("http", "https"):
        return _http(scheme, rest, ref)
    store = _STORES.get(scheme, "fsspec")
    container, _, key = rest.partition("/")
    if store == "fsspec":
        userinfo, at, host = container.rpartition("@")
        user = userinfo.partition(":")[0]
        return Location(scheme, f"{user}@{host}" if user else host, key, userinfo=userinfo if at else None)
    if store == "s3" and (arn := _ARN.fullmatch(rest)):
        container, key = arn[1], arn[2] or ""
    elif not container:
        raise InvalidURIError(f"{ref!r} names no bucket; write {scheme}://BUCKET/KEY", uri=ref)
    elif not _BUCKET.fullmatch(container):
        shown = redact(ref)
        raise InvalidURIError(
            f"{shown!r} has no valid bucket name; it takes letters, digits, '.', '-' and '_'", uri=shown
        )
    return Location(scheme, container, key, store=store)


def _http(scheme: str, rest: str, uri: str) -> Location:
    authority, key = re.fullmatch(r"([^/?#]*)/?([^#]*)(?:#.*)?", rest, re.DOTALL).groups()  # type: ignore[union-attr]
    userinfo, _, host = authority.rpartition("@")
    if not _HOST.fullmatch(host):
        shown = redact(uri)
        raise InvalidURIError(f"{shown!r} names no host; write {scheme}://HOST/PATH", uri=shown)
    return Location(scheme, host.lower(), key, store="http", userinfo=userinfo or None)


def _file_key(rest: str, uri: str) -> str:
    host, slash, path = rest.partition("/")
    if host not in ("", "localhost") or not slash:
        shown = redact(uri)
        raise InvalidURIError(f"{shown!r} is not absolute; a file URI has three slashes: file:///PATH", uri=shown)
    key = _decode(path, uri)
    if "\0" in key:
        raise InvalidURIError(f"{uri!r} holds a zero byte, which no file name can", uri=uri)
    return key


def _decode(path: str, uri: str) -> str:
    try:
        return _ESCAPE.sub(lambda match: unquote_to_bytes(match[0]).decode(), path)
    except UnicodeDecodeError:
        shown = redact(uri)
        raise InvalidURIError(
            f"{shown!r} decodes to bytes that are not UTF-8, so no manifest can hold it", uri=shown
        ) from None


def quote_key(key: str, store: StoreName) -> str:
    """Write a key so that ``parse`` gives it back: ``%`` is escaped where ``%XX`` is decoded, no more than needed."""
    quoted = _QUOTED.get(store)
    return key if quoted is None else key.translate(quoted)
