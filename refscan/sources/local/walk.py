"""The keys below a folder, in the order of whole keys."""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice

from refscan.errors import InvalidPathError
from refscan.sources.local.errors import translated
from refscan.uri import quote_key

__all__ = ["Walk"]


class Walk:
    """The keys below a prefix in ascending order, a page at a time.

    A folder sorts by its name with a ``/`` behind it, which makes the order of a walk the order of whole keys.
    """

    def __init__(self, root: str, prefix: str, after: str) -> None:
        self.skipped: Counter[str] = Counter()
        self.folders = 0
        self._root = root
        self._prefix = prefix
        self._after = after
        self._until: str | None = None
        self._start = prefix[: prefix.rfind("/") + 1]
        self._keys = self._below(self._start)

    def take(self, count: int, until: str | None = None) -> list[str]:
        """Return the next keys, at most ``count`` and none past ``until``."""
        self._until = until
        return list(islice(self._keys, count))

    def _below(self, folder: str) -> Iterator[str]:
        names, odd = self._names(folder)
        for name in names:
            key = folder + name
            if self._until is not None and key > self._until:
                return
            if not (key.startswith(self._prefix) or self._prefix.startswith(key)):
                continue
            if name.endswith("/"):
                if key > self._after or self._after.startswith(key):
                    yield from self._below(key)
            elif key > self._after and key.startswith(self._prefix):
                # Counted where a key would stand, so that neighbouring ranges of one folder count it once.
                if name in odd:
                    self.skipped[odd[name]] += 1
                else:
                    yield key

    def _names(self, folder: str) -> tuple[list[str], dict[str, str]]:
        """Return the names in a folder, sorted, and why some of them are to be skipped."""
        path = self._root + folder
        self.folders += 1
        names: list[str] = []
        odd: dict[str, str] = {}
        with translated("file://" + quote_key(path, "file")):
            try:
                entries = os.scandir(path)
            except (FileNotFoundError, NotADirectoryError):
                if folder != self._start:
                    self.skipped["vanished"] += 1
                return names, odd
            with entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        names.append(entry.name + "/")
                        continue
                    names.append(entry.name)
                    if reason := _reason_to_skip(entry):
                        odd[entry.name] = reason
        try:
            "".join(names).encode()
        except UnicodeEncodeError:
            _check_utf8(path, (name for name in names if name not in odd))
        names.sort()
        return names, odd


def _reason_to_skip(entry: os.DirEntry[str]) -> str | None:
    try:
        if entry.is_file():
            return None
        if not entry.is_symlink():
            return "not_a_file"
        return "link_to_folder" if entry.is_dir() else "not_a_file" if os.path.exists(entry) else "dangling_link"
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        return "dangling_link"


def _check_utf8(folder: str, names: Iterable[str]) -> None:
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError:
            shown = os.fsencode(folder + name.rstrip("/")).decode("utf-8", "backslashreplace")
            raise InvalidPathError(
                f"the file name {shown!r} is not UTF-8, so no manifest can hold it; rename it",
                uri=f"file://{shown}",
            ) from None
