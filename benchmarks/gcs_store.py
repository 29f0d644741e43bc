"""What Google Cloud Storage answers to listings: its JSON API, and the XML API for those who use that."""

from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from urllib.parse import parse_qsl, quote, unquote

from bucket import Bucket, Row
from gcs_fields import Mask
from rendered import Rendered
from wire import response

__all__ = ["GCSStore"]

_API = "/storage/v1/b/"
_LINK = "https://www.googleapis.com"
_MOST = 1_000
_CRC32C_DIGITS = 8


class GCSStore:
    """``objects.list``, ``objects.get``, ``buckets.get``, ``getStorageLayout``; of the XML API, the listing.

    Pages hold 1,000 objects at most. ``fields`` masks members of items and of the answer
    (https://cloud.google.com/storage/docs/json_api#partial-response); without ``prettyPrint=false`` an answer is
    indented as Google's are. A mask is rendered for the whole bucket when it is first asked for. Answers are not
    compressed.
    """

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket
        self._rendered: dict[tuple[str, ...], Rendered] = {}

    def answer(self, method: str, target: str, head: bytes) -> bytes:
        """See ``Store.answer``."""
        del head
        path, _, query = target.partition("?")
        asked = dict(parse_qsl(query, keep_blank_values=True))
        if method not in ("GET", "HEAD") or asked.get("delimiter"):
            return _problem(501, "not implemented")
        if not path.startswith(_API):
            return self._xml_listing(path.strip("/"), asked)
        name, _, inside = path.removeprefix(_API).partition("/")
        if inside == "o":
            return self._listing(name, asked)
        if inside.startswith("o/"):
            return self._object(name, unquote(inside[2:]), asked)
        return self._bucket(name, inside)

    def _listing(self, name: str, asked: dict[str, str]) -> bytes:
        token = asked.get("pageToken")
        prefix, before = asked.get("prefix", ""), asked.get("endOffset", "")
        start = urlsafe_b64decode(token).decode() if token else asked.get("startOffset", "")
        first, end = self.bucket.window_from(prefix, start, before)
        last = min(end, first + min(_MOST, int(asked.get("maxResults", _MOST))))
        mask = Mask.of(asked.get("fields"))
        pretty = asked.get("prettyPrint", "true") != "false"
        members = []
        if mask.kind:
            members.append(_member("kind", "storage#objects", pretty=pretty))
        if last < end and mask.token:
            following = urlsafe_b64encode(self.bucket.keys[last].encode()).decode()
            members.append(_member("nextPageToken", following, pretty=pretty))
        if first < last and mask.items is not None:
            # An empty page has no items at all.
            members.append('  "items": [\n' if pretty else '"items":[')
            page = self._items(name, mask.items, pretty=pretty).cut(first, last)
            opening = "{\n" if pretty else "{"
            closing = b"\n  ]\n}\n" if pretty else b"]}"
            return _json(200, (opening + (",\n" if pretty else ",").join(members)).encode(), page, closing)
        whole = (",\n" if pretty else ",").join(members)
        return _json(200, (f"{{\n{whole}\n}}\n" if pretty else f"{{{whole}}}").encode())

    def _items(self, name: str, members: Sequence[str], *, pretty: bool) -> Rendered:
        kept = (name, "pretty" if pretty else "compact", *members)
        if kept not in self._rendered:
            rows = ((key, self.bucket.row(index)) for index, key in enumerate(self.bucket.keys))
            items = (_masked(_item(name, key, row), members) for key, row in rows)
            self._rendered[kept] = Rendered.of(
                (_indented(item) if pretty else json.dumps(item, separators=(",", ":")) for item in items),
                ",\n" if pretty else ",",
            )
        return self._rendered[kept]

    def _object(self, name: str, key: str, asked: dict[str, str]) -> bytes:
        index = self.bucket.find(key)
        if index is None:
            return _problem(404, f"No such object: {name}/{key}")
        item = _item(name, key, self.bucket.row(index))
        return _json(200, json.dumps(_masked(item, Mask.of_item(asked.get("fields")))).encode())

    def _bucket(self, name: str, inside: str) -> bytes:
        if inside == "storageLayout":
            layout = {"kind": "storage#storageLayout", "bucket": name, "hierarchicalNamespace": {"enabled": False}}
            return _json(200, json.dumps(layout).encode())
        facts = {"kind": "storage#bucket", "id": name, "name": name, "location": "US", "versioning": {"enabled": True}}
        return _json(200, json.dumps(facts).encode()) if not inside else _problem(501, "not implemented")

    def _xml_listing(self, name: str, asked: dict[str, str]) -> bytes:
        """Answer as the XML API does to ``list-type=2`` (https://cloud.google.com/storage/docs/xml-api/get-bucket-list)."""
        if "/" in name or asked.get("list-type") != "2":
            return _problem(501, "not implemented")
        token, prefix = asked.get("continuation-token"), asked.get("prefix", "")
        after = urlsafe_b64decode(token).decode() if token else asked.get("start-after", "")
        first, end = self.bucket.window(prefix, after)
        last = min(end, first + min(_MOST, int(asked.get("max-keys", _MOST))))
        if ("xml",) not in self._rendered:
            rows = ((key, self.bucket.row(index)) for index, key in enumerate(self.bucket.keys))
            self._rendered["xml",] = Rendered.of(_contents(key, row) for key, row in rows)
        following = ""
        if first < last < end:
            token = urlsafe_b64encode(self.bucket.keys[last - 1].encode()).decode()
            following = f"<NextContinuationToken>{token}</NextContinuationToken>"
        opening = (
            "<?xml version='1.0' encoding='UTF-8'?><ListBucketResult xmlns='http://doc.s3.amazonaws.com/2006-03-01'>"
            f"<Name>{name}</Name><Prefix>{prefix}</Prefix><KeyCount>{last - first}</KeyCount>"
            f"<IsTruncated>{'true' if following else 'false'}</IsTruncated>{following}"
        )
        page = self._rendered["xml",].cut(first, last)
        kind = "application/xml; charset=UTF-8"
        return response("200 OK", opening.encode(), page, b"</ListBucketResult>", kind=kind)


