"""Listings read by a full XML parser: for pages that are unusual in any way.

Document types are refused, and with them entities and everything that could fetch something.
"""

from __future__ import annotations

from dataclasses import dataclass
from xml.parsers import expat

__all__ = ["Listing", "read_listing"]

_ENTRIES = ("Contents", "Version")
_MARKS = ("IsTruncated", "EncodingType", "NextKeyMarker", "NextContinuationToken")
_FIELDS = ("Key", "VersionId", "IsLatest", "LastModified", "ETag", "Size", "StorageClass")
_ENTRY_DEPTH = 2
_FIELD_DEPTH = 3


@dataclass(frozen=True, slots=True)
class Listing:
    """The texts of a listing.

    Attributes:
        columns: Each field's texts, one for each entry; a missing element is empty.
        marks: The texts that stand beside the entries.
        last_key: The last key of all, those of delete markers too; ``None`` if it was not looked for.
    """

    columns: dict[str, list[str]]
    marks: dict[str, str]
    last_key: str | None = None


def read_listing(body: bytes) -> Listing:
    """Read the body of a listing.

    Raises:
        ValueError: It is not well-formed, or has a document type.
    """
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    try:
        parser.Parse(body, True)
    except expat.ExpatError as error:
        raise ValueError(f"it is not well-formed XML ({error})") from error
    present = [field for field in _FIELDS if any(field in entry for entry in reader.entries)]
    columns = {field: [entry.get(field, "") for entry in reader.entries] for field in present}
    if reader.entries and not all("Key" in entry for entry in reader.entries):
        raise ValueError("an entry has no key")
    return Listing(columns, reader.marks, reader.last_key)


def _refuse(*_: object) -> None:
    raise ValueError("it has a document type, which no listing has")


class _Reader:
    def __init__(self) -> None:
        self.entries: list[dict[str, str]] = []
        self.marks: dict[str, str] = {}
        self.last_key: str | None = None
        self._path: list[str] = []
        self._texts: list[str] = []
        self._entry: dict[str, str] = {}

    def start(self, tag: str, _: object) -> None:
        self._path.append(tag)
        self._texts.clear()
        if len(self._path) == _ENTRY_DEPTH:
            self._entry = {}

    def text(self, data: str) -> None:
        self._texts.append(data)

    def end(self, tag: str) -> None:
        depth = len(self._path)
        text = "".join(self._texts)
        if depth == _FIELD_DEPTH and tag in _FIELDS:
            self._entry[tag] = text
        elif depth == _ENTRY_DEPTH and tag in _ENTRIES:
            self.entries.append(self._entry)
        elif depth == _ENTRY_DEPTH and tag in _MARKS:
            self.marks[tag] = text
        if depth == _ENTRY_DEPTH and tag in (*_ENTRIES, "DeleteMarker"):
            self.last_key = self._entry.get("Key")
        self._path.pop()
        self._texts.clear()
