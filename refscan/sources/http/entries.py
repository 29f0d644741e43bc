"""What a directory index links to: names as URLs need them, inside one folder and nowhere else."""

from __future__ import annotations

from collections import Counter
from urllib.parse import quote, unquote_to_bytes, urlsplit

from yarl import URL

from refscan.sources.http.session import URL_SAFE

__all__ = ["Entries"]

# A "?" or "#" in a name that is written as it is would end the path.
_NAME_SAFE = URL_SAFE.replace("?", "").replace("#", "").replace("/", "")


class Entries:
    """The files and folders directly in one folder; each once.

    Links to the folder itself (those that sort it), and to the ones above it, are no entries. Others are counted in
    ``skipped``: ``outside`` are those that lead out of the folder, or deeper, or carry a query; ``undecodable`` are
    names whose bytes are not UTF-8.

    Attributes:
        files: Names, escaped as they stand in a URL.
        folders: The same, without the ``/`` at the end.
        skipped: Entries that were left out, by reason.

    Args:
        url: The folder.
    """

    def __init__(self, url: URL) -> None:
        self.files: list[str] = []
        self.folders: list[str] = []
        self.skipped: Counter[str] = Counter()
        self._origin = (url.scheme, url.raw_authority.rpartition("@")[2].lower())
        self._folder = decoded_segments(url.raw_path)
        self._seen: set[tuple[bytes, bool]] = set()

    def add_link(self, href: str) -> None:
        """Take an ``href`` as it stands in the index, once its character references were read."""
        href = href.strip(" \t\n\r\f")
        try:
            place = urlsplit(href)
        except ValueError:
            self.skipped["outside"] += 1
            return
        foreign = place.scheme or place.netloc
        if foreign and (place.scheme or self._origin[0], place.netloc.lower()) != self._origin:
            self.skipped["outside"] += 1
            return
        path = place.path or ("/" if foreign else "")
        is_folder = path.endswith("/")
        above = path.removesuffix("/").split("/")
        name = above.pop()
        if self._is_above(above, name, is_folder=is_folder):
            return
        if "?" in href or "#" in href or not self._is_here(above):
            self.skipped["outside"] += 1
            return
        self._add(name.encode("utf-8", "surrogateescape"), is_folder=is_folder)

    def add_name(self, name: str, *, is_folder: bool) -> None:
        """Take a name as it is in the file system, from an index that is not made of links."""
        self._add(quote(name.encode("utf-8", "surrogatepass"), safe="").encode(), is_folder=is_folder)

    def _is_above(self, above: list[str], name: str, *, is_folder: bool) -> bool:
        """Tell whether a path is the folder itself, or one above it."""
        if above[:1] == [""] or (not above and not name and is_folder):
            way = [unquote_to_bytes(part) for part in ([*above, name] if above else [""])]
            return way == self._folder[: len(way)] and (is_folder or way == self._folder)
        return all(part in ("", ".", "..") for part in (*above, name))

    def _is_here(self, above: list[str]) -> bool:
        if above[:1] == [""]:
            return [unquote_to_bytes(part) for part in above] == self._folder
        return all(part == "." for part in above)

    def _add(self, escaped: bytes, *, is_folder: bool) -> None:
        name = unquote_to_bytes(escaped)
        if b"/" in name or name in (b"", b".", b".."):
            self.skipped["outside"] += 1
        elif b"\0" in name or not _is_utf8(name):
            self.skipped["undecodable"] += 1
        elif (name, is_folder) not in self._seen:
            self._seen.add((name, is_folder))
            (self.folders if is_folder else self.files).append(quote(escaped, safe=_NAME_SAFE))


def decoded_segments(path: str) -> list[bytes]:
    """Return the segments of a folder's path, as bytes: ``/a%20b/`` has ``["", "a b"]``."""
    return [unquote_to_bytes(segment) for segment in path.removesuffix("/").split("/")]


def _is_utf8(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True
