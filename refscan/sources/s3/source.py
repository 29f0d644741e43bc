"""One bucket: its listings with pins, its objects' facts and bytes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from enum import Enum
from functools import partial
from typing import Any, Self
from urllib.parse import urlsplit

import anyio
import pyarrow as pa
import pyarrow.compute as pc
from botocore.exceptions import ClientError

from refscan.errors import StoreError
from refscan.sources.history import HistoryPage
from refscan.sources.options import S3Options
from refscan.sources.s3.attempts import Attempts
from refscan.sources.s3.body import body_of
from refscan.sources.s3.bucket import BucketKind, kind_of
from refscan.sources.s3.client import is_whole, open_client
from refscan.sources.s3.direct import Direct
from refscan.sources.s3.errors import NOT_S3, is_denied, is_missing, translated
from refscan.sources.s3.facts import Facts, facts_of_answer, facts_of_headers, rows_of
from refscan.sources.s3.history import has_readable_copy, list_history
from refscan.sources.s3.page import S3Page, page_of, parse_page
from refscan.sources.source import MOST_LISTINGS, Body, Capabilities, Page

__all__ = ["S3Source"]

_DEFAULTS = S3Options()
_STAT_BATCH = 16
_OF_AWS = re.compile(r".*\.amazonaws\.com(?:\.cn)?")
_LISTINGS = {
    "list_objects_v2": ("ListObjectsV2", {"encoding-type": "url", "list-type": "2"}),
    "list_object_versions": ("ListObjectVersions", {"encoding-type": "url", "versions": ""}),
}
# Source: the S3 API reference, ``ListObjectsV2`` and ``ListObjectVersions``, "Request Syntax".
_PARAMETERS = {
    "ContinuationToken": "continuation-token",
    "KeyMarker": "key-marker",
    "MaxKeys": "max-keys",
    "Prefix": "prefix",
    "StartAfter": "start-after",
}
_VERSIONED = ("enabled", "suspended")


class _Pins(Enum):
    """Where version IDs come from."""

    NONE = "the bucket was never versioned"
    LISTING = "ListObjectVersions"
    STAT = "HEAD, since versions may not be listed"


class S3Source:
    """One bucket.

    Pins come from ``ListObjectVersions``, which gives ETag, size and version ID of one moment, 1,000 to a request.
    Where that is not permitted, ``ListObjectsV2`` gives incomplete pages whose keys want a ``stat`` (HEAD). A bucket
    that was never versioned (``GetBucketVersioning``) is listed by ``ListObjectsV2`` and has no pins; where its state
    may not be asked, one HEAD tells whether the version ``null`` is a pin.

    Listings and HEADs are sent without the SDK once it has been answered; what then goes wrong is asked again through
    it. ``throttled`` counts the answers so far of a store that wants fewer requests, ``retries`` the requests that were
    sent again.

    A directory bucket has no pins, and its listings have no order: only their tokens lead through them. Its ETags
    are no MD5, yet change with the bytes.

    Args:
        bucket: Its name, or an access point's ARN or alias.
        options: How it is reached.
        page_size: Keys in a page; the store allows 1,000.
    """

    def __init__(self, bucket: str, options: S3Options = _DEFAULTS, *, page_size: int = 1_000) -> None:
        self.base = f"s3://{bucket}/"
        self.requests = self._told = 0
        self._bucket = bucket
        self._page_size = page_size
        self._connections = options.connections
        self._kind = kind_of(bucket)
        self._payer = {"RequestPayer": "requester"} if options.requester_pays else {}
        self._attempts = Attempts(self._count)
        self._direct = Direct(self._attempts, anonymous=options.anonymous, payer=self._payer.get("RequestPayer"))
        self._opening: AbstractAsyncContextManager[Any] = open_client(
            options, self._attempts, self._direct, zonal=self._kind is BucketKind.DIRECTORY
        )
        self._client: Any = None
        self._pins: _Pins | None = None
        # Whether the version ID "null" is one; ``None``: not known yet.
        self._null_counts: bool | None = None
        self._finding_pins = anyio.Lock()

    @property
    def capabilities(self) -> Capabilities:
        """Ordered, ranged, pinned; a directory bucket is none of them."""
        general = self._kind is not BucketKind.DIRECTORY
        return Capabilities(
            ordered=general,
            ranged=general,
            pinned=general,
            list_concurrency=min(MOST_LISTINGS, self._connections) if general else 1,
            stat_batch=_STAT_BATCH,
        )

    @property
    def throttled(self) -> int:
        """Answers so far of a store that wants fewer requests."""
        return self._attempts.throttled

    @property
    def retries(self) -> int:
        """Requests so far that were sent again: the SDK's attempts beyond a first one, be that refscan's or its own."""
        return self._attempts.retries

    @property
    def endpoint(self) -> str | None:
        """See ``Source.endpoint``; those of AWS are one."""
        url: str = "" if self._client is None else self._client.meta.endpoint_url
        return None if not url or _OF_AWS.fullmatch(urlsplit(url).hostname or "") else url

    async def __aenter__(self) -> Self:
        with translated(self.base, "s3:ListBucket"):
            self._client = await self._opening.__aenter__()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._opening.__aexit__(*exc_info)  # type: ignore[arg-type]

    async def list_page(
        self, prefix: str, *, after: str = "", until: str | None = None, token: str | None = None
    ) -> Page:
        """See ``Source.list_page``; S3 cannot end a listing at a key, so ``until`` is left to the scan."""
        del until
        page = await self._page(prefix, after, token)
        # Each answer of a busy store shows in one page, though many were under way.
        told, self._told = self._told, self.throttled
        return replace(page, throttled=True) if self._told > told else page

    async def _page(self, prefix: str, after: str, token: str | None) -> Page:
        if self._kind is BucketKind.DIRECTORY:
            return await self._list_directory(prefix, token)
        pins = self._pins or await self._find_pins()
        if pins is _Pins.LISTING:
            page = await self._list_versions(prefix, token or after)
            if page is not None:
                return Page(page.rows, page.next_key, page.next_key)
            self._pins = pins = _Pins.STAT
            after, token = token or after, None
        page = await self._list_objects(prefix, after, token)
        while page.truncated and page.next_key is None:
            # Nothing on this page, yet more behind it: only its token leads there.
            page = await self._list_objects(prefix, after, page.token)
        following = page.token if page.truncated else None
        return Page(page.rows, page.next_key, following, complete=pins is _Pins.NONE)

    async def _list_directory(self, prefix: str, token: str | None) -> Page:
        """Return a page in the store's order, which takes no prefix but whole folders."""
        folder = prefix[: prefix.rfind("/") + 1]
        page = await self._list_objects(folder, "", token)
        if page.truncated and page.token is None:
            raise StoreError(f"{self.base}{folder}: the store says that there is more, and not where", uri=self.base)
        rows = page.rows
        if folder != prefix:
            rows = rows.filter(pc.starts_with(rows.column("key"), pattern=prefix))
        return Page(rows, None, page.token if page.truncated else None)

    async def _find_pins(self) -> _Pins:
        async with self._finding_pins:
            if self._pins is None:
                self._pins = _Pins.LISTING if self._kind is BucketKind.ACCESS_POINT else await self._ask_for_pins()
            return self._pins

    async def _ask_for_pins(self) -> _Pins:
        with translated(self.base, "s3:GetBucketVersioning"):
            try:
                answer = await self._call_soon("get_bucket_versioning")
            except ClientError as error:
                if not is_denied(error):
                    raise
                # "null" versions do not tell: objects from before versioning have them too.
                return _Pins.LISTING
        self._null_counts = str(answer.get("Status", "")).lower() in _VERSIONED
        return _Pins.LISTING if self._null_counts else _Pins.NONE

    async def _list_versions(self, prefix: str, after: str) -> S3Page | None:
        """Return a page with pins, or ``None`` where versions may not be listed.

        Only the key is given as marker, no version: the latest version of a key comes first, so that whatever is
        left of the versions of a page's last key can be passed over.
        """
        marker = {"KeyMarker": after} if after else {}
        with translated(self.base + prefix, "s3:ListBucketVersions"):
            try:
                page = await self._ask_for_page(
                    "list_object_versions", Prefix=prefix, MaxKeys=self._page_size, **marker
                )
            except ClientError as error:
                if not is_denied(error):
                    raise
                return None
        return page if self._null_counts else await self._without_false_pins(page)

    async def _without_false_pins(self, page: S3Page) -> S3Page:
        """Take the version ID ``null`` out of the rows of a bucket that was never versioned.

        A listing has it in either case; the answer to a HEAD has a version only where there are some. Source: the S3
        API reference, ``HeadObject``, ``x-amz-version-id``.
        """
        found = page.rows.column("version_id")
        is_null = pc.fill_null(pc.equal(found, "null"), fill_value=False)
        if not pc.any(is_null).as_py():
            return page
        if self._null_counts is None:
            key = page.rows.column("key")[pc.index(is_null, value=True).as_py()].as_py()
            try:
                self._null_counts = "VersionId" in await self._call_soon("head_object", Key=key, **self._payer)
            except ClientError as error:
                if not (is_denied(error) or is_missing(error)):
                    with translated(self.base + key, "s3:GetObject"):
                        raise
        if self._null_counts is not False:
            return page
        pins = pc.if_else(is_null, pa.scalar(None, pa.string()), found)
        rows = page.rows.set_column(page.rows.schema.get_field_index("version_id"), "version_id", pins)
        return replace(page, rows=rows)

    async def _list_objects(self, prefix: str, after: str, token: str | None, count: int | None = None) -> S3Page:
        marker = {"ContinuationToken": token} if token else {"StartAfter": after} if after else {}
        with translated(self.base + prefix, "s3:ListBucket"):
            return await self._ask_for_page(
                "list_objects_v2", Prefix=prefix, MaxKeys=count or self._page_size, **marker
            )

    async def _ask_for_page(self, operation: str, **options: object) -> S3Page:
        name, fixed = _LISTINGS[operation]
        if self._kind is not BucketKind.DIRECTORY:
            answer = await self._direct.list(
                {_PARAMETERS[option]: str(value) for option, value in options.items()} | fixed
            )
            if answer and is_whole(answer.body, name):
                return parse_page(answer.body)
            if answer:
                self._direct.miss()
        return page_of(await self._call(operation, **options, **self._payer))

    async def list_history(
        self, prefix: str, *, after: str = "", until: str | None = None, token: str | None = None
    ) -> HistoryPage | None:
        """See ``History.list_history``; ``until`` is left to the caller."""
        del until
        if (self._pins or await self._find_pins()) is not _Pins.LISTING:
            return None
        ask = partial(self._call, "list_object_versions", **self._payer)
        with translated(self.base + prefix, "s3:ListBucketVersions"):
            return await list_history(self._direct, ask, prefix, token or after, self._page_size)

    async def is_restored(self, key: str, version_id: str | None) -> bool:
        """See ``History.is_restored``: HEAD."""
        answer = await self._direct.head(key, {"versionId": version_id} if version_id else {})
        if answer:
            return has_readable_copy(answer.headers.get("x-amz-restore"))
        pin = {"VersionId": version_id} if version_id else {}
        with translated(self.base + key, "s3:GetObjectVersion" if version_id else "s3:GetObject"):
            found = await self._call("head_object", Key=key, **pin, **self._payer)
        return has_readable_copy(found.get("Restore"))

    async def probe(self, prefix: str, *, after: str) -> str | None:
        """See ``Source.probe``; in a directory bucket, which has no order, it takes a listing of everything."""
        if self._kind is BucketKind.DIRECTORY:
            return await self._probe_directory(prefix, after)
        rows = (await self._list_objects(prefix, after, None, count=1)).rows
        return rows.column("key")[0].as_py() if rows.num_rows else None

    async def _probe_directory(self, prefix: str, after: str) -> str | None:
        first: str | None = None
        token: str | None = None
        while True:
            page = await self._list_directory(prefix, token)
            keys = page.rows.column("key")
            behind = pc.min(keys.filter(pc.greater(keys, after))).as_py()
            first = min(filter(None, (first, behind)), default=None)
            token = page.token
            if token is None:
                return first

    async def stat(self, keys: Sequence[str], *, version_id: str | None = None) -> Page:
        """See ``Source.stat``: one HEAD after the other. What is marked as a folder by its content type is skipped."""
        found: list[Facts] = []
        skipped: Counter[str] = Counter()
        for key in keys:
            facts = await self._head(key, version_id)
            if facts is None:
                skipped["vanished"] += 1
            elif facts.is_folder:
                skipped["folder_marker"] += 1
            else:
                found.append(facts)
        return Page(rows_of(found), skipped=skipped)

    async def _head(self, key: str, version_id: str | None) -> Facts | None:
        """Return an object's facts; ``None``: there is none."""
        if self._kind is not BucketKind.DIRECTORY:
            answer = await self._direct.head(key, {"versionId": version_id} if version_id else {})
            facts = answer and facts_of_headers(key, answer.headers)
            if facts:
                return facts
            if answer:
                self._direct.miss()
        pin = {"VersionId": version_id} if version_id else {}
        with translated(self.base + key, "s3:GetObjectVersion" if version_id else "s3:GetObject"):
            try:
                found = await self._call_soon("head_object", Key=key, **pin, **self._payer)
            except ClientError as error:
                if not is_missing(error):
                    raise
                return None
        if not _is_of_s3(found):
            raise StoreError(f"{self.base}{key}: {NOT_S3}", uri=self.base + key)
        return facts_of_answer(key, found)

    @asynccontextmanager
    async def open(
        self,
        key: str,
        *,
        version_id: str | None = None,
        e_tag: str | None = None,
        start: int = 0,
        length: int | None = None,
    ) -> AsyncIterator[Body]:
        """See ``Source.open``: one GET with the version and ``If-Match``."""
        uri = self.base + key
        options: dict[str, str] = dict(self._payer)
        if version_id:
            options["VersionId"] = version_id
        if e_tag:
            options["IfMatch"] = f'"{e_tag}"'
        if start or length is not None:
            options["Range"] = f"bytes={start}-{'' if length is None else start + length - 1}"
        permission = "s3:GetObjectVersion" if version_id else "s3:GetObject"
        with translated(uri, permission):
            answer = await self._call("get_object", Key=key, **options)
        async with body_of(answer, uri, permission, e_tag=e_tag) as body:
            yield body

    def refs(self, keys: pa.Array) -> pa.Array:
        """See ``Source.refs``."""
        return pc.binary_join_element_wise(self.base, keys, "")

    async def digests(self, rows: pa.RecordBatch, refs: pa.Array) -> pa.Array:
        """See ``Source.digests``: the ETag without quotes, else the URI."""
        return pc.coalesce(rows.column("e_tag"), refs)

    async def uri_digests(self, rows: pa.RecordBatch, refs: pa.Array) -> pa.Array:  # noqa: ARG002
        """See ``Source.uri_digests``: the URI."""
        return refs

    def _count(self) -> None:
        self.requests += 1

    async def _call_soon(self, operation: str, **options: object) -> Any:
        """Ask what any store answers at once: it shows early that an endpoint is a wrong one."""
        with self._attempts.answered_soon(self._client.meta.endpoint_url):
            return await self._call(operation, **options)

    async def _call(self, operation: str, **options: object) -> Any:
        key = options.get("Key")
        with self._direct.learning(None if key is None else str(key)):
            return await getattr(self._client, operation)(Bucket=self._bucket, **options)


def _is_of_s3(answer: Mapping[str, Any]) -> bool:
    """Tell whether an answer to a HEAD has anything that a store of objects tells, and any web server does not."""
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return "ETag" in answer or "LastModified" in answer or any(name.startswith("x-amz") for name in headers)
