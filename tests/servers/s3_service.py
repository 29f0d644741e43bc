"""A versioned bucket of S3's, as a script for ``servers.scripted``: exact where moto is not (``key-marker``, pages).

As https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html has it.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from urllib.parse import quote_plus, unquote, urlsplit
from xml.sax.saxutils import escape

from servers.scripted import Answer, Request, s3_error, versioning

_DATE = "Thu, 09 May 2024 17:08:44 GMT"


@dataclass(frozen=True)
class Version:
    """One version of an object; without data it is a delete marker."""

    version_id: str
    data: bytes | None
    storage_class: str = "STANDARD"
    restore: str | None = None

    @property
    def e_tag(self) -> str:
        return hashlib.md5(self.data or b"").hexdigest()


@dataclass
class S3Service:
    """A bucket, as a script.

    Attributes:
        keys: Each key's versions, from the newest to the oldest.
        status: What GetBucketVersioning answers; ``None``: never versioned.
        page_size: Versions and delete markers in a page at most.
        denies_versions: ListObjectVersions is not permitted.
        denies_listing: Nor is ListObjectsV2.
        asked: ``versions``, ``objects``, ``head`` or ``versioning``, of each request.
    """

    keys: dict[str, list[Version]] = field(default_factory=dict)
    status: str | None = "Enabled"
    page_size: int = 1_000
    denies_versions: bool = False
    denies_listing: bool = False
    asked: list[str] = field(default_factory=list)
    _count: int = 0

    def put(self, key: str, data: bytes | None, **facts: str) -> str:
        """Store a version, or a delete marker."""
        self._count += 1
        version = Version(f"v{self._count:08}" if self.status else "null", data, **facts)
        self.keys[key] = [version, *(self.keys.get(key, []) if self.status else [])]
        return version.version_id

    def change(self, key: str, version_id: str, **facts: str) -> None:
        self.keys[key] = [replace(v, **facts) if v.version_id == version_id else v for v in self.keys[key]]

    def remove(self, key: str, version_id: str) -> None:
        self.keys[key] = [version for version in self.keys[key] if version.version_id != version_id]

    def __call__(self, request: Request) -> Answer:
        path = unquote(urlsplit(request.target).path).split("/", 2)
        if request.method == "HEAD":
            self.asked.append("head")
            return self._head(path[2], request.query.get("versionId"))
        if request.asks_for_versioning:
            self.asked.append("versioning")
            return versioning(self.status)
        self.asked.append("versions" if request.lists_versions else "objects")
        if self.denies_listing or (request.lists_versions and self.denies_versions):
            return s3_error("AccessDenied")
        return self._list(request.query, versions=request.lists_versions)

    def _head(self, key: str, version_id: str | None) -> Answer:
        found = next((v for v in self.keys.get(key, []) if version_id in (None, v.version_id)), None)
        if found is None or found.data is None:
            return Answer(status=404)
        headers = {
            "ETag": f'"{found.e_tag}"',
            "Content-Length": str(len(found.data)),
            "Last-Modified": _DATE,
            "x-amz-storage-class": found.storage_class,
            "x-amz-request-id": "1",
        }
        headers |= {"x-amz-version-id": found.version_id} if self.status else {}
        headers |= {"x-amz-restore": found.restore} if found.restore else {}
        return Answer(headers=headers)

    def _list(self, query: dict[str, str], *, versions: bool) -> Answer:
        after = query.get("key-marker" if versions else "start-after", "")
        rows = list(self._rows(query.get("prefix", ""), after, versions=versions))
        most = min(self.page_size, int(query.get("max-keys", "1000")))
        shown, more = rows[:most], len(rows) > most
        root = "ListVersionsResult" if versions else "ListBucketResult"
        last = quote_plus(shown[-1][0], safe="/") if more else ""
        marks = f"<IsTruncated>{str(more).lower()}</IsTruncated><EncodingType>url</EncodingType>"
        if more:
            marks += f"<NextKeyMarker>{last}</NextKeyMarker>" if versions else ""
            marks += "" if versions else "<NextContinuationToken>t</NextContinuationToken>"
        body = f'<?xml version="1.0" encoding="UTF-8"?>\n<{root}><Name>b</Name>{marks}'
        body += "".join(self._entry(*row, versions=versions) for row in shown)
        return Answer(f"{body}</{root}>".encode(), headers={"Content-Type": "application/xml"})

    def _rows(self, prefix: str, after: str, *, versions: bool) -> Iterator[tuple[str, Version, bool]]:
        for key in sorted(self.keys):
            if key.startswith(prefix) and key > after:
                for number, version in enumerate(self.keys[key]):
                    if versions or (number == 0 and version.data is not None):
                        yield key, version, number == 0

    def _entry(self, key: str, version: Version, latest: bool, *, versions: bool) -> str:  # noqa: FBT001
        tag = "Contents" if not versions else "Version" if version.data is not None else "DeleteMarker"
        pin = f"<VersionId>{version.version_id}</VersionId><IsLatest>{str(latest).lower()}</IsLatest>"
        facts = f"<ETag>&quot;{version.e_tag}&quot;</ETag><Size>{len(version.data or b'')}</Size>"
        facts += f"<StorageClass>{version.storage_class}</StorageClass>"
        return (
            f"<{tag}><Key>{escape(quote_plus(key, safe='/'))}</Key>{pin if versions else ''}"
            f"<LastModified>2024-05-09T17:08:44.000Z</LastModified>{facts if version.data is not None else ''}</{tag}>"
        )
