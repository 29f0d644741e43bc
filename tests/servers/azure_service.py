"""What the emulator lacks of Azure's listings, as a script for ``servers.scripted``: versions, ``startFrom``, Arrow
answers, hierarchical namespaces. As https://learn.microsoft.com/rest/api/storageservices/list-blobs and
https://learn.microsoft.com/rest/api/storageservices/get-account-information have it.
"""

import hashlib
import re
from base64 import b64encode
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from urllib.parse import quote, unquote, urlsplit
from xml.sax.saxutils import escape

import pyarrow as pa
from servers.scripted import Answer, Request

ARROW = "application/vnd.apache.arrow.stream"
_MODIFIED = datetime(2024, 5, 9, 17, 8, 44, tzinfo=UTC)
_HTTP_DATE = "Thu, 09 May 2024 17:08:44 GMT"
_NO_XML = {*map(chr, range(32)), "\ufffe", "\uffff"} - {"\t", "\n", "\r"}


@dataclass(frozen=True)
class Version:
    """One version of a blob; one of each blob that is not deleted is current. ``deleted``: softly."""

    name: str
    data: bytes = b""
    version_id: str | None = None
    current: bool = True
    metadata: dict[str, str] = field(default_factory=dict)
    resource_type: str | None = None
    e_tag: str | None = "0x8DC704A1B2C3D4E"
    tier: str = "Hot"
    deleted: bool = False

    @property
    def md5(self) -> str:
        return b64encode(hashlib.md5(self.data).digest()).decode()


def element(tag: str, text: str | None) -> str:
    return f"<{tag} />" if not text else f"<{tag}>{escape(text)}</{tag}>"


def name_element(name: str) -> str:
    """Write a name; one that XML cannot hold is percent-encoded, since service version 2021-02-12."""
    if _NO_XML.intersection(name) or "\r" in name:
        return f'<Name Encoded="true">{quote(name, safe="/")}</Name>'
    return element("Name", name)


def blob_element(version: Version, *, pins: bool = True) -> str:
    """Write one blob as the service does."""
    pin = ""
    if pins and version.version_id:
        pin = element("VersionId", version.version_id)
        pin += "<IsCurrentVersion>true</IsCurrentVersion>" if version.current else ""
    pin += "<Deleted>true</Deleted>" if version.deleted else ""
    resource_type = element("ResourceType", version.resource_type) if version.resource_type else ""
    lease = "<LeaseStatus>unlocked</LeaseStatus><LeaseState>available</LeaseState>" if version.current else ""
    metadata = "".join(element(key, value) for key, value in version.metadata.items())
    return (
        f"<Blob>{name_element(version.name)}{pin}<Properties><Creation-Time>{_HTTP_DATE}</Creation-Time>"
        f"<Last-Modified>{_HTTP_DATE}</Last-Modified>{element('Etag', version.e_tag)}{resource_type}"
        f"<Content-Length>{len(version.data)}</Content-Length><Content-Type>application/octet-stream</Content-Type>"
        f"<Content-Encoding /><Content-Language /><Content-CRC64 />"
        f"{element('Content-MD5', version.md5 if version.data else None)}<Cache-Control /><Content-Disposition />"
        f"<BlobType>BlockBlob</BlobType><AccessTier>{version.tier}</AccessTier><AccessTierInferred>true</AccessTierInferred>"
        f"{lease}<ServerEncrypted>true</ServerEncrypted></Properties>"
        f"{f'<Metadata>{metadata}</Metadata>' if metadata else '<Metadata />'}<OrMetadata /></Blob>"
    )


def xml_listing(inside: str, marker: str = "") -> bytes:
    """Write a listing as the service does, with its byte order mark."""
    blobs = f"<Blobs>{inside}</Blobs>" if inside else "<Blobs />"
    return (
        '\ufeff<?xml version="1.0" encoding="utf-8"?><EnumerationResults ServiceEndpoint="https://a/" '
        f'ContainerName="c"><Prefix /><MaxResults>5000</MaxResults>{blobs}'
        f"{element('NextMarker', marker)}</EnumerationResults>"
    ).encode()


