"""What a scan has seen so far, and how much it may see."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pyarrow as pa

from refscan.errors import MaxObjectsExceededError
from refscan.scan.filter import PathFilter
from refscan.scan.page import drop_folder_markers
from refscan.sources.source import Page, Source

__all__ = ["Tally"]


class Tally:
    """Counts of one scan.

    Attributes:
        listed: Objects that listings gave.
        listing: Requests for pages under way.
        waited: Seconds that all requests for pages took together.
        skipped: Objects that were left out, by reason.
    """

    def __init__(self, uri: str, *, limit: int | None, only: PathFilter | None = None) -> None:
        self.listed = 0
        self.listing = 0
        self.waited = 0.0
        self.skipped: Counter[str] = Counter()
        self._uri = uri
        self._limit = limit
        self._only = only
        self._requests_before = 0

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Count a request for a page while it is under way."""
        began = time.monotonic()
        self.listing += 1
        try:
            yield
        finally:
            self.listing -= 1
            self.waited += time.monotonic() - began

    def keep(self, page: Page, rows: pa.RecordBatch) -> pa.RecordBatch:
        """Return those of a page's ``rows`` that are objects and wanted, and count them and what else the page tells.

        Raises:
            MaxObjectsExceededError: There are more than the limit now.
        """
        kept, markers = drop_folder_markers(rows)
        self.skipped.update(page.skipped)
        self.skipped["folder_marker"] += markers
        if self._only is not None:
            kept, found = self._only.keep(kept), kept
            self.skipped["excluded"] += found.num_rows - kept.num_rows
        self.listed += kept.num_rows
        self._check_limit()
        return kept

    def restore(self, objects: int, skipped: Mapping[str, int], requests: int) -> None:
        """Count what was found before the scan was killed, when so many requests had been sent.

        Raises:
            MaxObjectsExceededError: There are more than the limit now.
        """
        self.listed += objects
        self.skipped.update(skipped)
        self.resumed_requests(requests)
        self._check_limit()

    def resumed_requests(self, requests: int) -> None:
        """Note that so many requests had been sent when the scan was killed, or more."""
        self._requests_before = max(self._requests_before, requests)

    def requests(self, source: Source) -> int:
        """Return the requests so far, those before the scan was killed among them."""
        return self._requests_before + source.requests

    def _check_limit(self) -> None:
        if self._limit is not None and self.listed > self._limit:
            raise MaxObjectsExceededError(
                f"{self._uri} holds more than {self._limit} objects; pass max_objects=None (--max-objects none) to "
                f"take all of them, or a higher limit",
                uri=self._uri,
            )
