"""The entries of an artifact that is being put together: sorted runs, each path once."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import anyio
import pyarrow as pa
from anyio import to_thread

from refscan.manifest.merge import conflict, merge
from refscan.manifest.receipt import Receipt
from refscan.manifest.schema import MANIFEST_SCHEMA, manifest_rows
from refscan.scan.spool import Spool

__all__ = ["Draft"]

_LOOSE_LIMIT = 4_096
_SMALL = 65_536
_MANY_RUNS = 8

Row = dict[str, object]


class Draft:
    """Entries so far. An addition is taken whole, or refused whole with the draft as it was.

    Single entries gather in a table by path; references bring sorted runs. Runs are merged when they are read, and
    small ones before that once they are many.
    """

    def __init__(self) -> None:
        self.receipts: list[Receipt] = []
        self._loose: dict[str, Row] = {}
        self._runs: list[Spool] = []
        self._on_logged: list[Callable[[], None]] = []
        self._adding = anyio.Lock()

    async def add_row(self, row: Row) -> None:
        """Add one entry, a row of ``MANIFEST_SCHEMA``.

        Raises:
            PathConflictError: Its path is taken by another digest.
        """
        async with self._adding:
            path, digest = str(row["path"]), row["digest"]
            standing = self._loose.get(path)
            if standing is None:
                found = next((rows for run in self._runs if (rows := run.find(path)) is not None), None)
                standing = found.to_pylist()[0] if found is not None else None
            if standing is not None:
                _refuse_other(path, digest, row, standing)
            known = self._loose.get(path)
            if known is None or str(row.get("ref") or "\x7f") < str(known.get("ref") or "\x7f"):
                self._loose[path] = row
            if len(self._loose) >= _LOOSE_LIMIT:
                self._runs.append(self._take_loose())
                await self._tidy()

    async def add_runs(
        self, runs: list[Spool], receipt: Receipt | None, *, on_logged: Callable[[], None] | None = None
    ) -> None:
        """Add a reference's runs, each sorted and sealed, its receipt, and what to call once they are logged.

        Raises:
            PathConflictError: A path is taken by another digest.
        """
        async with self._adding:
            runs = [run for run in runs if run.rows]
            await to_thread.run_sync(self._check, runs)
            self._runs.extend(runs)
            if receipt is not None:
                self.receipts.append(receipt)
            if on_logged is not None:
                self._on_logged.append(on_logged)
            await self._tidy()

    def _check(self, runs: list[Spool]) -> None:
        for count, run in enumerate(runs):
            for other in (*self._runs, *runs[:count]):
                if run.first <= other.last and other.first <= run.last:
                    overlap = max(run.first, other.first), min(run.last, other.last)
                    for _ in merge([run.between(*overlap), other.between(*overlap)]):
                        pass
            for path, row in self._loose.items():
                if run.first <= path <= run.last and (found := run.find(path)) is not None:
                    _refuse_other(path, row["digest"], row, found.to_pylist()[0])

    async def _tidy(self) -> None:
        if len(self._runs) > _MANY_RUNS:
            self._runs = await to_thread.run_sync(_merge_small, self._runs)

    def _take_loose(self) -> Spool:
        rows = [self._loose[path] for path in sorted(self._loose)]
        self._loose = {}
        run = Spool(MANIFEST_SCHEMA, "path")
        run.append(manifest_rows(**{name: [row.get(name) for row in rows] for name in MANIFEST_SCHEMA.names}))
        run.seal()
        return run

    def seal(self) -> None:
        """End adding; needed before reading."""
        if self._loose:
            self._runs.append(self._take_loose())

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield all entries in path order; may be called again, and by several threads at once."""
        return merge(self._runs)

    def logged(self) -> None:
        """Let go of what was kept until a version holds the entries."""
        while self._on_logged:
            self._on_logged.pop()()

    def close(self) -> None:
        """Forget the entries."""
        for run in self._runs:
            run.close()
        self._runs, self._loose = [], {}


def _refuse_other(path: str, digest: object, row: Row, standing: Row) -> None:
    if standing["digest"] != digest:
        raise conflict(path, _text(row.get("ref")), _text(standing.get("ref")))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _merge_small(runs: list[Spool]) -> list[Spool]:
    small = [run for run in runs if run.rows < _SMALL]
    if len(small) < 2:  # noqa: PLR2004  one run has nothing to be merged with
        return runs
    merged = Spool(MANIFEST_SCHEMA, "path")
    for batch in merge(small):
        merged.append(batch)
    merged.seal()
    for run in small:
        run.close()
    return [run for run in runs if run.rows >= _SMALL] + [merged]
