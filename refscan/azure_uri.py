"""The names of Azure's blobs: their URL, and the short schemes that other tools made up for them.

``https://ACCOUNT.blob.core.windows.net/CONTAINER/BLOB`` is the name that is recorded. Read too are
``az://CONTAINER/BLOB`` (the account is configured), ``abfs(s)://CONTAINER@ACCOUNT.dfs.core.windows.net/BLOB`` (Hadoop)
and ``abfs(s)://CONTAINER/BLOB``, and an emulator's ``http://HOST:PORT/ACCOUNT/CONTAINER/BLOB`` once it is configured.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from refscan.errors import InvalidURIError
from refscan.redact import redact

__all__ = ["AZURE_SCHEMES", "BlobURL", "blob_url", "split_blob_url"]

AZURE_SCHEMES = ("az", "azure", "abfs", "abfss")

# The public cloud, the national ones, and accounts in DNS zones (ACCOUNT.z01.blob.storage.azure.net).
_HOST = re.compile(
    r"([a-z0-9][a-z0-9-]*(?:\.z[0-9]+)?)\.(?:blob|dfs)\."
    r"(core\.windows\.net|core\.chinacloudapi\.cn|core\.usgovcloudapi\.net|storage\.azure\.net)",
    re.IGNORECASE,
)
# What may stand here; the finer rules of names are the store's to apply.
_CONTAINER = re.compile(r"\$?[A-Za-z0-9-]+")
_URL = re.compile(r"(https?)://([^/?#]*)/?([^?#]*)(?:\?([^#]*))?(?:#.*)?", re.DOTALL | re.IGNORECASE)
_HADOOP = re.compile(r"([^@/]+)@([^/]+)/?(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class BlobURL:
    """A blob's URL, taken apart.

    Attributes:
        container: The container's URL, without a ``/`` at its end.
        path: What stands behind it, still percent-encoded.
        version_id: ``?versionId=``.
        sas: The shared access signature: the query without ``versionId``.
    """

    container: str
    path: str
    version_id: str | None
    sas: str | None = field(repr=False)


def blob_url(scheme: str, rest: str, endpoints: Sequence[str]) -> str:
    """Return the URL of ``SCHEME://REST``, one of ``AZURE_SCHEMES``.

    Raises:
        InvalidURIError: It names no account, and none is configured.
    """
    uri = redact(f"{scheme}://{rest}")
    if scheme in ("abfs", "abfss") and (named := _HADOOP.fullmatch(rest)):
        container, host, path = named.groups()
        if _HOST.fullmatch(host):
            return f"https://{host}/{container}/{path}"
        known = next((endpoint for endpoint in endpoints if _account(endpoint) == host.partition(".")[0]), None)
        if known is not None:
            return f"{known.rstrip('/')}/{container}/{path}"
        if "." not in host and ":" not in host:
            return f"https://{host}.blob.core.windows.net/{container}/{path}"
        raise InvalidURIError(
            f"{uri}: {host} is no account of Azure's; write CONTAINER@ACCOUNT.dfs.core.windows.net", uri=uri
        )
    if not endpoints:
        raise InvalidURIError(
            f"{uri} names no storage account; write https://ACCOUNT.blob.core.windows.net/CONTAINER/BLOB, or set "
            f"AZURE_STORAGE_ACCOUNT or AzureOptions(account=…)",
            uri=uri,
        )
    return f"{endpoints[0].rstrip('/')}/{rest}"


def split_blob_url(url: str, endpoints: Sequence[str]) -> BlobURL | None:
    """Take a URL apart if it is a blob's: at Azure, or below one of ``endpoints``.

    Raises:
        InvalidURIError: It is Azure's, but names no container, or asks for a snapshot.
    """
    match = _URL.fullmatch(url)
    if match is None:
        return None
    scheme, authority, path, query = match.groups(default="")
    account = _account_url(scheme.lower(), authority.lower(), path, endpoints)
    if account is None:
        return None
    url_of_account, path = account
    container, _, blob = path.partition("/")
    shown = redact(url)
    if not _CONTAINER.fullmatch(container):
        raise InvalidURIError(f"{shown!r} names no container; write {url_of_account}/CONTAINER/BLOB", uri=shown)
    parameters = dict(parse_qsl(query, keep_blank_values=True))
    if "snapshot" in parameters:
        raise InvalidURIError(f"{shown!r} asks for a snapshot; only versions can be recorded (?versionId=…)", uri=shown)
    version_id = parameters.get("versionId") or parameters.get("versionid")
    sas = "&".join(part for part in query.split("&") if part and part.partition("=")[0].lower() != "versionid")
    return BlobURL(f"{url_of_account}/{container}", blob, version_id, sas if "sig" in parameters else None)


def _account_url(scheme: str, authority: str, path: str, endpoints: Sequence[str]) -> tuple[str, str] | None:
    """Return the account's URL and the path behind it."""
    for endpoint in endpoints:
        own = endpoint.rstrip("/")
        _, _, host_and_path = own.partition("://")
        host, _, own_path = host_and_path.partition("/")
        if own.lower().startswith(f"{scheme}://") and host.lower() == authority:
            if not own_path:
                return own, path
            if path == own_path or path.startswith(own_path + "/"):
                return own, path[len(own_path) + 1 :]
    public = _HOST.fullmatch(authority)
    if public is None:
        return None
    # Also for http://: secrets must not go over the wire in the clear.
    return f"https://{public[1]}.blob.{public[2]}", path


def _account(endpoint: str) -> str:
    """Return the account's name: the first label of the host, or the path of an emulator."""
    host, _, path = endpoint.partition("://")[2].rstrip("/").partition("/")
    return path or host.partition(".")[0]
