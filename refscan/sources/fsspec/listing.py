"""One folder of a file system, as a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from refscan.errors import InvalidPathError
from refscan.sources.fsspec.errors import is_missing
from refscan.sources.fsspec.facts import Facts, facts_of, is_folder, is_link, is_plain_file, rows_of
from refscan.sources.fsspec.file_system import FileSystem
from refscan.sources.fsspec.fresh import list_of
from refscan.sources.source import Page

__all__ = ["list_folder"]


def list_folder(fs: FileSystem, path: str, prefix: str, uri: str) -> tuple[Page, int]:
    """Return the page of a folder, and how often the file system was asked; runs in a thread.

    Symbolic links to files are followed; links to folders, dangling links, sockets, pipes and devices are skipped and
    counted, and so are names that the file system would take for another path.

    Args:
        fs: The file system.
        path: The folder's path.
        prefix: The folder's key, empty or ending in ``/``.
        uri: The folder's URI.

    Raises:
        InvalidPathError: A name is not UTF-8.
    """
    files: dict[str, Facts] = {}
    folders: dict[str, None] = {}
    skipped: Counter[str] = Counter()
    requests = 1
    for listed in list_of(fs, path):
        full = str(listed["name"])
        name = _name_in(full, path, is_folder=is_folder(listed))
        if name is None:
            continue  # a file's listing, or a folder's own entry in it
        _check_utf8(name, uri)
        child = f"{path.rstrip('/')}/{name}" if path else name
        # A name that is no name, or one that the file system takes apart, would lead to another file, or in circles.
        if name in ("", ".", "..") or "/" in name or fs._strip_protocol(child).strip("/") != child.strip("/"):  # noqa: SLF001
            skipped["unaddressable" if name or listed.get("size") or is_folder(listed) else "folder_marker"] += 1
            continue
        found: Mapping[str, Any] = listed
        if is_link(listed):
            requests += 1
            try:
                found = {**fs.info(child), "islink": False}
            except Exception as error:
                if not is_missing(error, child):
                    raise
                skipped["dangling_link"] += 1
                continue
            if is_folder(found):
                skipped["link_to_folder"] += 1
                continue
        if is_folder(found):
            folders[f"{prefix}{name}/"] = None
        elif is_plain_file(found):
            files[prefix + name] = facts_of(found)
        else:
            skipped["not_a_file"] += 1
    complete = all(facts.size is not None for facts in files.values())
    rows = rows_of(files, files.values())
    return Page(rows, complete=complete, skipped=skipped, folders=tuple(folders)), requests


def _name_in(full: str, folder: str, *, is_folder: bool) -> str | None:
    """Return the name that ``full`` has in ``folder``; ``None`` if it is the folder itself."""
    # Some write paths with a slash at the beginning, some without, some both; and some end folders with one.
    full = full.removesuffix("/") if is_folder else full
    folder = folder.rstrip("/")
    if full in (folder, folder.lstrip("/")):
        return None
    for start in (folder + "/", folder.lstrip("/") + "/"):
        if full.startswith(start):
            return full.removeprefix(start)
    return "" if folder else full


def _check_utf8(name: str, uri: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        shown = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        raise InvalidPathError(
            f"{uri}: the file name '{shown}' is not UTF-8, so no manifest can hold it; rename it", uri=uri
        ) from None
