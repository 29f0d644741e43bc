"""What a check has found so far: counts of all entries, and the rows of those that are not simply present."""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from refscan.download.status import PRESENT, STATUSES, names_of
from refscan.scan.sorter import Sorter
from refscan.scan.spool import Spool

__all__ = ["FINDING_SCHEMA", "Findings"]

FINDING_SCHEMA = pa.schema(
    [
        pa.field("path", pa.string(), nullable=False),
        pa.field("ref", pa.string()),
        pa.field("version_id", pa.string()),
        pa.field("status", pa.string(), nullable=False),
    ]
)
"""One row an entry, ascending by ``path``; ``status`` is one of ``refscan.download.status.STATUSES``."""


class Findings:
    """Takes entries in any order; memory does not grow with them.

    Attributes:
        counts: Entries by status code.
        ways: Entries by how they were checked.
    """

    def __init__(self) -> None:
        self.counts: Counter[int] = Counter()
        self.ways: Counter[str] = Counter()
        self._sorter = Sorter("the manifest", FINDING_SCHEMA, "path")

    def add(self, rows: pa.RecordBatch, codes: npt.NDArray[np.int8], way: str) -> None:
        """Take decided entries (columns ``path``, ``ref``, ``version_id``) that were checked in one way."""
        self.ways[way] += len(codes)
        for code, count in zip(*np.unique(codes, return_counts=True), strict=True):
            self.counts[int(code)] += int(count)
        others = np.flatnonzero(codes != PRESENT)
        if len(others):
            found = rows.take(pa.array(others))
            columns = [found.column(name) for name in ("path", "ref", "version_id")]
            columns.append(names_of(pa.array(codes[others])))
            self._sorter.add(pa.record_batch(columns, schema=FINDING_SCHEMA))

    def named_counts(self) -> dict[str, int]:
        """Return the entries of each status that occurs."""
        return {name: self.counts[code] for code, name in enumerate(STATUSES) if self.counts[code]}

    def sealed(self) -> Spool:
        """Return the rows that are not present, ascending by path; once."""
        spool = Spool(FINDING_SCHEMA, "path")
        for rows in self._sorter.batches():
            spool.append(rows)
        spool.seal()
        return spool
