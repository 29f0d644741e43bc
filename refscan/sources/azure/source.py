"""One container: its listings with pins, its blobs' facts and bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Self

import pyarrow as pa
import pyarrow.compute as pc
from azure.core.exceptions import HttpResponseError
from azure.storage.blob.aio import ContainerClient

from refscan.sources.azure.blob import head_blob, is_folder, open_blob, row_of
from refscan.sources.azure.client import open_client
from refscan.sources.azure.credentials import choose_credential
from refscan.sources.azure.errors import LIST, translated
from refscan.sources.azure.lister import Lister
from refscan.sources.azure.listing import AzurePage
from refscan.sources.history import HistoryPage
from refscan.sources.options import AzureOptions
from refscan.sources.retry import Repeats
from refscan.sources.source import MOST_LISTINGS, Body, Capabilities, Page, page_rows
from refscan.uri import quote_key

__all__ = ["AzureSource"]

_DEFAULTS = AzureOptions()


class AzureSource:
    """One container.

    Pins come from the listing (``include=versions``), 5,000 entries to a request. Where that is refused for want of
    a permission, pages are incomplete and their keys want a ``stat`` (HEAD). Blobs that stand for folders
    (``hdi_isfolder``, directories) are left out and counted. An account with a hierarchical namespace has no
    versions, is not globally ordered, and is walked by folder.

    Args:
        base: The container's URL, ending in ``/``.
        options: How it is reached.
        sas: The URI's shared access signature.
        page_size: Entries in a page; the service allows 5,000.
    """

    def __init__(
        self, base: str, options: AzureOptions = _DEFAULTS, *, sas: str | None = None, page_size: int = 5_000
    ) -> None:
        self.base = base
        self.requests = 0
        self.endpoint = None
        self._repeats = Repeats()
        self._told = 0
        self._options = options
        with translated(base, LIST):
            self._credential = choose_credential(base, options, sas)
        self._page_size = page_size
        self._walked = bool(options.hierarchical_namespace)
        self._stack = AsyncExitStack()
        self._opened: tuple[ContainerClient, Lister] | None = None
        self._historian: Lister | None = None

    @property
    def retries(self) -> int:
        """Requests that were sent again."""
        return self._repeats.retries

    @property
    def capabilities(self) -> Capabilities:
        """Ordered, ranged and pinned, or walked; the first pages may show that it is not ordered, or not ranged."""
        at_once = self._options.connections
        if self._walked:
            return Capabilities(ordered=False, walked=True, ranged=False, stat_concurrency=at_once)
        lister = self._opened[1] if self._opened else None
        return Capabilities(
            ordered=lister is None or lister.ordered,
            ranged=lister is None or lister.ranged,
            pinned=True,
            list_concurrency=min(MOST_LISTINGS, at_once),
            stat_concurrency=at_once,
        )

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            with translated(self.base, LIST):
                client = await stack.enter_async_context(
                    open_client(
                        self.base,
                        self._credential,
                        connections=self._options.connections,
                        count=self._count,
                        repeats=self._repeats,
                    )
                )
                if self._options.hierarchical_namespace is None:
                    self._walked = await _has_hierarchical_namespace(client)
            lister = Lister(client, self.base, page_size=self._page_size, versions=not self._walked)
            self._opened = client, lister
            self._historian = Lister(client, self.base, page_size=self._page_size, versions=True, deleted=True)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._stack.aclose()

    async def list_page(
        self, prefix: str, *, after: str = "", until: str | None = None, token: str | None = None
    ) -> Page:
        """See ``Source.list_page``; Azure cannot end a listing at a key, so ``until`` is left to the scan."""
        lister = self._lister
        if not self.capabilities.ordered:
            return _unordered(await lister.page(prefix, token, folder=self._walked), prefix, complete=lister.pinned)
        if token is not None:
            after = ""
            page = await lister.page(prefix, token)
        elif after > prefix and not after.startswith(prefix):
            return Page(page_rows(key=[]))
        else:
            page = await lister.page_behind(prefix, after)
        rows, stubs = _cut(page, after, until)
        while page.marker is not None and (page.settled is None or page.settled <= after):
            # Nothing but old versions of one blob, or an empty page in the middle: only its marker leads on.
            page = await lister.following(prefix, page)
            more, more_stubs = _cut(page, after, until)
            rows, stubs = pa.concat_batches([rows, more]), stubs + more_stubs
        lister.remember(prefix, page)
        await lister.learn_from(prefix, page)
        told, self._told = self._told, self._repeats.throttled
        return Page(
            rows,
            next_after=None if page.marker is None else page.settled,
            token=page.marker,
            complete=lister.pinned,
            skipped=_skipped(stubs),
            throttled=self._told > told,
        )

    async def list_history(
        self, prefix: str, *, after: str = "", until: str | None = None, token: str | None = None
    ) -> HistoryPage | None:
        """See ``History.list_history``: ``include=versions,deleted``, which a hierarchical namespace does not have."""
        del until
        lister = self._historian
        if lister is None or self._walked:
            return None
        if token is None and after:
            page = await lister.page_from(prefix, after)
        else:
            page = await lister.page(prefix, token)
        return HistoryPage(page.history, token=page.marker) if lister.pinned and page.history is not None else None

    async def is_restored(self, key: str, version_id: str | None) -> bool:  # noqa: ARG002
        """See ``History.is_restored``: a blob in the archive tier has no copy; to be read it gets another tier."""
        return False

    async def probe(self, prefix: str, *, after: str) -> str | None:
        """See ``Source.probe``; what is not ordered gives any such key."""
        if after > prefix and not after.startswith(prefix):
            return None
        page = await self._first_page(prefix, after)
        while True:
            rows, _ = _cut(page, after, None)
            if rows.num_rows:
                key: str = rows.column("key")[0].as_py()
                return key
            if page.marker is None:
                return None
            page = await self._lister.page(prefix, page.marker, versions=False)

    async def _first_page(self, prefix: str, after: str) -> AzurePage:
        ordered = self.capabilities.ordered
        if ordered and after >= prefix and after:
            return await self._lister.page_behind(prefix, after, count=2, versions=False)
        return await self._lister.page(prefix, count=1 if ordered else None, versions=False)

    async def stat(self, keys: Sequence[str], *, version_id: str | None = None) -> Page:
        """See ``Source.stat``: HEAD."""
        (key,) = keys
        headers = await head_blob(self._client, key, version_id, uri=self._uri(key))
        if headers is None:
            return Page(page_rows(key=[]), skipped={"vanished": 1})
        if is_folder(headers):
            return Page(page_rows(key=[]), skipped=_skipped(1))
        return Page(row_of(key, headers))

    def open(
        self,
        key: str,
        *,
        version_id: str | None = None,
        e_tag: str | None = None,
        start: int = 0,
        length: int | None = None,
    ) -> AbstractAsyncContextManager[Body]:
        """See ``Source.open``: one GET with the version and ``If-Match``, its bytes as they come."""
        return open_blob(
            self._client, key, uri=self._uri(key), version_id=version_id, e_tag=e_tag, start=start, length=length
        )

    def refs(self, keys: pa.Array) -> pa.Array:
        """See ``Source.refs``: as ``quote_key`` writes them."""
        for character in "%?#":
            keys = pc.replace_substring(keys, character, quote_key(character, "azure"))
        return pc.binary_join_element_wise(self.base, keys, "")

    async def digests(self, rows: pa.RecordBatch, refs: pa.Array) -> pa.Array:
        """See ``Source.digests``: the ETag without quotes, else the URI."""
        return pc.coalesce(rows.column("e_tag"), refs)

    async def uri_digests(self, rows: pa.RecordBatch, refs: pa.Array) -> pa.Array:  # noqa: ARG002
        """See ``Source.uri_digests``: the URI."""
        return refs

    @property
    def _client(self) -> ContainerClient:
        return self._open()[0]

    @property
    def _lister(self) -> Lister:
        return self._open()[1]

    def _open(self) -> tuple[ContainerClient, Lister]:
        if self._opened is None:
            raise RuntimeError("AzureSource is used outside its `async with`")
        return self._opened

    def _uri(self, key: str) -> str:
        return self.base + quote_key(key, "azure")

    def _count(self) -> None:
        self.requests += 1


async def _has_hierarchical_namespace(client: ContainerClient) -> bool:
    try:
        facts = await client.get_account_information()
    except HttpResponseError as error:
        if error.status_code is None:
            raise
        return False  # it may not be asked by everyone
    return bool(facts.get("is_hns_enabled"))


def _unordered(page: AzurePage, prefix: str, *, complete: bool) -> Page:
    return Page(
        page.rows,
        next_after=None if page.marker is None else max([*page.folders, page.last or prefix]),
        token=page.marker,
        complete=complete,
        skipped=_skipped(len(page.stubs)),
        folders=page.folders,
    )


def _cut(page: AzurePage, after: str, until: str | None) -> tuple[pa.RecordBatch, int]:
    """Return the rows behind ``after``, and the number of folder stubs in ``(after, until]``."""
    rows, stubs = page.rows, page.stubs
    if after and page.first is not None and page.first <= after:
        rows = rows.filter(pc.greater(rows.column("key"), after))
        stubs = stubs.filter(pc.greater(stubs, after))
    if until is not None:
        stubs = stubs.filter(pc.less_equal(stubs, until))
    return rows, len(stubs)


def _skipped(stubs: int) -> Mapping[str, int]:
    return {"folder_marker": stubs} if stubs else {}
