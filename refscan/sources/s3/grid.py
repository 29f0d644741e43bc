"""Entries of a listing that are all written alike: their tags are a grid, of which one row says it all."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa

from refscan.sources.cut import Positions, as_bytes, cut, pieces
from refscan.sources.s3.digits import read_numbers
from refscan.sources.s3.listing import FIELDS, MARKS, QUOTE, Frame, Listing, column_of
from refscan.sources.s3.unescape import has_only_known_escapes, unescape

__all__ = ["read_grid"]

_LESS, _AMPERSAND = b"<&"
_LONGEST_ENTRY = 1 << 14
_LONGEST_MARKS = 1 << 13
_TAG = re.compile(rb"<(/?)([A-Za-z_][A-Za-z0-9_.-]*)( ?/)?>")
_TEXT = re.compile(rb">[^<]+")
_QUOTED = re.compile(rb"<ETag>%b[^<]*%b</ETag>" % (QUOTE, QUOTE))
_MARK = re.compile(rb"\s*<([A-Za-z_][A-Za-z0-9_.-]*)(?:>([^<]*)</\1>| ?/>)")


@dataclass(frozen=True, slots=True)
class _Row:
    """How each entry is written.

    Attributes:
        tags: The number of its tags.
        fields: Between which bytes the texts of fields stand: the number of the tag that opens one, the bytes from
            that tag's begin to the text's, and those from the text's end to the next tag.
        runs: What stands between texts, tags that follow each other: the number of the first, how far before or behind
            its begin this begins, and what it is. Each tag is in one of them.
    """

    tags: int
    fields: tuple[tuple[str, int, int, int], ...]
    runs: tuple[tuple[int, int, bytes], ...]


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
    entry = body[first:end]
    row = _read_row(_TEXT.sub(b">\0", entry), frame.entry, quoted=_QUOTED.search(entry) is not None)
    if marks is None or row is None:
        return None
    every = as_bytes(body)
    places = np.flatnonzero(every[first:last] == _LESS) + first
    if len(places) % row.tags:
        return None
    grid = places.reshape(-1, row.tags)
    if not _is_written_so(body, grid, row):
        return None
    texts = {
        field: (grid[:, number] + behind, grid[:, number + 1] - before) for field, number, behind, before in row.fields
    }
    if "ETag" in texts and bool((texts["ETag"][0] > texts["ETag"][1]).any()):
        return None
    numbers = read_numbers(body, *texts["Size"]) if "Size" in texts else None
    columns = {} if numbers is None else {"Size": numbers}
    texts = {field: places for field, places in texts.items() if field not in columns}
    # Mostly there are no escapes but quotes.
    quotes = sum(text.count(QUOTE) for _, _, text in row.runs) * len(grid)
    if np.count_nonzero(every == _AMPERSAND) == quotes:
        columns |= {field: _cut_plain(body, *places) for field, places in texts.items()}
    elif has_only_known_escapes(body):
        columns |= {field: column_of(body, *places) for field, places in texts.items()}
    else:
        return None
    if columns["Key"].null_count:
        return None
    return Listing(columns, marks, columns["Key"][-1].as_py())


def _cut_plain(body: bytes, starts: Positions, stops: Positions) -> pa.Array:
    """Return texts that have no escapes; empty ones are null."""
    return cut(body, starts, stops, None if bool((filled := starts < stops).all()) else filled)


def _is_written_so(body: bytes, grid: Positions, row: _Row) -> bool:
    """Tell whether each row has these tags."""
    for number, offset, text in row.runs:
        places = grid[:, number] + offset if offset else grid[:, number]
        if places[-1] + len(text) > len(body) or pieces(body, places, len(text)).tobytes() != text * len(grid):
            return False
    return True


@lru_cache(maxsize=64)
def _read_row(skeleton: bytes, entry: bytes, *, quoted: bool) -> _Row | None:
    """Check that these are the tags of one entry with a key, and find its fields.

    Args:
        skeleton: Its tags; a zero byte stands for each text between them.
        entry: Its name.
        quoted: What its ETag's text begins and ends with is a quote as AWS writes it.
    """
    tags = tuple(match[0] for match in _TAG.finditer(skeleton))
    if b"".join(tags) != skeleton.replace(b"\0", b""):
        return None
    fields = _read_fields(tags, entry)
    if fields is None:
        return None
    runs: list[tuple[int, int, bytes]] = []
    position = 0
    for number, tag in enumerate(tags):
        is_text = skeleton.startswith(b"\0", position)
        position += is_text + len(tag)
        # An empty text in the first entry is none in others.
        if is_text or number == 0 or tags[number - 1].replace(b"<", b"</") == tag:
            runs.append((number, 0, tag))
        else:
            begin, offset, before = runs[-1]
            runs[-1] = begin, offset, before + tag
    inset = len(QUOTE) if quoted and "ETag" in fields else 0
    if inset:
        opens = fields["ETag"]
        runs = [
            (
                number,
                -inset if number == opens + 1 else 0,
                (QUOTE if number == opens + 1 else b"") + text + (QUOTE if text.endswith(tags[opens]) else b""),
            )
            for number, _, text in runs
        ]
    found = tuple(
        (field, number, len(tags[number]) + (inset if field == "ETag" else 0), inset if field == "ETag" else 0)
        for field, number in fields.items()
    )
    return _Row(len(tags), found, tuple(runs))


def _read_fields(tags: tuple[bytes, ...], entry: bytes) -> dict[str, int] | None:
    """Return the number of the tag that opens each field; ``None``: these are not the tags of one entry with a key."""
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
    return fields


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
