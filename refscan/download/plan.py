"""Where each entry goes below the root. No I/O: every path is checked before a byte is fetched."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pyarrow as pa

from refscan.errors import InvalidPathError, PathConflictError

__all__ = ["check_paths", "target_of"]

_LONGEST_NAME = 255  # bytes; the limit of the file systems in use


def target_of(path: str) -> str:
    """Return the relative file name of an entry.

    Repeated and leading ``/`` mean nothing to a file system and are left out; ``check_paths`` sees to it that no two
    entries become one file by that.

    Raises:
        InvalidPathError: It cannot be a file below the root.
    """
    parts = [part for part in path.split("/") if part]
    if ".." in parts:
        raise InvalidPathError(f"the entry {path!r} would leave the download root; nothing was downloaded")
    if not parts or path.endswith("/") or "." in parts or "\0" in path:
        raise InvalidPathError(f"the entry {path!r} cannot be a file name; leave it out with path_prefix=")
    if any(len(part) * 4 > _LONGEST_NAME and len(part.encode()) > _LONGEST_NAME for part in parts):
        raise InvalidPathError(
            f"the entry {path!r} has a name of more than {_LONGEST_NAME} bytes, which no file can have"
        )
    return "/".join(parts)


def check_paths(batches: Callable[[], Iterable[pa.RecordBatch]]) -> None:
    """Make sure that every entry can be a file, and no two the same file, nor one a folder of another.

    Args:
        batches: Begins to yield rows of ``MANIFEST_SCHEMA`` in path order; may be called twice.

    Raises:
        InvalidPathError: An entry cannot be a file below the root.
        PathConflictError: Two entries clash.
    """
    # Files that what follows may still lie below: in path order they all begin alike.
    open_files: list[str] = []
    rewritten: dict[str, str] = {}
    for batch in batches():
        for path in batch.column("path").to_pylist():
            target = target_of(path)
            if target != path:
                _note(rewritten, target, path)
                continue
            while open_files and not path.startswith(open_files[-1]):
                open_files.pop()
            for earlier in open_files:
                if path.startswith(earlier + "/"):
                    raise _clash(earlier, path)
            open_files.append(path)
    if rewritten:
        # They are out of path order, so they are compared with all.
        _check_rewritten(rewritten, batches)


def _check_rewritten(rewritten: dict[str, str], batches: Callable[[], Iterable[pa.RecordBatch]]) -> None:
    folders: dict[str, str] = {}
    for target, path in rewritten.items():
        for folder in _folders(target):
            folders[folder] = path
    for batch in batches():
        for path in batch.column("path").to_pylist():
            target = target_of(path)
            other = folders.get(target)
            if target == path and target in rewritten:
                other = rewritten[target]
            if other is None:
                other = next((rewritten[folder] for folder in _folders(target) if folder in rewritten), None)
            if other is not None and other != path:
                raise _clash(other, path)


def _note(rewritten: dict[str, str], target: str, path: str) -> None:
    if target in rewritten:
        raise _clash(rewritten[target], path)
    rewritten[target] = path


def _folders(target: str) -> list[str]:
    parts = target.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def _clash(one: str, other: str) -> PathConflictError:
    return PathConflictError(
        f"the entries {one!r} and {other!r} cannot both be files on disk; download them apart with path_prefix="
    )
