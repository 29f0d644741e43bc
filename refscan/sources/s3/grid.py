"""Entries of a listing that are all written alike: their tags are a grid, of which one row says it all."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa

from refscan.sources.cut import Eights, Positions, as_bytes, as_eights, mask_of, word_of
from refscan.sources.s3.listing import FIELDS, MARKS, QUOTE, Frame, Listing, are_quoted, column_of
from refscan.sources.s3.unescape import has_only_known_escapes, unescape

__all__ = ["read_grid"]

_LESS, _AMPERSAND = b"<&"
_WORD = 8
_LONGEST_ENTRY = 1 << 14
_LONGEST_MARKS = 1 << 13
_TAG = re.compile(rb"<(/?)([A-Za-z_][A-Za-z0-9_.-]*)( ?/)?>")
_TEXT = rb"[^<]*"
_MARK = re.compile(rb"\s*<([A-Za-z_][A-Za-z0-9_.-]*)(?:>([^<]*)</\1>| ?/>)")


@dataclass(frozen=True, slots=True)
class _Row:
    """How each entry is written.

    Attributes:
        tags: Its tags.
        fields: Which of these opens which field.
        words: What the tags are compared with, eight bytes at a time: at an offset, these tags of a row (``None``:
            all), what is kept of them, and what that must be.
    """

    tags: tuple[bytes, ...]
    fields: tuple[tuple[int, str], ...]
    words: tuple[tuple[int, list[int] | None, Eights, Eights], ...]


def read_grid(body: bytes, frame: Frame) -> Listing | None:
    """Read what stands in a frame; ``None``: its entries are not all alike, or it is unusual, or wrong.

    Args:
        body: UTF-8.
        frame: The listing in it.
    """
    opening, closing = b"<%b>" % frame.entry, b"</%b>" % frame.entry
    first, last = body.find(opening, frame.begin), body.rfind(closing, frame.begin, frame.end) + len(closing)
    end = body.find(closing, first, first + _LONGEST_ENTRY) + len(closing)
    if first < 0 or end < first or last < end:
        return None
    marks = _read_marks(body[frame.begin : first], body[last : frame.end])
    row = _read_row(tuple(match[0] for match in _TAG.finditer(body, first, end)), frame.entry)
    if marks is None or row is None:
        return None
    places = np.flatnonzero(as_bytes(body)[first:last] == _LESS) + first
    if len(places) % len(row.tags):
        return None
    grid = places.reshape(-1, len(row.tags))
    eights = as_eights(body)
    if not _is_written_so(eights, grid, row):
        return None
    texts = {field: (grid[:, number] + len(row.tags[number]), grid[:, number + 1]) for number, field in row.fields}
    quotes = 0
    if "ETag" in texts and are_quoted(eights, *texts["ETag"]):
        starts, stops = texts["ETag"]
        texts["ETag"] = starts + len(QUOTE), stops - len(QUOTE)
        quotes = 2 * len(grid)
    # Mostly there are no other escapes.
    if np.count_nonzero(as_bytes(body) == _AMPERSAND) != quotes and not has_only_known_escapes(body):
        return None
    columns = {field: column_of(body, *places) for field, places in texts.items()}
    if columns["Key"].null_count:
        return None
    return Listing(columns, marks, columns["Key"][-1].as_py())


def _is_written_so(eights: Eights, grid: Positions, row: _Row) -> bool:
    """Tell whether each row has these tags."""
    for offset, chosen, masks, wanted in row.words:
        words = eights[grid if chosen is None else grid[:, chosen] + offset]
        words &= masks
        if not np.array_equal(words, np.broadcast_to(wanted, words.shape)):
            return False
    return True


def _words_of(tags: tuple[bytes, ...]) -> Iterator[tuple[int, list[int] | None, Eights, Eights]]:
    for offset in range(0, max(map(len, tags)), _WORD):
        chosen = [number for number, tag in enumerate(tags) if len(tag) > offset]
        parts = [tags[number][offset : offset + _WORD] for number in chosen]
        masks = np.array([mask_of(len(part)) for part in parts])
        yield offset, chosen if offset else None, masks, np.array([word_of(part) for part in parts])


@lru_cache(maxsize=64)
def _read_row(tags: tuple[bytes, ...], entry: bytes) -> _Row | None:
    """Check that these are the tags of one entry with a key, and find its fields."""
    path: list[bytes] = []
    fields: dict[str, int] = {}
    for number, tag in enumerate(tags):
        match = _TAG.fullmatch(tag)
        if match is None or (number and not path):
            return None
        closes, name, alone = match.groups()
        field = name.decode()
        is_field = len(path) == 1 and field in FIELDS
        if closes and (alone or not path or path.pop() != name):
            return None
        if closes or alone:
            if alone and is_field and field == "Key":
                return None
            continue
        if is_field:
            # Once in an entry, and nothing but text.
            if field in fields or tags[number + 1 : number + 2] != (b"</%b>" % name,):
                return None
            fields[field] = number
        path.append(name)
    if path or len(tags) < 2 or tags[0] != b"<%b>" % entry or "Key" not in fields:  # noqa: PLR2004  it opens and closes
        return None
    return _Row(tags, tuple((number, field) for field, number in fields.items()), tuple(_words_of(tags)))


def _read_marks(*parts: bytes) -> dict[str, str] | None:
    """Return the texts beside the entries; ``None`` where one stands there twice, or in another way."""
    found: dict[str, str] = {}
    for part in parts:
        position = 0
        while match := _MARK.match(part, position):
            position = match.end()
            name, text = match[1].decode(), (match[2] or b"").decode()
            if name in found:
                return None
            found[name] = unescape(pa.array([text]))[0].as_py() if "&" in text else text
        if len(part) > _LONGEST_MARKS or part[position:].strip(b" \t\r\n"):
            return None
    # Where nothing is said of whether there is more, the parser sees what else is there.
    return {name: text for name, text in found.items() if name in MARKS} if "IsTruncated" in found else None
