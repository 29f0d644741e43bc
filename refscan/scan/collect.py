"""All entries of one reference, as sorted runs."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa

from refscan.manifest.schema import MANIFEST_SCHEMA
from refscan.scan.entries import Placement
from refscan.scan.pipeline import Scan
from refscan.scan.sorter import Sorter
from refscan.scan.spool import Spool
from refscan.uri import Location

__all__ = ["collect"]

# What is done for a batch costs as much as what is done for some hundred rows, and a page may have a single one.
_BATCH_ROWS = 8_192
_MOST_PAGES = 1_024


async def collect(
    scan: Scan,
    reference: Location,
    *,
    name: str | None,
    checksum: bool,
    on_start: Callable[[Scan], None] | None = None,
    change: Callable[[pa.RecordBatch], pa.RecordBatch] | None = None,
) -> list[Spool]:
    """Run a scan to its end and return its entries: sealed runs of ``MANIFEST_SCHEMA``, each sorted by path.

    Args:
        scan: Not entered yet.
        reference: What the user referenced.
        name: The user's name for it.
        checksum: Digests tell the content; otherwise they tell the URI.
        on_start: Called with the scan once it runs.
        change: Applied to each batch of entries.
    """
    run, odd = Spool(MANIFEST_SCHEMA, "path"), Spool(MANIFEST_SCHEMA, "path")
    sorter = Sorter(reference.uri, MANIFEST_SCHEMA, "path")
    async with scan:
        if on_start is not None:
            on_start(scan)
        prefix = None if scan.found.rows is not None else scan.found.prefix
        placement = Placement(reference, prefix=prefix, name=name, checksum=checksum)

        async def keep(rows: pa.RecordBatch) -> None:
            entries = await placement.entries(scan.source, rows)
            if change is not None:
                entries = change(entries)
            if not placement.keeps_order:
                sorter.add(entries)
                return
            if placement.begins_oddly(rows):
                odd.append(entries.slice(0, 1))
                entries = entries.slice(1)
            run.append(entries)

        pages: list[pa.RecordBatch] = []
        count = 0
        async for rows in scan:
            pages.append(rows)
            count += rows.num_rows
            if count >= _BATCH_ROWS or len(pages) >= _MOST_PAGES:
                await keep(_joined(pages))
                pages, count = [], 0
        if count:
            await keep(_joined(pages))
    for entries in sorter.batches():
        run.append(entries)
    run.seal()
    odd.seal()
    return [run, odd]


def _joined(pages: list[pa.RecordBatch]) -> pa.RecordBatch:
    return pages[0] if len(pages) == 1 else pa.concat_batches(pages)