def arrow_listing(versions: list[Version], marker: str = "", prefixes: tuple[str, ...] = ()) -> bytes:
    """Write a listing in Arrow: columns are named like the elements, the marker stands in the schema."""
    blank = Version("", e_tag=None)
    rows = [*versions, *([blank] * len(prefixes))]
    columns = {
        "Name": pa.array([*(v.name for v in versions), *prefixes], pa.string()),
        "VersionId": pa.array([v.version_id for v in rows], pa.string()),
        "IsCurrentVersion": pa.array([v.current if v.version_id else None for v in rows], pa.bool_()),
        "ResourceType": pa.array([*(v.resource_type for v in versions), *["blobprefix"] * len(prefixes)], pa.string()),
        "Last-Modified": pa.array([_MODIFIED] * len(rows), pa.timestamp("s")),
        "Etag": pa.array([v.e_tag for v in rows], pa.string()),
        "Content-Length": pa.array([len(v.data) for v in rows], pa.uint64()),
        "Content-MD5": pa.array([v.md5 if v.data else None for v in rows], pa.string()),
        "AccessTier": pa.array([v.tier for v in rows], pa.string()).dictionary_encode(),
        "Deleted": pa.array([v.deleted or None for v in rows], pa.bool_()),
        "Metadata": pa.array([list(v.metadata.items()) for v in rows], pa.map_(pa.string(), pa.string())),
    }
    table = pa.table(columns).replace_schema_metadata({"NextMarker": marker})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    return sink.getvalue().to_pybytes()


def error(code: str, status: int, detail: str = "") -> Answer:
    """Make an error as the service sends it."""
    inside = f"<Code>{code}</Code><Message>As the test wants it.\nRequestId:1\nTime:2</Message>{detail}"
    body = f'\ufeff<?xml version="1.0" encoding="utf-8"?><Error>{inside}</Error>'
    return Answer(body.encode(), status, {"Content-Type": "application/xml", "x-ms-error-code": code})


