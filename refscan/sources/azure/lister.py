"""Listings of one container: what the service can do is found out by the way, and asked for from then on."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import Any

import anyio
from azure.core.exceptions import HttpResponseError
from azure.storage.blob.aio import ContainerClient

from refscan.errors import ListingOrderError, StoreError
from refscan.sources.azure.arrow import ARROW
from refscan.sources.azure.client import Kept
from refscan.sources.azure.errors import LIST, translated
from refscan.sources.azure.listing import AzurePage
from refscan.sources.azure.page import parse_page
from refscan.uri import quote_key

__all__ = ["Lister"]

_ARROW_VERSION = "2026-10-06"
_START_FROM_VERSION = "2026-02-06"
_NOT_ACCEPTABLE = (400, 406, 415)
_NOT_OFFERED = (400, 403, 409)
_BAD_REQUEST = 400
_DENIED = 403
_LARGEST = 5_000
_MARKS = 1_024
# A listing must go on as it began. So its markers are followed by whether it gives versions, and the key it began at.
_BEGAN = "\n"


class Lister:
    """Asks for pages.

    Versions are asked for until that is refused, Arrow until it is refused or cannot be read, and a beginning behind
    a key once the service has shown, on a key that is known, that it begins there.

    Args:
        client: The SDK's client of the container.
        base: The container's URL.
        page_size: Keys in a page; the service allows 5,000.
        versions: The account may have versions.
        deleted: Give versions that were deleted and are still kept, too.

    Attributes:
        ordered: Keys ascend by their bytes, as far as is known. Where characters beyond U+FFFF stand beside those
            from U+E000 on, a store that compares UTF-16, as the emulator does, has them the other way round.
        pinned: Pages give the version IDs there are; otherwise they want a ``stat``.
    """

    def __init__(
        self, client: ContainerClient, base: str, *, page_size: int, versions: bool, deleted: bool = False
    ) -> None:
        self.ordered = self.pinned = True
        self._client = client
        self._base = base
        self._page_size = page_size
        self._versions: bool | None = None if versions else False
        self._include = ["metadata", "versions", "deleted"] if deleted else ["metadata", "versions"]
        self._arrow: bool | None = None if client.api_version >= _ARROW_VERSION else False
        # A service that took the key as relative to the prefix would be right without a prefix only.
        startable = client.api_version >= _START_FROM_VERSION
        self._begins: dict[bool, bool | None] = dict.fromkeys((False, True), None if startable else False)
        self._learning = anyio.Lock()
        self._marks: OrderedDict[tuple[str, str], str] = OrderedDict()

    @property
    def ranged(self) -> bool:
        """A listing can begin behind any key, as far as is known."""
        return self.ordered and False not in self._begins.values()

    async def page(
        self,
        prefix: str,
        marker: str | None = None,
        *,
        count: int | None = None,
        versions: bool = True,
        folder: bool = False,
    ) -> AzurePage:
        """Return one page.

        Args:
            prefix: What its keys begin with.
            marker: Continues a listing.
            count: Keys at most.
            versions: Give version IDs.
            folder: Give only what lies directly in ``prefix``, and the folders below it.
        """
        with translated(self._base + quote_key(prefix, "azure"), LIST):
            return await self._page(prefix, marker, None, count, versions=versions, folder=folder)

    async def page_behind(
        self, prefix: str, after: str, *, count: int | None = None, versions: bool = True
    ) -> AzurePage:
        """Return a page that begins at ``after`` or the next key, or before it if it is the last page.

        A service that cannot begin there is led there by its own markers, from the nearest one known, in whole pages.

        Raises:
            ListingOrderError: Keys do not ascend by their bytes.
        """
        if not after or after < prefix:
            return self._checked(await self.page(prefix), "")
        if (prefix, after) in self._marks:
            return self._checked(await self.page(prefix, self._marks[prefix, after]), after)
        if self._begins[bool(prefix)] is None:
            await self._learn(prefix)
        if self._begins[bool(prefix)]:
            # The key itself comes too, if it is there.
            begun = await self._begun(prefix, after, count or min(self._page_size + 1, _LARGEST), versions=versions)
            if begun is not None:
                return self._checked(begun, after)
        reached, marker = self._nearest(prefix, after)
        page = self._checked(await self.page(prefix, marker), reached)
        while page.marker is not None and (page.settled is None or page.settled <= after):
            page = await self.following(prefix, page)
        return page

    async def page_from(self, prefix: str, key: str) -> AzurePage:
        """Return a page that begins at ``key``, or before it: with all versions of all keys from there on.

        Raises:
            ListingOrderError: Keys do not ascend by their bytes.
        """
        if self._begins[bool(prefix)] is None:
            await self._learn(prefix)
        if self._begins[bool(prefix)]:
            begun = await self._begun(prefix, key, self._page_size, versions=True)
            if begun is not None:
                return self._checked(begun, key)
        return self._checked(await self.page(prefix), "")

    async def following(self, prefix: str, page: AzurePage) -> AzurePage:
        """Return the page behind another one.

        Raises:
            ListingOrderError: Its keys do not ascend from there.
        """
        self.remember(prefix, page)
        return self._checked(await self.page(prefix, page.marker), page.settled or "")

    def _checked(self, page: AzurePage, reached: str) -> AzurePage:
        """Return the page, if no key on it would be taken for one that was listed already."""
        if page.first is not None and (page.first < reached or not page.ascending):
            self.ordered = False
            raise ListingOrderError(
                f"{self._base}: the store does not list in the order of the keys' bytes (near {page.first!r}); pass "
                f"AzureOptions(hierarchical_namespace=True) to have it listed by folder",
                uri=self._base,
            )
        return page

    async def learn_from(self, prefix: str, page: AzurePage) -> None:
        """Find out with one small request, once, whether listings can begin behind a key."""
        if self._begins[bool(prefix)] is None and page.marker is not None and page.first != page.last:
            async with self._learning:
                await self._try_to_begin(prefix, page)

    async def _learn(self, prefix: str) -> None:
        async with self._learning:
            if self._begins[bool(prefix)] is None:
                await self._try_to_begin(prefix, await self.page(prefix, count=2, versions=False))

    async def _try_to_begin(self, prefix: str, page: AzurePage) -> None:
        if self._begins[bool(prefix)] is not None or page.last is None or page.first == page.last:
            return
        found = await self._begun(prefix, page.last, 1, versions=True)
        self._begins[bool(prefix)] = found is not None and found.first == page.last

    async def _begun(self, prefix: str, key: str, count: int, *, versions: bool) -> AzurePage | None:
        """Return a page that should begin at ``key``, or ``None`` if the service finds no sense in that."""
        with translated(self._base + quote_key(prefix, "azure"), LIST):
            try:
                return await self._page(prefix, None, key, count, versions=versions)
            except HttpResponseError as error:
                if error.status_code != _BAD_REQUEST:
                    raise
                return None

    def remember(self, prefix: str, page: AzurePage) -> None:
        """Keep the marker of a page, to go on behind it without asking for all before it."""
        if page.marker is not None and page.settled is not None:
            self._marks[prefix, page.settled] = page.marker
            if len(self._marks) > _MARKS:
                self._marks.popitem(last=False)

    def _nearest(self, prefix: str, after: str) -> tuple[str, str | None]:
        key = max((key for known, key in self._marks if known == prefix and key <= after), default="")
        return key, self._marks.get((prefix, key))

    async def _page(
        self,
        prefix: str,
        marker: str | None,
        start_from: str | None,
        count: int | None,
        *,
        versions: bool,
        folder: bool = False,
    ) -> AzurePage:
        asked = versions and self._versions is not False
        try:
            page = await self._ask(prefix, marker, start_from, count, versions=asked, folder=folder)
        except HttpResponseError as error:
            if not asked or self._versions is not None or error.status_code not in _NOT_OFFERED:
                raise
            # Accounts with a hierarchical namespace have no versions; elsewhere they may not be for this caller.
            page = await self._ask(prefix, marker, start_from, count, versions=False, folder=folder)
            self._versions = False
            self.pinned = error.status_code != _DENIED
        else:
            self._versions = True if asked else self._versions
        return page

    async def _ask(
        self,
        prefix: str,
        marker: str | None,
        start_from: str | None,
        count: int | None,
        *,
        versions: bool,
        folder: bool,
    ) -> AzurePage:
        if self._arrow is not False:
            try:
                page = await self._send(prefix, marker, start_from, count, versions=versions, folder=folder)
            except StoreError:
                self._arrow = False
            except HttpResponseError as error:
                if self._arrow or error.status_code not in _NOT_ACCEPTABLE:
                    raise
                self._arrow = False
            else:
                self._arrow = True
                return page
        return await self._send(prefix, marker, start_from, count, versions=versions, folder=folder)

    async def _send(
        self,
        prefix: str,
        marker: str | None,
        start_from: str | None,
        count: int | None,
        *,
        versions: bool,
        folder: bool,
    ) -> AzurePage:
        if marker is not None:
            marker, pinned, began = marker.split(_BEGAN, 2)
            versions, start_from = bool(pinned), began or None
        kept = Kept(accept=f"{ARROW},application/xml" if self._arrow is not False else None)
        listed = self._client.walk_blobs if folder else self._client.list_blobs
        options: dict[str, Any] = {"refscan_kept": kept}
        if start_from is not None:
            options["start_from"] = start_from
        pages = listed(
            name_starts_with=prefix or None,
            include=self._include if versions else ["metadata"],
            results_per_page=count or self._page_size,
            **options,
        ).by_page(continuation_token=marker)
        await anext(pages)
        if kept.body is None:
            raise StoreError("the SDK did not hand the listing over; install another version of azure-storage-blob")
        page = parse_page(kept.body, kept.headers.get("Content-Type", ""))
        if page.marker is None:
            return page
        if page.marker == marker:
            raise ListingOrderError("the listing stands still: its marker leads to itself")
        return replace(page, marker=_BEGAN.join((page.marker, "pinned" if versions else "", start_from or "")))
