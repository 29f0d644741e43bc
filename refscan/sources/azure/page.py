"""From the body of a listing to columns.

All blobs of a page mostly have the same elements in the same order, some of them left out here and there. One regular
expression is made for that order, and it must match every blob; a page that is not so regular goes to the XML parser.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence

import pyarrow as pa

from refscan.errors import StoreError
from refscan.sources.azure.arrow import ARROW, read_arrow
from refscan.sources.azure.listing import FIELDS, FOLDER_MARK, AzurePage, Listing, text_column, to_page, unquoted_name
from refscan.sources.azure.xml import read_listing

__all__ = ["parse_page"]

_BEFORE = ("VersionId", "IsCurrentVersion", "Deleted")
_PROPERTIES = tuple(field for field in FIELDS if field not in ("Name", FOLDER_MARK, *_BEFORE))
_START = re.compile(
    rb"(?:\xef\xbb\xbf)?<\?xml [^>]*encoding=[\"']utf-8[\"'][^>]*>\s*<EnumerationResults", re.IGNORECASE
)
_END = b"</EnumerationResults>"
_LEAF = re.compile(rb"<([A-Za-z0-9-]+)(?:( ?/>)|[^<>]*>[^<]*</\1>)")
_NAME = rb"<Name((?: Encoded=\"true\")?)>([^<]*+)</Name>\s*+"
_FOLDER = re.compile(rb"<BlobPrefix>\s*+" + _NAME)
_MARKER = re.compile(rb"</Blobs>\s*<NextMarker>([^<]*)</NextMarker>\s*</Enum")
_LAST_MARKER = re.compile(rb"</Blobs>\s*<NextMarker\s*/>\s*</Enum")
_IS_FOLDER = re.compile(rb"<hdi_isfolder>\s*true\s*</hdi_isfolder>", re.IGNORECASE)
_ESCAPE = re.compile(rb"&([^;&]*);?")
_Gaps = tuple[tuple[str, bytes], ...]
_NO_GAPS: _Gaps = ()
_ENTITIES = {b"amp": b"&", b"lt": b"<", b"gt": b">", b"quot": b'"', b"apos": b"'"}


def parse_page(body: bytes, content_type: str) -> AzurePage:
    """Read the body of a ``List Blobs`` answer, be it XML or Arrow.

    Raises:
        StoreError: It is not well-formed, holds a document type, or lacks what every listing has.
    """
    try:
        if ARROW in content_type:
            return to_page(read_arrow(body))
        return to_page(_read_regular(body) or read_listing(body))
    except (ValueError, OSError, pa.ArrowException) as error:
        reason = str(error).partition("\n")[0]
        raise StoreError(f"the store sent a listing that cannot be read: {reason}") from error


def _read_regular(body: bytes) -> Listing | None:
    """Return the listing if all its entries look alike, else ``None``."""
    if not _START.match(body) or not body[-64:].rstrip().endswith(_END):
        return None
    first, end = body.find(b"<Blob>"), body.rfind(b"</Blobs>")
    # What hides text from an expression: comments, sections, document types, instructions; and a parser would
    # make other characters of a line's end.
    if _has(body, b"!", b"<!", end) or _has(body, b"?", b"<?", end) or b"\r" in body:
        return None
    order, gaps = _learn(body[first : body.find(b"</Blob>", first)]) if first >= 0 else (_PROPERTIES, _NO_GAPS)
    found = _expression(order, gaps).findall(body, max(first, 0))
    has_folders = b"</BlobPrefix>" in body
    prefixes = _FOLDER.findall(body) if has_folders else []
    if len(found) != body.count(b"</Blob>") or (has_folders and len(prefixes) != body.count(b"</BlobPrefix>")):
        return None
    marker = _MARKER.search(body, max(end, 0))
    if marker is None and not _LAST_MARKER.search(body, max(end, 0)):
        return None
    unescaped = _texts if b"&" in body else _unchanged
    encoded, names, *values, tails = zip(*found, strict=True) if found else ((),) * (len(order) + len(_BEFORE) + 3)
    columns: dict[str, pa.Array] = {"Name": text_column(_names(encoded, unescaped(names)))}
    for field, texts in zip((*_BEFORE, *order), values, strict=True):
        if any(texts):
            columns[field] = text_column(unescaped(texts))
    if any(b"hdi_isfolder" in tail.lower() for tail in set(tails)):
        columns[FOLDER_MARK] = text_column(["true" if _IS_FOLDER.search(tail) else "" for tail in tails])
    flags, names = zip(*prefixes, strict=True) if prefixes else ((), ())
    folders = _names(flags, unescaped(names))
    return Listing(
        columns,
        [folder.decode() if isinstance(folder, bytes) else folder for folder in folders],
        _texts([marker[1]])[0].decode() if marker else "",
    )


def _learn(entry: bytes) -> tuple[tuple[str, ...], _Gaps]:
    """Return the order of the first entry's properties, and what stands between them.

    Those that it lacks are put where the documents have them.
    """
    head, _, properties = entry.partition(b"<Properties>")
    gaps = {}
    for position, text in (("Name", head), ("Properties", properties.partition(b"</Properties>")[0])):
        last = position
        for tag, closed in _LEAF.findall(text):
            if (field := tag.decode()) in FIELDS:
                last = field
                gaps[last] = b""
            else:
                gaps[last] = gaps.get(last, b"") + (rb"<%b ?/>" % tag if closed else rb"<%b>[^<]*+</%b>" % (tag, tag))
    order = [field for field in gaps if field in _PROPERTIES]
    for index, field in enumerate(_PROPERTIES):
        if field not in order:
            before = [order.index(other) for other in _PROPERTIES[:index]]
            order.insert(max(before, default=-1) + 1, field)
    return tuple(order), tuple(gaps.items())


@functools.lru_cache(maxsize=64)
def _expression(order: tuple[str, ...], gaps: _Gaps) -> re.Pattern[bytes]:
    """Return an expression for one blob: its name, what is before its properties, those in ``order``, and the rest."""
    between = dict(gaps)
    return re.compile(
        rb"<Blob>\s*+"
        + _NAME
        + _fields(_BEFORE, "Name", between)
        + rb"<Properties>\s*+"
        + _fields(order, "Properties", between)
        + rb"</Properties>\s*+((?>(?:[^<]++|<(?!/Blob>))*))</Blob>"
    )


def _fields(fields: Sequence[str], begin: str, between: Mapping[str, bytes]) -> bytes:
    """Return an expression for elements in this order behind ``begin``, any of them left out.

    Around them may stand others that hold text: those of the first entry are looked for literally, for speed.
    """
    known = b"|".join(field.encode() for field in (*fields, "Properties"))
    others = rb"(?>(?:<(?!/|(?:" + known + rb")[ />])[^<>]*+(?:(?<=/)>|>[^<]*+</[^<>]*+>)\s*+)*)"

    def behind(field: str) -> bytes:
        gap = between.get(field, b"")
        return (rb"(?>(?:%b)?)" % gap if gap else b"") + others

    # Three cases that exclude each other. Groups are atomic, (?>…), and not possessive, (…)*+: with those, early
    # releases of Python 3.11 do not go back to where a repetition began that failed.
    one = rb"(?:<%b>([^<]*+)</%b>\s*+|<%b ?/>\s*+|(?!<%b[ />]))"
    wanted = [one % ((field.encode(),) * 4) + behind(field) for field in fields]
    return behind(begin) + b"".join(wanted)


def _has(body: bytes, rare: bytes, text: bytes, end: int) -> bool:
    """Tell whether ``text`` is there before ``end``; to look for one rare character is much quicker."""
    return body.find(rare, 10, end) >= 0 and body.find(text, 10, end) >= 0


def _names(encoded: Sequence[bytes], names: Sequence[bytes]) -> Sequence[bytes] | Sequence[str]:
    if not any(encoded):
        return names
    return [unquoted_name(text.decode()) if flag else text.decode() for flag, text in zip(encoded, names, strict=True)]


def _texts(values: Sequence[bytes]) -> Sequence[bytes]:
    """Return the values with their XML escapes undone."""
    return [_ESCAPE.sub(_unescaped, value) if b"&" in value else value for value in values]


def _unchanged(values: Sequence[bytes]) -> Sequence[bytes]:
    return values


def _unescaped(match: re.Match[bytes]) -> bytes:
    name = match[1]
    if name in _ENTITIES and match[0].endswith(b";"):
        return _ENTITIES[name]
    number = re.fullmatch(rb"#(?:x([0-9A-Fa-f]+)|([0-9]+))", name)
    if number is None or not match[0].endswith(b";"):
        raise ValueError(f"it has the unknown escape {match[0]!r}")
    return chr(int(number[1], 16) if number[1] else int(number[2])).encode()
