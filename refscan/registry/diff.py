"""What leads from one version to another."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc
from anyio import to_thread

from refscan.manifest.diff import CHANGES, DIFF_SCHEMA, diff_manifests
from refscan.manifest.seek import ManifestRows

__all__ = ["Diff"]


@dataclass(frozen=True, slots=True)
class Diff:
    """The paths that differ between two versions. It holds no rows: whatever asks for them reads them again.

    Iterate over it with ``async for``, or over ``batches()`` without a loop, for ``pyarrow.RecordBatch`` in path order:
    ``change`` (``added``, ``removed``, ``changed``, or ``repinned``: the same content from another object version or
    URI), ``path``, and ``old_…`` and ``new_…`` of ``digest``, ``size`` in bytes, ``version_id`` and ``ref``.

    Attributes:
        old: URI of the version that is left.
        new: URI of the version that is led to.
    """

    old: str
    new: str
    _old_rows: ManifestRows = field(repr=False)
    _new_rows: ManifestRows = field(repr=False)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Iterate over what differs; memory does not grow with it."""
        return diff_manifests(self._old_rows, self._new_rows)

    async def __aiter__(self) -> AsyncIterator[pa.RecordBatch]:
        batches = self.batches()
        while (batch := await to_thread.run_sync(next, batches, None)) is not None:
            yield batch

    async def summary(self) -> dict[str, int]:
        """Count the paths of each change; those of no path are there too."""
        return await to_thread.run_sync(self._summary)

    def _summary(self) -> dict[str, int]:
        counts: Counter[str] = Counter(dict.fromkeys(CHANGES, 0))
        for batch in self.batches():
            for count in pc.value_counts(batch.column("change")).to_pylist():
                counts[count["values"]] += count["counts"]
        return dict(counts)

    async def to_table(self) -> pa.Table:
        """Return all that differs as one table, in memory."""
        return await to_thread.run_sync(lambda: pa.Table.from_batches(self.batches(), DIFF_SCHEMA))
