"""What a store that keeps versions tells beyond its current objects: all versions, in key order, page by page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import pyarrow as pa

__all__ = ["HISTORY_SCHEMA", "History", "HistoryPage"]

HISTORY_SCHEMA = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("version_id", pa.string()),
        pa.field("is_latest", pa.bool_(), nullable=False),
        pa.field("is_deleted", pa.bool_(), nullable=False),
        pa.field("size", pa.int64()),
        pa.field("e_tag", pa.string()),
        pa.field("storage_class", pa.string()),
    ]
)
"""The columns of every page, one row a version.

``key``, ``version_id``, ``size`` and ``e_tag`` are as in ``PAGE_SCHEMA``. ``is_latest``: reading the key without a
version gives this one; a key none of whose rows is the latest is hidden, by a delete marker or its like. Delete markers
themselves are no rows. ``is_deleted``: the store still has it, and gives it back only when it is undeleted.
"""


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """One answer.

    Attributes:
        rows: ``HISTORY_SCHEMA``; keys ascend, and the versions of one stand together.
        token: Continues the listing with the next version, be it of the same key.
        next_after: Continues the listing behind this key, which is the page's last; what the page lacks of its
            versions is then passed over, and its latest version never is what it lacks. With neither, that was all.
    """

    rows: pa.RecordBatch
    token: str | None = None
    next_after: str | None = None


@runtime_checkable
class History(Protocol):
    """A source (``refscan.sources.source.Source``) that can list versions."""

    async def list_history(
        self, prefix: str, *, after: str = "", until: str | None = None, token: str | None = None
    ) -> HistoryPage | None:
        """Ask for the first versions of the keys in ``(after, until]`` that begin with ``prefix``.

        A page may hold keys outside of that, before it as well; ``token`` goes on where a page ended.

        Returns:
            ``None``: Versions may not be listed here, or the container never had any.

        Raises:
            ObjectNotFoundError: There is no such container.
            AccessDeniedError: Nothing of it may be listed.
            StoreError: The store cannot be reached or answers wrongly.
        """
        ...

    async def is_restored(self, key: str, version_id: str | None) -> bool:
        """Tell whether an archived object has a copy that can be read now; one request, where there can be such."""
        ...
