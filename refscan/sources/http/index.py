"""Directory indexes, read as web servers write them.

HTML of nginx (``autoindex``), Apache (``mod_autoindex``, all its forms), lighttpd (``mod_dirlisting``) and Python
(``http.server``): a title or heading says "Index of /…" or "Directory listing for /…", and the links stand in a list, a
table or preformatted text. JSON of nginx (``autoindex_format json``) and Caddy (``file_server browse``): an array of
objects that each have a name and a kind.
"""

from __future__ import annotations

import codecs
import json
import re
from html.parser import HTMLParser
from typing import Protocol

from refscan.sources.http.entries import Entries

__all__ = ["ACCEPT", "BrokenIndexError", "IndexReader", "NotAnIndexError", "index_reader"]

ACCEPT = "text/html, application/json;q=0.9, */*;q=0.1"
"""What an index is asked for as; Caddy sends JSON to all who take it."""

_HEADING = re.compile(r"\s*(?:Index of|Directory listing for)\s+/")
_HEADINGS = frozenset(["title", "h1", "h2"])
_LISTS = frozenset(["pre", "table", "ul"])
# A page that has not said by then that it is an index is none; the title stands near the beginning.
_LONGEST_HEAD = 1 << 16
# No tag is that long; the parser would go over it again with each piece that comes.
_LONGEST_TAG = 1 << 20


class NotAnIndexError(Exception):
    """A page is something else than a directory index."""


class BrokenIndexError(Exception):
    """A page began as a directory index and does not end as one."""


class IndexReader(Protocol):
    """Reads an index piece by piece; what it holds goes into ``Entries``."""

    def feed(self, data: bytes) -> None:
        """Take the next bytes.

        Raises:
            NotAnIndexError: They are no index's.
        """
        ...

    def finish(self) -> None:
        """Take the end.

        Raises:
            NotAnIndexError: It was no index.
            BrokenIndexError: It is not whole.
        """
        ...


def index_reader(content_type: str, entries: Entries) -> IndexReader:
    """Return the reader of a media type.

    Raises:
        NotAnIndexError: No index is of this type.
    """
    if content_type in ("text/html", "application/xhtml+xml"):
        return _HTMLIndex(entries)
    if content_type == "application/json":
        return _JSONIndex(entries)
    raise NotAnIndexError


class _HTMLIndex(HTMLParser):
    def __init__(self, entries: Entries) -> None:
        super().__init__()
        self._entries = entries
        # Whatever a page says of itself: its escapes are ASCII, and other bytes go back to what they were.
        self._decode = codecs.getincrementaldecoder("utf-8")("surrogateescape").decode
        self._heading: list[str] | None = None
        self._recognised = False
        self._depth = self._lists = self._length = 0
        self._ended = False

    def feed(self, data: bytes | str) -> None:
        super().feed(self._decode(data) if isinstance(data, bytes) else data)
        self._length += len(data)
        if not self._recognised and self._length > _LONGEST_HEAD:
            raise NotAnIndexError
        if len(self.rawdata) > _LONGEST_TAG:
            raise BrokenIndexError

    def finish(self) -> None:
        super().feed(self._decode(b"", final=True))
        self.close()
        if not self._recognised or not self._lists:
            raise NotAnIndexError
        if self._depth and not self._ended:
            raise BrokenIndexError

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            if self._depth:
                href = next((value for name, value in attrs if name == "href"), None)
                if href is not None:
                    self._entries.add_link(href)
        elif tag in _LISTS:
            if self._recognised:
                self._depth += 1
                self._lists += 1
        elif tag in _HEADINGS and not self._recognised:
            self._heading = []

    def handle_data(self, data: str) -> None:
        if self._heading is not None:
            self._heading.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag in _LISTS:
            self._depth = max(0, self._depth - 1)
        elif tag in _HEADINGS and self._heading is not None:
            self._recognised |= _HEADING.match("".join(self._heading)) is not None
            self._heading = None
        elif tag in ("body", "html"):
            self._ended = True


class _JSONIndex:
    def __init__(self, entries: Entries) -> None:
        self._entries = entries
        self._body = bytearray()
        self._looked = False

    def feed(self, data: bytes) -> None:
        self._body += data
        if not self._looked and (beginning := self._body[:_LONGEST_HEAD].lstrip()):
            self._looked = True
            if not beginning.startswith(b"["):
                raise NotAnIndexError

    def finish(self) -> None:
        try:
            text = self._body.decode("utf-8", "surrogateescape")
            found = json.loads(text, object_hook=_named)
        except (ValueError, RecursionError):
            raise NotAnIndexError from None
        if not isinstance(found, list) or not all(type(entry) is tuple for entry in found):
            raise NotAnIndexError
        for name, is_folder in found:
            self._entries.add_name(name, is_folder=is_folder)


def _named(entry: dict[str, object]) -> tuple[str, bool]:
    """Return an entry's name, and whether it is a folder.

    Source: https://nginx.org/en/docs/http/ngx_http_autoindex_module.html, and ``fileInfo`` of Caddy's
    https://pkg.go.dev/github.com/caddyserver/caddy/v2/modules/caddyhttp/fileserver.
    """
    name, kind, is_folder = entry.get("name"), entry.get("type"), entry.get("is_dir")
    if not isinstance(name, str):
        raise NotAnIndexError
    if kind in ("file", "directory", "other") and "mtime" in entry:
        return name, kind == "directory"
    if isinstance(is_folder, bool) and "mod_time" in entry:
        return (name.removesuffix("/") if is_folder else name), is_folder
    raise NotAnIndexError
