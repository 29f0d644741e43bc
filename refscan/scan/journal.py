"""What a scan leaves in a directory while it runs, so that it goes on where it was killed.

``journal`` says what is scanned and how the key space was cut; each line stands there before what follows from it
happens. Each range has a file of its pages, in key order; a page is known by how far it reaches, so that a range is
complete only where its pages reach to its end as the journal has it. What needed a ``stat`` has a file of its own.
"""

from __future__ import annotations

import fcntl
import json
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any
from weakref import WeakValueDictionary

from refscan.errors import ResumeError
from refscan.scan.run_file import RunFile

__all__ = ["Journal"]

_FORMAT = 1
_NAME = "journal"
_STATS = "stats"
_FOLDERS = "folders"
_RUNS = "range-"


class Journal:
    """One scan's directory, which nobody else writes to meanwhile.

    Attributes:
        resumed: It holds a scan that was begun before.
        started: When the scan was begun.
        bounds: Between the first ranges.
        splits: How ranges were cut since, in order: the beginning of the one that was cut, and where.
        stats: What was statted, in key order.
        folders: The pages of folders, where the listing goes by folders.

    Args:
        directory: Made if it is not there.
        scanned: What is scanned and how, of JSON's types: the same must be said to go on.
        bounds: Ascending keys that cut the key space, if the scan is new.

    Raises:
        ResumeError: The directory holds something else, or another process uses it.
    """

    def __init__(self, directory: Path, scanned: Mapping[str, Any], bounds: Sequence[str] = ()) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / _NAME
        if not path.exists() and any(directory.iterdir()):
            raise ResumeError(f"{directory} is not empty and holds no scan; use a new directory")
        self._file: IO[bytes] = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b", buffering=0)
        try:
            self._lock()
            lines = self._recover()
            self.resumed = bool(lines)
            if not lines:
                lines = [self._begin(scanned, bounds)]
            first = lines[0]
            self._check(first, scanned)
        except BaseException:
            self._file.close()
            raise
        self.started = datetime.fromisoformat(first["started"])
        self.bounds: list[str] = first["bounds"]
        self.splits: list[tuple[str, str]] = [(line["after"], line["pivot"]) for line in lines[1:]]
        starts = ["", *self.bounds, *(pivot for _, pivot in self.splits)]
        self._numbers = {start: number for number, start in enumerate(starts)}
        # Ranges are many. Whoever reads one lets go of it, which closes its file.
        self._runs: WeakValueDictionary[str, RunFile] = WeakValueDictionary()
        self.stats = RunFile(directory / _STATS)
        self.folders = RunFile(directory / _FOLDERS)

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            gone = os.fstat(self._file.fileno()).st_nlink == 0
        except BlockingIOError:
            gone = True
        if gone:
            # Or it was, and what was opened here has been removed since.
            raise ResumeError(f"{self.directory} is used by a scan that is running; wait for its end")

    def _recover(self) -> list[dict[str, Any]]:
        """Return the whole lines from the beginning, and cut off the rest."""
        lines: list[dict[str, Any]] = []
        end = 0
        for raw in self._file.read().splitlines(keepends=True):
            checksum, _, text = raw.partition(b" ")
            if not raw.endswith(b"\n") or checksum != _checksum(text[:-1]):
                break
            lines.append(json.loads(text))
            end += len(raw)
        self._file.truncate(end)
        self._file.seek(end)
        return lines

    def _begin(self, scanned: Mapping[str, Any], bounds: Sequence[str]) -> dict[str, Any]:
        # Pages may have reached the disk where their journal did not: nobody knows what they are of.
        for path in self._pages():
            path.unlink()
        started = datetime.now(UTC).isoformat()
        return self._write({"format": _FORMAT, "scanned": dict(scanned), "bounds": list(bounds), "started": started})

    def _check(self, first: Mapping[str, Any], scanned: Mapping[str, Any]) -> None:
        if first.get("format") != _FORMAT:
            raise ResumeError(f"{self.directory} holds a scan of another release of refscan; use a new directory")
        for what, value in scanned.items():
            found = first["scanned"].get(what)
            if found != value:
                raise ResumeError(
                    f"{self.directory} holds the scan of another reference ({what} {found!r}, not {value!r}); "
                    f"use a new directory, or remove this one"
                )

    def _write(self, line: dict[str, Any]) -> dict[str, Any]:
        # In ASCII: a key may hold what splits lines.
        text = json.dumps(line, separators=(",", ":")).encode()
        self._file.write(_checksum(text) + b" " + text + b"\n")
        return line

    def split(self, after: str, pivot: str) -> None:
        """Note that the range that begins behind ``after`` was cut at ``pivot``."""
        number = len(self._numbers)
        # Of a cut that never reached the disk there may be pages.
        self._path(number).unlink(missing_ok=True)
        self._write({"after": after, "pivot": pivot})
        self._numbers[pivot] = number

    def run(self, after: str) -> RunFile:
        """Return the file of the pages of the range that begins behind ``after``."""
        found = self._runs.get(after)
        if found is None:
            found = self._runs[after] = RunFile(self._path(self._numbers[after]))
        return found

    def _path(self, number: int) -> Path:
        return self.directory / f"{_RUNS}{number:06}"

    def close(self) -> None:
        """Close all files; the scan may go on later."""
        for run in (*self._runs.values(), self.stats, self.folders):
            run.close()
        self._file.close()

    def discard(self) -> None:
        """Remove all that was written, unless another scan goes on from it: the rows are safe elsewhere."""
        self.close()
        with suppress(FileNotFoundError), (self.directory / _NAME).open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            # The journal last: with it, whoever comes after a kill here asks again for what is gone.
            for path in (*self._pages(), self.directory / _NAME):
                path.unlink()
        # The user may have put something beside it.
        with suppress(OSError):
            self.directory.rmdir()

    def _pages(self) -> Iterator[Path]:
        for pattern in (_RUNS + "*", _FOLDERS, _STATS):
            yield from self.directory.glob(pattern)


def _checksum(text: bytes) -> bytes:
    return b"%08x" % zlib.crc32(text)
