"""What a scan has seen so far, and how much it may see."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa

from refscan.errors import MaxObjectsExceededError
from refscan.scan.page import drop_folder_markers
from refscan.sources.source import Page

__all__ = ["Tally"]


class Tally:
    """Counts of one scan.

    Attributes:
        listed: Objects that listings gave.
        listing: Requests for pages under way.
        skipped: Objects that were left out, by reason.
    """

    def __init__(self, uri: str, *, limit: int | None) -> None:
        self.listed = 0
        self.listing = 0
        self.skipped: Counter[str] = Counter()
        self._uri = uri
        self._limit = limit

    def keep(self, page: Page, rows: pa.RecordBatch) -> pa.RecordBatch:
        """Return those of a page's ``rows`` that are objects, and count them and what else the page tells.

        Raises:
            MaxObjectsExceededError: There are more than the limit now.
        """
        kept, markers = drop_folder_markers(rows)
        self.skipped.update(page.skipped)
        self.skipped["folder_marker"] += markers
        self.listed += kept.num_rows
        if self._limit is not None and self.listed > self._limit:
            raise MaxObjectsExceededError(
                f"{self._uri} holds more than {self._limit} objects; pass max_objects=None (--max-objects none) to "
                f"take all of them, or a higher limit",
                uri=self._uri,
            )
        return kept