@dataclass
class BlobService:
    """A container, as a script.

    Attributes:
        versions: All there is; versions of one blob from the oldest to the newest.
        start_from: What becomes of ``startFrom``: ``absolute``, ``relative`` to the prefix, ``ignored``, ``refused``.
        refuses_versions: ``include=versions`` is answered by this error.
        arrow: ``spoken``, ``unknown``, ``broken`` or ``refused``.
        hierarchical: The account has a hierarchical namespace; ``None``: it may not be asked.
        page_size: Entries in a page at most.
    """

    versions: list[Version] = field(default_factory=list)
    start_from: str = "absolute"
    refuses_versions: Answer | None = None
    arrow: str = "unknown"
    hierarchical: bool | None = False
    page_size: int = 5_000
    lists: list[dict[str, str]] = field(default_factory=list)
    _count: int = 0

    def put(self, key: str, data: bytes) -> str | None:
        """Store a blob; what was there becomes an old version, where there is no hierarchical namespace."""
        self._count += 1
        self.delete(key)
        version_id = None if self.hierarchical else f"2024-05-09T17:08:44.{self._count:07}Z"
        self.versions.append(Version(key, data, version_id, e_tag=f"0x{self._count:015X}"))
        return version_id

    def delete(self, key: str) -> None:
        """Take a blob away; its versions stay."""
        kept = [v for v in self.versions if v.name != key or v.version_id]
        self.versions = [replace(v, current=False) if v.name == key else v for v in kept]

    def change(self, version_id: str, **facts: object) -> None:
        """Give a version another tier, or delete it softly."""
        self.versions = [replace(v, **facts) if v.version_id == version_id else v for v in self.versions]

    def __call__(self, request: Request) -> Answer:
        query = request.query
        if query.get("comp") == "properties":
            if self.hierarchical is None:
                return error("AuthorizationPermissionMismatch", 403)
            return Answer(headers={"x-ms-is-hns-enabled": str(self.hierarchical).lower()})
        if query.get("comp") == "list":
            self.lists.append(query)
            return self._list(query, request)
        return self._blob(request)

    def _list(self, query: dict[str, str], request: Request) -> Answer:
        include = query.get("include", "").split(",")
        speaks = ARROW in request.head.decode("latin-1")
        if "versions" in include and self.refuses_versions:
            return self.refuses_versions
        if speaks and self.arrow == "refused":
            return error("InvalidHeaderValue", 406)
        entries = [v for v in self.versions if v.current or "versions" in include]
        entries = [v for v in entries if not v.deleted or "deleted" in include]
        entries.sort(key=lambda version: version.name)
        prefix = query.get("prefix", "")
        entries = [v for v in entries if v.name.startswith(prefix)]
        if "startFrom" in query:
            if self.start_from == "refused":
                return error("InvalidQueryParameterValue", 400)
            begin = (prefix if self.start_from == "relative" else "") + query["startFrom"]
            entries = [v for v in entries if v.name >= begin or self.start_from == "ignored"]
        items: list[Version | str] = list(entries)
        if "delimiter" in query:
            items = self._folded(entries, prefix)
        begin = int(query.get("marker", "0!").partition("!")[0])
        stop = begin + min(self.page_size, int(query.get("maxresults", "5000")))
        marker = f"{stop}!MDAw&" if stop < len(items) else ""
        shown = [item for item in items[begin:stop] if isinstance(item, Version)]
        folders = tuple(item for item in items[begin:stop] if isinstance(item, str))
        if speaks and self.arrow == "broken":
            return Answer(b"no arrow at all", headers={"Content-Type": ARROW})
        if speaks and self.arrow == "spoken":
            pinned = [v if "versions" in include else replace(v, version_id=None) for v in shown]
            return Answer(arrow_listing(pinned, marker, folders), headers={"Content-Type": ARROW})
        inside = "".join(f"<BlobPrefix>{name_element(folder)}</BlobPrefix>" for folder in folders)
        inside += "".join(blob_element(version, pins="versions" in include) for version in shown)
        return Answer(xml_listing(inside, marker), headers={"Content-Type": "application/xml"})

    def _folded(self, entries: list[Version], prefix: str) -> list[Version | str]:
        found: dict[str, Version | str] = {}
        for version in entries:
            head, slash, _ = version.name.removeprefix(prefix).partition("/")
            if slash:
                found.setdefault(f"{prefix}{head}/", f"{prefix}{head}/")
            else:
                found[version.name] = version
        return list(found.values())

    def _blob(self, request: Request) -> Answer:
        place = urlsplit(request.target)
        name = unquote(place.path.split("/", 3)[3])
        wanted = request.query.get("versionid")
        version = next(
            (v for v in self.versions if v.name == name and (v.version_id == wanted if wanted else v.current)), None
        )
        if version is None:
            return error("BlobNotFound", 404)
        headers = {
            "ETag": f'"{version.e_tag}"',
            **({"Content-MD5": version.md5} if version.data else {}),
            "Last-Modified": _HTTP_DATE,
            "x-ms-access-tier": version.tier,
            "x-ms-blob-type": "BlockBlob",
            **({"x-ms-version-id": version.version_id} if version.version_id else {}),
            **({"x-ms-resource-type": version.resource_type} if version.resource_type else {}),
            **{f"x-ms-meta-{key}": value for key, value in version.metadata.items()},
        }
        if_match = _header(request, "If-Match")
        if if_match not in (None, headers["ETag"]):
            return error("ConditionNotMet", 412)
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", _header(request, "x-ms-range") or "")
        if asked is None:
            return Answer(version.data, headers=headers)
        start, stop = int(asked[1]), min(int(asked[2] or len(version.data)) + 1, len(version.data))
        if start >= stop:
            return error("InvalidRange", 416)
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(version.data)}"
        return Answer(version.data[start:stop], 206, {key: headers[key] for key in headers if key != "Content-MD5"})


def _header(request: Request, name: str) -> str | None:
    found = re.search(rf"\r\n{name}: *([^\r]*)\r\n", request.head.decode("latin-1"), re.IGNORECASE)
    return found[1] if found else None
