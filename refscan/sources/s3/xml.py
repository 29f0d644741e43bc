"""Listings read by a full XML parser: for pages that are unusual in any way.

Document types are refused, and with them entities and everything that could fetch something. Names may have a
namespace prefix. Control characters, which XML 1.0 has no place for, are let through in any form: a store that does
not encode its keys sends them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from xml.parsers import expat

import pyarrow as pa

from refscan.sources.s3.listing import ENTRIES, FIELDS, MARKS, Listing

__all__ = ["is_in_other_encoding", "read_listing"]

_KEPT = ENTRIES[:2]
_ENTRY_DEPTH = 2
_FIELD_DEPTH = 3
# What the parser refuses (U+FFFE and U+FFFF too), plainly or as a reference, and what it would change in a key: it
# makes line feeds of carriage returns.
_FORBIDDEN = re.compile(
    rb"[\x00-\x08\x0b\x0c\x0e-\x1f]|\xef\xbf[\xbe\xbf]|&#(?:0*(?:[0-8]|1[124-9]|2[0-9]|3[01]|6553[45])"
    rb"|x0*(?:[0-8bBcCeEfF]|1[0-9a-fA-F]|[fF]{3}[eEfF]));|\r(?=[^<]*</(?:[\w.-]+:)?(?:Next)?Key)"
)
_OTHER_ENCODING = re.compile(rb"\s*<\?xml[^>]*\sencoding\s*=\s*[\"'](?!utf-8[\"'])", re.IGNORECASE)
# Private characters, which keys hardly ever have: the first that a page does not hold marks what was replaced.
_MARKS_OF_REPLACED = "\ue000\ue001\uf8fe\uf8ff\ue7c3\uf0e1"


def read_listing(body: bytes) -> Listing:
    """Read the body of a listing.

    Raises:
        ValueError: It is not well-formed, or has a document type.
    """
    body, mark = _without_forbidden(body)
    reader = _Reader(mark)
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    try:
        parser.Parse(body, True)
    except (expat.ExpatError, LookupError) as error:
        raise ValueError(f"it is not well-formed XML ({error})") from error
    present = [field for field in FIELDS if any(field in entry for entry in reader.entries)]
    columns = {field: _texts(field, reader.entries) for field in present}
    if reader.entries and not all("Key" in entry for entry in reader.entries):
        raise ValueError("an entry has no key")
    return Listing(columns, reader.marks, reader.last_key)


def _texts(field: str, entries: Sequence[Mapping[str, str]]) -> pa.Array:
    found = [entry.get(field, "") for entry in entries]
    return pa.array(found if field == "Key" else [text or None for text in found], pa.string())


def is_in_other_encoding(body: bytes) -> bool:
    """Tell whether a body is not in UTF-8, by its byte order mark or its own words."""
    return body.startswith((b"\xff\xfe", b"\xfe\xff")) or _OTHER_ENCODING.match(body) is not None


def _refuse(*_: object) -> None:
    raise ValueError("it has a document type, which no listing has")


def _without_forbidden(body: bytes) -> tuple[bytes, str]:
    """Return a body that the parser takes, and the character that stands around the code of each one replaced."""
    if is_in_other_encoding(body) or _FORBIDDEN.search(body) is None:
        return body, ""
    mark = next((mark for mark in _MARKS_OF_REPLACED if mark.encode() not in body), None)
    if mark is None:
        return body, ""

    def replaced(match: re.Match[bytes]) -> bytes:
        text = match[0]
        if text.startswith(b"&#x"):
            code = int(text[3:-1], 16)
        elif text.startswith(b"&#"):
            code = int(text[2:-1])
        else:
            code = ord(text.decode())
        return f"{mark}{code}{mark}".encode()

    return _FORBIDDEN.sub(replaced, body), mark


class _Reader:
    def __init__(self, mark: str) -> None:
        self._replaced = re.compile(f"{mark}([0-9]+){mark}") if mark else None
        self.entries: list[dict[str, str]] = []
        self.marks: dict[str, str] = {}
        self.last_key: str | None = None
        self._path: list[str] = []
        self._texts: list[str] = []
        self._entry: dict[str, str] = {}

    def start(self, tag: str, _: object) -> None:
        tag = tag.rpartition(":")[2]
        depth = len(self._path)
        if (depth == _FIELD_DEPTH and self._path[-1] in FIELDS) or (depth == _ENTRY_DEPTH and self._path[-1] in MARKS):
            raise ValueError(f"{self._path[-1]} has elements in it")
        self._path.append(tag)
        self._texts.clear()
        if len(self._path) == _ENTRY_DEPTH:
            self._entry = {}

    def text(self, data: str) -> None:
        self._texts.append(data)

    def end(self, tag: str) -> None:
        tag = tag.rpartition(":")[2]
        depth = len(self._path)
        text = "".join(self._texts)
        if self._replaced is not None:
            text = self._replaced.sub(lambda match: chr(int(match[1])), text)
        if (depth == _FIELD_DEPTH and tag in self._entry) or (depth == _ENTRY_DEPTH and tag in self.marks):
            raise ValueError(f"it has {tag} twice where it belongs once")
        if depth == _FIELD_DEPTH and tag in FIELDS:
            self._entry[tag] = text
        elif depth == _ENTRY_DEPTH and tag in _KEPT:
            self.entries.append(self._entry)
        elif depth == _ENTRY_DEPTH and tag in MARKS:
            self.marks[tag] = text
        if depth == _ENTRY_DEPTH and tag in ENTRIES:
            self.last_key = self._entry.get("Key")
        self._path.pop()
        self._texts.clear()
