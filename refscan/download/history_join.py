"""Recorded entries joined with a listing of all versions: both ascend by key, and neither is held whole. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from refscan.download.status import (
    ARCHIVED,
    CHANGED,
    DELETE_MARKED,
    MISSING,
    PRESENT,
    SOFT_DELETED,
    SUPERSEDED,
    UNDECIDED,
)
from refscan.sources.history import HISTORY_SCHEMA, HistoryPage

__all__ = ["RULES", "Codes", "HistoryJoin", "Rules"]

Codes = npt.NDArray[np.int8]

_NOTHING = pa.RecordBatch.from_pylist([], HISTORY_SCHEMA)


@dataclass(frozen=True, slots=True)
class Rules:
    """What sameness and presence mean in one kind of store.

    Attributes:
        e_tags: A version keeps its ETag; otherwise its version ID says it all.
        archived: Storage classes whose bytes cannot be read at once.
        replaced: Every write has a version ID, kept or not: where the recorded one is gone and another one is
            current, the object was overwritten.
    """

    e_tags: bool = True
    archived: frozenset[str] = frozenset()
    replaced: bool = False


# Sources: the S3 user guide, "Understanding S3 storage classes for long-term data storage" (Glacier Instant Retrieval
# is read at once); https://cloud.google.com/storage/docs/storage-classes#archive (so is Google's ARCHIVE), .../metadata
# (an ETag changes with metadata, a generation does not); https://learn.microsoft.com/azure/storage/blobs/access-tiers-overview
RULES = {
    "s3": Rules(archived=frozenset(["GLACIER", "DEEP_ARCHIVE"])),
    "gcs": Rules(e_tags=False, replaced=True),
    "azure": Rules(archived=frozenset(["Archive"])),
}
"""By the kind of store."""


class HistoryJoin:
    """Decides the entries of one stretch of keys, page by page.

    Whatever the pages' cuts, each entry that is decided has the status that the whole listing gives it. What only the
    rest of a key's versions could decide, which the listing has passed over, is ``UNDECIDED``.

    Args:
        entries: ``key``, ``version_id``, ``e_tag``, ``size``, ascending by key; a key may stand there repeatedly.
        rules: Those of the store.

    Attributes:
        decided: How many of them, the first ones, later pages do not change.
        codes: The status of each, ``UNDECIDED`` where no page has told.
        restored: The same, for those in an archive as if their bytes had been restored.
    """

    def __init__(self, entries: pa.RecordBatch, rules: Rules) -> None:
        self.decided = 0
        self._entries = entries
        self._rules = rules
        self.codes: Codes = np.full(entries.num_rows, UNDECIDED, np.int8)
        self.restored = self.codes.copy()
        self._carried = _NOTHING
        self._pins = _pins(entries)

    def feed(self, page: HistoryPage) -> None:
        """Take the next page; rows of other keys than the stretch has do no harm."""
        rows = page.rows
        if self._carried.num_rows:
            rows, self._carried = pa.concat_batches([self._carried, rows]), _NOTHING
        if page.next_after is not None:
            self._decide(self._count_to(page.next_after, inclusive=True), rows, cut=page.next_after)
        elif page.token is None:
            self._decide(self._entries.num_rows, rows)
        elif rows.num_rows:
            last = rows.column("key")[-1].as_py()
            self._decide(self._count_to(last, inclusive=False), rows)
            self._carried = self._worth_keeping(rows, last)

    def _count_to(self, key: str, *, inclusive: bool) -> int:
        compare = pc.less_equal if inclusive else pc.less
        return pc.sum(compare(self._entries.column("key"), key)).as_py() or 0

    def _worth_keeping(self, rows: pa.RecordBatch, key: str) -> pa.RecordBatch:
        """Return what the next page needs of the versions of this page's last key: few, however many there are."""
        rows = rows.filter(pc.equal(rows.column("key"), key))
        wanted = self._pins.slice(self.decided, self._count_to(key, inclusive=True) - self.decided)
        return rows.filter(pc.or_(rows.column("is_latest"), pc.is_in(_pins(rows), value_set=wanted)))

    def _decide(self, stop: int, rows: pa.RecordBatch, cut: str | None = None) -> None:
        """Decide the entries up to ``stop``, of whose keys these are all versions, but for those of ``cut``."""
        first = self.decided
        if stop <= first:
            return
        entries = self._entries.slice(first, stop - first)
        is_latest = rows.column("is_latest")
        latest_rows = pa.array(np.flatnonzero(is_latest), pa.int64())
        latest = _places(entries.column("key"), rows.column("key").take(latest_rows))
        latest[latest >= 0] = latest_rows.to_numpy()[latest[latest >= 0]]
        own = _places(self._pins.slice(first, stop - first), _pins(rows))
        pinned = entries.column("version_id").is_valid().to_numpy(zero_copy_only=False)
        at = np.where(pinned, own, latest)
        codes, restored = self.codes[first:stop], self.restored[first:stop]
        codes[:] = MISSING
        if self._rules.replaced:
            codes[latest >= 0] = CHANGED
        if cut is not None:
            is_cut = pc.equal(entries.column("key"), cut).to_numpy(zero_copy_only=False)
            codes[is_cut & pinned] = UNDECIDED
        restored[:] = codes
        there = np.flatnonzero(at >= 0)
        if len(there):
            ranks = np.where(at == latest, PRESENT, np.where(latest >= 0, SUPERSEDED, DELETE_MARKED)).astype(np.int8)
            mine, found = entries.take(pa.array(there)), rows.take(pa.array(at[there]))
            restored[there] = self._judge(mine, found, ranks[there])
            codes[there] = np.where(
                self._are_archived(found) & (restored[there] < SOFT_DELETED), ARCHIVED, restored[there]
            )
        self.decided = stop

    def _judge(self, entries: pa.RecordBatch, found: pa.RecordBatch, codes: Codes) -> Codes:
        """Return the status of entries beside the versions that should be theirs."""
        codes[found.column("is_deleted").to_numpy(zero_copy_only=False)] = SOFT_DELETED
        for name in ("size", "e_tag") if self._rules.e_tags else ("size",):
            other = pc.fill_null(pc.not_equal(entries.column(name), found.column(name)), False)
            codes[other.to_numpy(zero_copy_only=False)] = CHANGED
        return codes

    def _are_archived(self, found: pa.RecordBatch) -> npt.NDArray[np.bool_]:
        archived = pc.is_in(
            found.column("storage_class"), value_set=pa.array(sorted(self._rules.archived), pa.string())
        )
        result: npt.NDArray[np.bool_] = archived.to_numpy(zero_copy_only=False)
        return result


def _pins(rows: pa.RecordBatch) -> pa.Array:
    """Return key and version as one text, null where there is no version; no version ID has a zero byte."""
    return pc.binary_join_element_wise(rows.column("key"), rows.column("version_id"), "\0")


def _places(values: pa.Array, among: pa.Array) -> npt.NDArray[np.int64]:
    """Return where each value stands among others, -1 where it does not, or is null."""
    found = pc.index_in(values, value_set=among, skip_nulls=True)
    places: npt.NDArray[np.int64] = pc.fill_null(found, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    return places
