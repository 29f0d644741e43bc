"""From listed pages to rows that hold all: what wants a ``stat`` gets one, and everything leaves in key order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import anyio
import pyarrow as pa
from anyio.abc import TaskGroup

from refscan.errors import ResumeError
from refscan.scan.buffer import Listed
from refscan.scan.journal import Journal
from refscan.scan.ordered import OrderedWorkers
from refscan.scan.page import check_order, drop_folder_markers, trim
from refscan.scan.shared import Shared
from refscan.scan.tally import Tally
from refscan.sources.source import Source

__all__ = ["Listing", "Statting"]


class Listing(Protocol):
    """What gives pages in key order."""

    def start(self, group: TaskGroup, sink: Callable[[Listed], Awaitable[None]], end: Callable[[], None]) -> None:
        """Begin listing; each page goes to ``sink``, in key order, and ``end`` is called behind the last one."""
        ...


@dataclass(frozen=True, slots=True)
class _Done:
    """Rows that hold all; of statted ones, up to which key they answer, and what was skipped."""

    rows: pa.RecordBatch
    up_to: str | None
    skipped: Counter[str]


class Statting:
    """Runs a listing and hands its rows on; whatever the source answers, none leaves out of order, or twice.

    Args:
        source: Stats what is not complete.
        tally: Counts what is skipped.
        shared: What all scans of the bucket share.
        uri: What is scanned, for errors.
        emit: Takes the rows.
        journal: Keeps what was statted.
    """

    def __init__(
        self,
        source: Source,
        tally: Tally,
        shared: Shared,
        uri: str,
        emit: Callable[[pa.RecordBatch], Awaitable[None]],
        *,
        journal: Journal | None = None,
    ) -> None:
        self.emitted = ""
        self._source = source
        self._tally = tally
        self._shared = shared
        self._uri = uri
        self._emit = emit
        self._journal = journal
        self._done_to = ""
        self._line: OrderedWorkers[Listed, _Done] | None = None

    @property
    def active(self) -> int:
        """Items that are worked on."""
        return self._line.active if self._line is not None else 0

    async def run(self, listing: Listing) -> None:
        """List, stat and emit all there is."""
        await self._emit_kept()
        async with anyio.create_task_group() as group:
            line = OrderedWorkers(group, self._work, concurrency=self._source.capabilities.stat_concurrency)
            self._line = line
            listing.start(group, partial(self._put, line), line.end)
            await line.deliver(self._deliver)

    async def _emit_kept(self) -> None:
        """Emit what was statted before the scan was killed."""
        if self._journal is None:
            return
        for record in self._journal.stats.recover():
            self._done_to = record.header["up_to"]
            self._tally.skipped.update(record.header["skipped"])
            self._tally.resumed_requests(record.header["requests"])
            await self._check_and_emit(record.rows)

    async def _put(self, line: OrderedWorkers[Listed, _Done], page: Listed) -> None:
        """Put a page into the line of work: pages come in key order."""
        rows = trim(page.rows, self._done_to, None) if self._done_to else page.rows
        if page.complete:
            if rows.num_rows < page.rows.num_rows:
                raise ResumeError(
                    f"{self._uri}: the scan cannot go on, as permissions or the bucket's versioning changed since it "
                    f"was begun; begin anew in a new directory",
                    uri=self._uri,
                )
            await line.put_done(_Done(rows, None, Counter()))
            return
        # A few objects, which may be large, are spread; many small ones go in large batches.
        can, count = self._source.capabilities, rows.num_rows
        batch = max(1, min(can.stat_batch, -(-count // can.stat_concurrency)))
        for start in range(0, count, batch):
            await line.put(Listed(rows.slice(start, batch), complete=False))

    async def _work(self, page: Listed) -> _Done:
        keys = page.rows.column("key").to_pylist()
        async with self._shared.stats:
            answer = await self._source.stat(keys)
        rows, markers = drop_folder_markers(answer.rows)
        skipped = Counter(answer.skipped)
        skipped["folder_marker"] += markers
        # What was listed and is not there, the source may leave uncounted.
        skipped["vanished"] += page.rows.num_rows - answer.rows.num_rows - sum(answer.skipped.values())
        return _Done(rows, keys[-1], skipped)

    async def _deliver(self, done: _Done) -> None:
        if done.up_to is not None:
            self._tally.skipped.update(done.skipped)
            if self._journal is not None:
                note = {"up_to": done.up_to, "skipped": done.skipped, "requests": self._tally.requests(self._source)}
                self._journal.stats.append(note, done.rows)
        await self._check_and_emit(done.rows)

    async def _check_and_emit(self, rows: pa.RecordBatch) -> None:
        if rows.num_rows:
            check_order(rows, self.emitted, self._uri)
            self.emitted = rows.column("key")[-1].as_py()
            await self._emit(rows)
