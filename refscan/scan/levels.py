"""Sorted runs of entries, kept few and small in memory: as many as are of one size become one, on disk."""

from __future__ import annotations

from collections.abc import Sequence

from refscan.manifest.merge import merge
from refscan.manifest.schema import MANIFEST_SCHEMA
from refscan.scan.spool import MEMORY_LIMIT, Spool

__all__ = ["Levels"]

_FAN_IN = 16
_BATCH_ROWS = 8_192


class Levels:
    """Takes runs, each sorted by path and unique, and gives one of all of them."""

    def __init__(self) -> None:
        self._levels: list[list[Spool]] = []

    def add(self, run: Spool) -> None:
        """Take one run.

        Raises:
            PathConflictError: It, or one before, has a path of another one with another digest.
        """
        for level in self._levels:
            level.append(run)
            if len(level) < _FAN_IN:
                return
            run = _merged(level, memory_limit=0)
            level.clear()
        self._levels.append([run])

    def merged(self) -> Spool:
        """Return all as one sealed run; there are none afterwards.

        Raises:
            PathConflictError: Two have one path with different digests.
        """
        runs = [run for level in self._levels for run in level]
        self._levels = []
        return _merged(runs, memory_limit=MEMORY_LIMIT)


def _merged(runs: Sequence[Spool], *, memory_limit: int) -> Spool:
    whole = Spool(MANIFEST_SCHEMA, "path", memory_limit=memory_limit)
    for batch in merge(runs):
        for start in range(0, batch.num_rows, _BATCH_ROWS):
            whole.append(batch.slice(start, _BATCH_ROWS))
    whole.seal()
    for run in runs:
        run.close()
    return whole
