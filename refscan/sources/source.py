"""What every source offers: pages of a listing, one object's facts, one object's bytes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, runtime_checkable

import pyarrow as pa

from refscan.errors import ObjectNotFoundError

__all__ = ["MOST_LISTINGS", "PAGE_SCHEMA", "Body", "Capabilities", "NoIndexError", "Page", "Source", "page_rows"]

MOST_LISTINGS = 64
"""Pages that are asked for at once, at most."""

PAGE_SCHEMA = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("size", pa.int64()),
        pa.field("e_tag", pa.string()),
        pa.field("version_id", pa.string()),
        pa.field("checksum", pa.string()),
        pa.field("last_modified", pa.timestamp("us", "UTC")),
        pa.field("storage_class", pa.string()),
    ]
)
"""The columns of every page.

``size`` is in bytes. ``e_tag`` is without quotes for S3 and as the header has it for HTTP. ``version_id`` is the
pin. ``checksum`` is ``ALGORITHM:BASE64``. Python strings, UTF-8 bytes and the stores order keys alike.
"""


def page_rows(**columns: Sequence[object] | pa.Array) -> pa.RecordBatch:
    """Build rows of ``PAGE_SCHEMA``; columns that are not given are null."""
    length = len(columns["key"])
    return pa.record_batch(
        [
            pa.nulls(length, f.type)
            if (column := columns.get(f.name)) is None
            else column
            if isinstance(column, pa.Array)
            else pa.array(column, f.type)
            for f in PAGE_SCHEMA
        ],
        schema=PAGE_SCHEMA,
    )


class NoIndexError(ObjectNotFoundError):
    """A web server offers no index of a folder; it may be a page all the same."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a source can do.

    Attributes:
        listed: It has listings; otherwise it knows single objects only.
        ordered: Listings ascend by key over the whole prefix.
        walked: Listings are by folder: ``list_page`` gives what lies directly in ``prefix``, in any order, and the
            folders below it; its pages are led through by their tokens.
        ranged: ``list_page`` can begin behind any key.
        pinned: Overwritten bytes can be had through their ``version_id``.
        list_concurrency: ``list_page`` calls at once that pay, at most.
        stat_batch: Keys that one ``stat`` call should get.
        stat_concurrency: ``stat`` calls at once, at most.
    """

    listed: bool = True
    ordered: bool = True
    walked: bool = False
    ranged: bool = True
    pinned: bool = False
    list_concurrency: int = 1
    stat_batch: int = 1
    stat_concurrency: int = 64


@dataclass(frozen=True, slots=True)
class Page:
    """One answer of a listing, or of ``stat``.

    Attributes:
        rows: ``PAGE_SCHEMA``, keys ascending where the source is ``ordered``.
        next_after: All keys up to and including it are answered; the next page begins behind it.
            ``None``: there are no more.
        token: Continues the listing where the store cannot begin behind a key.
        complete: The rows hold all the source knows; otherwise their keys want a ``stat``.
        skipped: Objects that were left out, by reason.
        folders: Prefixes, ending in ``/``, of the folders directly below, where the source is ``walked``.
        throttled: The store asked to slow down before it gave this page.
    """

    rows: pa.RecordBatch
    next_after: str | None = None
    token: str | None = None
    complete: bool = True
    skipped: Mapping[str, int] = field(default_factory=dict)
    folders: Sequence[str] = ()
    throttled: bool = False


@dataclass(frozen=True, slots=True)
class Body:
    """An object that is open for reading.

    Attributes:
        chunks: The bytes, to be read once.
        size: Length of the whole object in bytes, if the store tells.
        e_tag: As in ``PAGE_SCHEMA``.
        version_id: As in ``PAGE_SCHEMA``.
        partial: ``chunks`` holds only the range that was asked for.
        last_modified: When it was written, from stores that may tell nothing else of its content.
    """

    chunks: AsyncIterator[bytes]
    size: int | None
    e_tag: str | None
    version_id: str | None
    partial: bool = False
    last_modified: datetime | None = None


@runtime_checkable
class Source(Protocol):
    """One container of objects: a bucket, a host, a file system.

    A source starts no task; it is opened and closed with ``async with`` and may be used by many tasks at once.
    It raises the errors of ``refscan.errors`` and none of its SDK's.

    Attributes:
        base: The URI that all its keys hang from, ending in ``/``.
    """

    base: str

    @property
    def endpoint(self) -> str | None:
        """Where it is asked, where ``base`` does not say that and it is not the usual place; known once it is open."""
        ...

    @property
    def requests(self) -> int:
        """Requests sent (for files: files opened and folders read) so far."""
        ...

    @property
    def retries(self) -> int:
        """Those among them that were sent again."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What this source can do."""
        ...

    async def __aenter__(self) -> Source: ...  # noqa: PYI034  a protocol of its own kind

    async def __aexit__(self, *exc_info: object) -> None: ...

    async def list_page(
        self, prefix: str, *, after: str = "", until: str | None = None, token: str | None = None
    ) -> Page:
        """Ask for the first keys in ``(after, until]`` that begin with ``prefix``.

        A page may hold keys past ``until`` where the store cannot end a listing; the scan trims them.
        With ``token`` the listing goes on where an earlier page ended, and ``after`` is not looked at. A source that
        is not ``ordered`` looks at neither ``after`` nor ``until``.

        Raises:
            NoIndexError: The server offers no listing of this folder; ``prefix`` may be an object.
            ObjectNotFoundError: There is no such container.
            AccessDeniedError: It may not be listed.
            StoreError: The store cannot be reached or answers wrongly.
        """
        ...

    async def probe(self, prefix: str, *, after: str) -> str | None:
        """Return the first key greater than ``after`` that begins with ``prefix``; one small request."""
        ...

    async def stat(self, keys: Sequence[str], *, version_id: str | None = None) -> Page:
        """Return the rows of those ``keys`` that exist, in the order given.

        Args:
            keys: At most ``capabilities.stat_batch`` keys.
            version_id: Pins the version; only with one key.
        """
        ...

    def open(
        self,
        key: str,
        *,
        version_id: str | None = None,
        e_tag: str | None = None,
        start: int = 0,
        length: int | None = None,
    ) -> AbstractAsyncContextManager[Body]:
        """Open one object for reading, in one request.

        Args:
            key: The object.
            version_id: Reads this version.
            e_tag: Refuses other bytes than these.
            start: First byte of the range.
            length: Bytes of the range; ``None`` reads to the end.

        Raises:
            ObjectNotFoundError: There is no such object or version.
            DigestMismatchError: The object has another ``e_tag`` now.
        """
        ...

    def refs(self, keys: pa.Array) -> pa.Array:
        """Return the URI of each key, without pins and secrets."""
        ...

    async def digests(self, rows: pa.RecordBatch, refs: pa.Array) -> pa.Array:
        """Return what W&B records as each row's digest, for references with a checksum."""
        ...

    async def uri_digests(self, rows: pa.RecordBatch, refs: pa.Array) -> pa.Array:
        """Return what W&B records as each row's digest, for references with ``checksum=False``."""
        ...
