"""A blob container with versioning, which the emulator lacks, played as Azure's documents say.

https://learn.microsoft.com/rest/api/storageservices/list-blobs,
https://learn.microsoft.com/rest/api/storageservices/get-blob and
https://learn.microsoft.com/azure/storage/blobs/versioning-overview
"""

import base64
import hashlib
import re
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit
from xml.sax.saxutils import escape

from servers.scripted import Answer, Request

ACCOUNT = "devstoreaccount1"
CONTAINER = "versioned"
_TIME = "Wed, 21 Oct 2015 07:28:00 GMT"
_XML_FORBIDS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


@dataclass(frozen=True)
class _Version:
    data: bytes
    version_id: str

    @property
    def e_tag(self) -> str:
        return f"0x{hashlib.sha1(self.version_id.encode() + self.data).hexdigest()[:15].upper()}"

    @property
    def md5(self) -> str:
        return base64.b64encode(hashlib.md5(self.data).digest()).decode()


class VersionedContainer:
    """The script of a ``ScriptedServer``.

    Attributes:
        page_size: Versions in a page, at most.
    """

    def __init__(self, *, page_size: int = 5_000) -> None:
        self.page_size = page_size
        self._versions: dict[str, list[_Version]] = {}
        self._deleted: set[str] = set()
        self._count = 0

    def put(self, key: str, data: bytes) -> str:
        self._count += 1
        version = _Version(data, f"2024-01-01T00:00:00.{self._count:07}Z")
        self._versions.setdefault(key, []).append(version)
        self._deleted.discard(key)
        return version.version_id

    def delete(self, key: str) -> None:
        """As the service does: the current version becomes a previous one."""
        self._deleted.add(key)

    def __call__(self, request: Request) -> Answer:
        query = {name.lower(): value for name, value in request.query.items()}
        path = unquote(urlsplit(request.target).path)
        assert path.startswith(f"/{ACCOUNT}")
        if query.get("restype") == "account":
            return Answer(headers={"x-ms-is-hns-enabled": "false", "x-ms-sku-name": "Standard_LRS"})
        prefix = f"/{ACCOUNT}/{CONTAINER}"
        if query.get("comp") == "list":
            return self._list(query) if path == prefix else _error(404, "ContainerNotFound")
        return self._blob(request, path.removeprefix(prefix + "/"), query)

    def _list(self, query: dict[str, str]) -> Answer:
        assert "versions" in query.get("include", "").split(",")
        marker, start = query.get("marker", ""), query.get("startfrom", "")
        size = min(self.page_size, int(query.get("maxresults", "5000")))
        found = [
            (key, version, version is versions[-1] and key not in self._deleted)
            for key, versions in sorted(self._versions.items())
            if key.startswith(query.get("prefix", "")) and key >= start
            for version in versions
        ]
        behind = [item for item in found if f"{item[0]}\0{item[1].version_id}" > unquote(marker)]
        page, more = behind[:size], behind[size:]
        following = quote(f"{page[-1][0]}\0{page[-1][1].version_id}", safe="") if more else ""
        blobs = "".join(_blob_xml(key, version, is_current=current) for key, version, current in page)
        body = (
            '\ufeff<?xml version="1.0" encoding="utf-8"?><EnumerationResults ServiceEndpoint="http://x/" '
            f'ContainerName="{CONTAINER}"><MaxResults>{size}</MaxResults><Blobs>{blobs}</Blobs>'
            f"<NextMarker>{following}</NextMarker></EnumerationResults>"
        )
        return Answer(body.encode(), headers={"Content-Type": "application/xml"})

    def _blob(self, request: Request, key: str, query: dict[str, str]) -> Answer:
        versions = self._versions.get(key, [])
        if "versionid" in query:
            found = next((v for v in versions if v.version_id == query["versionid"]), None)
        else:
            found = versions[-1] if versions and key not in self._deleted else None
        if found is None:
            return _error(404, "BlobNotFound")
        wanted = _header(request, "If-Match")
        if wanted not in (None, "*") and wanted.strip('"') != found.e_tag:
            return _error(412, "ConditionNotMet")
        headers = {
            "ETag": f'"{found.e_tag}"',
            "Last-Modified": _TIME,
            "Content-Type": "application/octet-stream",
            "x-ms-version-id": found.version_id,
            "x-ms-is-current-version": str(found is versions[-1]).lower(),
            "x-ms-blob-type": "BlockBlob",
            "Accept-Ranges": "bytes",
        }
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", _header(request, "x-ms-range") or _header(request, "Range") or "")
        if asked is None:
            headers["Content-MD5"] = found.md5
            headers["Content-Length"] = str(len(found.data))
            return Answer(found.data, headers=headers)
        start, stop = int(asked[1]), min(int(asked[2] or len(found.data)) + 1, len(found.data))
        if start >= len(found.data):
            return _error(416, "InvalidRange")
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(found.data)}"
        return Answer(found.data[start:stop], 206, headers)


def _blob_xml(key: str, version: _Version, *, is_current: bool) -> str:
    encoded = bool(_XML_FORBIDS.search(key))
    name = f'<Name Encoded="true">{quote(key)}</Name>' if encoded else f"<Name>{escape(key, {chr(13): '&#13;'})}</Name>"
    current = "<IsCurrentVersion>true</IsCurrentVersion>" if is_current else ""
    return (
        f"<Blob>{name}<VersionId>{version.version_id}</VersionId>{current}<Properties>"
        f"<Creation-Time>{_TIME}</Creation-Time><Last-Modified>{_TIME}</Last-Modified><Etag>{version.e_tag}</Etag>"
        f"<Content-Length>{len(version.data)}</Content-Length><Content-Type>application/octet-stream</Content-Type>"
        f"<Content-MD5>{version.md5}</Content-MD5><BlobType>BlockBlob</BlobType><AccessTier>Hot</AccessTier>"
        "</Properties><OrMetadata /></Blob>"
    )


def _header(request: Request, name: str) -> str | None:
    found = re.search(rb"\r\n" + name.encode() + rb":[ \t]*([^\r]*)\r\n", request.head, re.IGNORECASE)
    return found[1].decode("latin-1") if found else None


def _error(status: int, code: str) -> Answer:
    body = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>{code}.</Message></Error>'
    return Answer(body.encode(), status, {"x-ms-error-code": code, "Content-Type": "application/xml"})
