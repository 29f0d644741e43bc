"""Listings read by a full XML parser: for pages that are unusual in any way.

Document types are refused, and with them entities and everything that could fetch something.
"""

from __future__ import annotations

from collections.abc import Mapping
from xml.parsers import expat

from refscan.sources.azure.listing import FIELDS, FOLDER_MARK, Listing, is_true, text_column, unquoted_name

__all__ = ["read_listing"]

_ROOT = "EnumerationResults"
_BLOB = (_ROOT, "Blobs", "Blob")
_PREFIX = (_ROOT, "Blobs", "BlobPrefix")
_PROPERTIES = (*_BLOB, "Properties")
_METADATA = (*_BLOB, "Metadata")


def read_listing(body: bytes) -> Listing:
    """Read the body of a listing.

    Raises:
        ValueError: It is not well-formed, has a document type, or is no listing.
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
    if not reader.is_listing:
        raise ValueError("it is no listing")
    if not all("Name" in entry for entry in reader.entries):
        raise ValueError("a blob has no name")
    return Listing(
        {
            field: text_column([entry.get(field, "") for entry in reader.entries])
            for field in FIELDS
            if field == "Name" or any(field in entry for entry in reader.entries)
        },
        reader.folders,
        reader.marker,
    )


def _refuse(*_: object) -> None:
    raise ValueError("it has a document type, which no listing has")


class _Reader:
    def __init__(self) -> None:
        self.entries: list[dict[str, str]] = []
        self.folders: list[str] = []
        self.marker = ""
        self.is_listing = False
        self._path: tuple[str, ...] = ()
        self._texts: list[str] = []
        self._entry: dict[str, str] = {}
        self._encoded = False

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        self._path = (*self._path, tag)
        self._texts.clear()
        if self._path == (_ROOT,):
            self.is_listing = True
        elif self._path in (_BLOB, _PREFIX):
            self._entry = {}
        elif tag == "Name":
            self._encoded = is_true(attributes.get("Encoded", ""))

    def text(self, data: str) -> None:
        self._texts.append(data)

    def end(self, tag: str) -> None:
        parent, text = self._path[:-1], "".join(self._texts)
        if tag == "Name" and parent in (_BLOB, _PREFIX):
            self._entry["Name"] = unquoted_name(text) if self._encoded else text
        elif parent in (_BLOB, _PROPERTIES) and tag in FIELDS:
            self._entry[tag] = text
        elif parent == _METADATA and tag.lower() == FOLDER_MARK:
            self._entry[FOLDER_MARK] = "true" if is_true(text) else ""
        elif self._path == _BLOB:
            self.entries.append(self._entry)
        elif self._path == _PREFIX:
            self.folders.append(self._entry.get("Name", ""))
        elif self._path == (_ROOT, "NextMarker"):
            self.marker = text
        self._path = parent
        self._texts.clear()