def _item(bucket: str, key: str, row: Row) -> dict[str, str]:
    """Return an object's resource, members in Google's order."""
    generation = _generation(row)
    moment = f"{row.last_modified:%Y-%m-%dT%H:%M:%S}.417Z"
    quoted = quote(key, safe="")
    resource = f"/v1/b/{bucket}/o/{quoted}"
    return {
        "kind": "storage#object",
        "id": f"{bucket}/{key}/{generation}",
        "selfLink": f"{_LINK}/storage{resource}",
        "mediaLink": f"{_LINK}/download/storage{resource}?generation={generation}&alt=media",
        "name": key,
        "bucket": bucket,
        "generation": generation,
        "metageneration": "1",
        "contentType": "application/octet-stream",
        "storageClass": "STANDARD",
        "size": str(row.size),
        "md5Hash": b64encode(bytes.fromhex(row.digest)).decode(),
        "crc32c": b64encode(bytes.fromhex(row.digest[:_CRC32C_DIGITS])).decode(),
        "etag": b64encode(b"\x08" + bytes.fromhex(row.digest)[:8] + b"\x10\x01").decode(),
        "timeCreated": moment,
        "updated": moment,
        "timeStorageClassUpdated": moment,
        "timeFinalized": moment,
    }


def _generation(row: Row) -> str:
    """Return the microseconds at which an object was written, as Google numbers them."""
    return f"{int(row.last_modified.timestamp())}{int(row.digest[-5:], 16) % 1_000_000:06}"


def _masked(item: dict[str, str], members: Sequence[str]) -> dict[str, str]:
    return {name: value for name, value in item.items() if name in members} if members else item


def _indented(item: dict[str, str]) -> str:
    lines = ",\n".join(f"      {json.dumps(name)}: {json.dumps(value)}" for name, value in item.items())
    return f"    {{\n{lines}\n    }}"


def _member(name: str, value: str, *, pretty: bool) -> str:
    return f'  "{name}": {json.dumps(value)}' if pretty else f'"{name}":{json.dumps(value)}'


def _contents(key: str, row: Row) -> str:
    return (
        f"<Contents><Key>{key}</Key><Generation>{_generation(row)}</Generation><MetaGeneration>1</MetaGeneration>"
        f"<LastModified>{row.last_modified:%Y-%m-%dT%H:%M:%S}.417Z</LastModified><ETag>&quot;{row.digest}&quot;</ETag>"
        f"<Size>{row.size}</Size><StorageClass>STANDARD</StorageClass></Contents>"
    )


def _json(status: int, *body: bytes | memoryview) -> bytes:
    more = "X-GUploader-UploadID: A0b1C2d3\r\nCache-Control: private, max-age=0\r\nServer: UploadServer\r\n"
    reason = {200: "OK", 404: "Not Found", 501: "Not Implemented"}[status]
    return response(f"{status} {reason}", *body, kind="application/json; charset=UTF-8", more=more)


def _problem(status: int, message: str) -> bytes:
    error = {"code": status, "message": message, "errors": [{"message": message, "domain": "global"}]}
    return _json(status, json.dumps({"error": error}).encode())
