"""What one listing says, whichever format it came in, and the page that becomes of it.

https://learn.microsoft.com/rest/api/storageservices/list-blobs gives the elements and what they mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc

from refscan.sources.history import HISTORY_SCHEMA
from refscan.sources.source import PAGE_SCHEMA, page_rows

__all__ = ["FIELDS", "FOLDER_MARK", "AzurePage", "Listing", "is_true", "text_column", "to_page", "unquoted_name"]

FOLDER_MARK = "hdi_isfolder"
"""Metadata of blobs that stand for folders, in lower case."""
FIELDS = (
    "Name",
    "VersionId",
    "IsCurrentVersion",
    "Deleted",
    "Last-Modified",
    "Etag",
    "ResourceType",
    "Content-Length",
    "Content-MD5",
    "AccessTier",
    FOLDER_MARK,
)
"""The elements that are read, in the order of the documents."""

_MONTHS = pa.array(["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"])
_NUMBERS = pa.array([f"-{number:02}-" for number in range(1, 13)])
_TIME = PAGE_SCHEMA.field("last_modified").type
_DATE_LENGTH = 29


@dataclass(frozen=True, slots=True)
class Listing:
    """What a listing says.

    Attributes:
        columns: The values of each of ``FIELDS`` that occurs, one for each blob; what a blob lacks is null or empty.
        folders: The prefixes of a hierarchical listing.
        marker: Where the next page begins; empty on the last one.
    """

    columns: Mapping[str, pa.Array]
    folders: Sequence[str]
    marker: str


@dataclass(frozen=True, slots=True)
class AzurePage:
    """A listing's current blobs, and how to go on.

    Attributes:
        rows: The current blobs, as ``PAGE_SCHEMA``.
        stubs: Keys of blobs that stand for folders; they are not in ``rows``.
        folders: The prefixes of a hierarchical listing.
        first: The first key of all, old versions included.
        last: The last one.
        ascending: Its keys ascend; the versions of one stand together.
        settled: The last key whose current version cannot be on a later page; ``None``: there is none.
        marker: Continues the listing; ``None`` on the last page.
        history: All versions, as ``HISTORY_SCHEMA``.
    """

    rows: pa.RecordBatch
    stubs: pa.Array
    folders: Sequence[str]
    first: str | None
    last: str | None
    ascending: bool
    settled: str | None
    marker: str | None
    history: pa.RecordBatch | None = None


def to_page(listing: Listing) -> AzurePage:
    """Keep the current blobs, and leave out what stands for a folder.

    Raises:
        ValueError: A number or date cannot be read.
    """
    columns = listing.columns
    keys = columns["Name"]
    length = len(keys)

    def column(field: str) -> pa.Array:
        values = columns.get(field)
        return pa.nulls(length, pa.string()) if values is None else values

    version_id, md5 = _filled(column("VersionId")), _filled(column("Content-MD5"))
    rows = page_rows(
        key=keys,
        size=_filled(column("Content-Length")).cast(pa.int64()),
        e_tag=_filled(pc.utf8_trim(column("Etag"), '"')),
        version_id=version_id,
        checksum=pc.binary_join_element_wise("md5:", md5, ""),
        last_modified=_times(_filled(column("Last-Modified"))),
        storage_class=_filled(column("AccessTier")),
    )
    current = stubs = None
    if "VersionId" in columns or "Deleted" in columns:
        latest = pc.or_(_says(column("IsCurrentVersion"), "true"), version_id.is_null())
        current = pc.and_not(latest, _says(column("Deleted"), "true"))
    history = _history(rows, current, _says(column("Deleted"), "true"))
    if FOLDER_MARK in columns or "ResourceType" in columns:
        stubs = pc.or_(_says(column(FOLDER_MARK), "true"), _says(column("ResourceType"), "directory"))
    settled = _settled(keys, current)
    if stubs is not None:
        marks = keys.filter(stubs if current is None else pc.and_(stubs, current))
        current = pc.invert(stubs) if current is None else pc.and_not(current, stubs)
    else:
        marks = pa.array([], pa.string())
    if current is not None and not pc.all(current, min_count=0).as_py():
        rows = rows.filter(current)
    first, last = (keys[0].as_py(), keys[-1].as_py()) if length else (None, None)
    ascending: bool = pc.all(pc.less_equal(keys[:-1], keys[1:]), min_count=0).as_py()
    return AzurePage(rows, marks, listing.folders, first, last, ascending, settled, listing.marker or None, history)


def _history(rows: pa.RecordBatch, current: pa.Array | None, deleted: pa.Array) -> pa.RecordBatch:
    columns = {name: rows.column(name) for name in HISTORY_SCHEMA.names if name in rows.schema.names}
    columns["is_latest"] = pa.repeat(pa.scalar(True), rows.num_rows) if current is None else current
    columns["is_deleted"] = deleted
    return pa.record_batch([columns[field.name] for field in HISTORY_SCHEMA], schema=HISTORY_SCHEMA)


def _settled(keys: pa.Array, current: pa.Array | None) -> str | None:
    """Return the last key whose current version was seen, or can be nowhere but on this page.

    All versions of a blob stand together, so only those of the last one may go on behind the page.
    """
    end = len(keys)
    if end == 0:
        return None
    last: str = keys[-1].as_py()
    if current is None:
        return last
    start = end - 1
    while start > 0 and keys[start - 1].as_py() == last:
        start -= 1
    if pc.any(current.slice(start), min_count=0).as_py():
        return last
    before: str | None = keys[start - 1].as_py() if start else None
    return before


def text_column(texts: Sequence[str] | Sequence[bytes]) -> pa.Array:
    """Return a column of texts; bytes must be UTF-8."""
    if texts and isinstance(texts[0], bytes):
        return pa.array(texts, pa.binary()).cast(pa.string())
    return pa.array(texts, pa.string())


def is_true(text: str) -> bool:
    """Read a boolean of XML or of metadata."""
    return text.strip().lower() == "true"


def unquoted_name(name: str) -> str:
    """Return a name that came percent-encoded, for XML cannot hold all of its characters.

    Raises:
        ValueError: It is not UTF-8.
    """
    return unquote(name, errors="strict")


def _says(column: pa.Array, word: str) -> pa.Array:
    return pc.fill_null(pc.equal(pc.ascii_lower(column), word), False)


def _filled(column: pa.Array) -> pa.Array:
    """Make empty texts null."""
    if not pa.types.is_string(column.type):
        return column
    empty = pc.equal(column, "")
    return pc.if_else(empty, pa.scalar(None, pa.string()), column) if pc.any(empty).as_py() else column


def _times(column: pa.Array) -> pa.Array:
    """Read dates as HTTP has them (RFC 9110, section 5.6.7), in whatever language this process speaks."""
    if pa.types.is_timestamp(column.type):
        exact = column.cast(pa.timestamp("us", column.type.tz))
        return exact.cast(_TIME) if column.type.tz else pc.assume_timezone(exact, "UTC")
    months = pc.index_in(pc.utf8_slice_codeunits(column, 8, 11), _MONTHS)
    usual = pc.and_(pc.equal(pc.utf8_length(column), _DATE_LENGTH), pc.ends_with(column, " GMT"))
    if pc.all(usual).as_py() and months.null_count == column.null_count:
        day, year = pc.utf8_slice_codeunits(column, 5, 7), pc.utf8_slice_codeunits(column, 12, 16)
        date = pc.binary_join_element_wise(year, _NUMBERS.take(months), day, "")
        clock = pc.utf8_slice_codeunits(column, 17, 25)
        return pc.binary_join_element_wise(pc.binary_join_element_wise(date, clock, "T"), "Z", "").cast(_TIME)
    return pa.array([text and parsedate_to_datetime(text) for text in column.to_pylist()], _TIME)
