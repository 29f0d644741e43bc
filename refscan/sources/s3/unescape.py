"""Escapes undone in whole columns: those of XML, and those of keys that a store encodes as in URLs."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from refscan.sources.cut import Bytes, Positions, as_bytes, as_eights, mask_of, word_of

__all__ = ["has_only_known_escapes", "holds", "unescape", "unquote"]

_ESCAPE = re.compile(rb"&(?:quot|amp|lt|gt|apos|(#x[0-9a-fA-F]{1,6}|#[0-9]{1,7}));")
_NUMBER = re.compile(r"&#(?:x([0-9a-fA-F]+)|([0-9]+));")
_QUOTE = b"&quot;"
_LAST = 0x10FFFF
_SURROGATES = range(0xD800, 0xE000)
# The ampersand is the last one: what it makes is no escape.
_WRITTEN = (("&quot;", '"'), ("&#34;", '"'), ("&#39;", "'"), ("&apos;", "'"), ("&lt;", "<"), ("&gt;", ">"))
_PERCENT, _PLUS, _SPACE, _AMPERSAND = b"%+ &"
_ASCII = 0x80
_HEX = np.full(256, -1, np.int16)
for _digit in b"0123456789abcdefABCDEF":
    _HEX[_digit] = int(chr(_digit), 16)


def has_only_known_escapes(body: bytes) -> bool:
    """Tell whether each ``&`` begins one of the five names of XML, or the number of a character."""
    if b"&" not in body:
        return True
    places = np.flatnonzero(as_bytes(body) == _AMPERSAND)
    strange = as_eights(body)[places] & mask_of(len(_QUOTE)) != word_of(_QUOTE)
    return not strange.any() or all(_is_known(body, place) for place in places[strange].tolist())


def _is_known(body: bytes, start: int) -> bool:
    match = _ESCAPE.match(body, start)
    if match is None or not match[1]:
        return match is not None
    number = _code(match[0].decode())
    return number <= _LAST and number not in _SURROGATES


def _code(escape: str) -> int:
    return int(escape[3:-1], 16) if escape.startswith("&#x") else int(escape[2:-1])


def unescape(column: pa.Array) -> pa.Array:
    """Return the texts with their XML escapes undone, all of which must be known ones."""
    if not holds(column, b"&"):
        return column
    found = column
    for escape, character in _WRITTEN:
        if holds(found, escape.encode()):
            found = pc.replace_substring(found, escape, character)
    if not holds(found, b"&"):
        return found
    numbered = pc.fill_null(pc.match_substring(found, "&#"), fill_value=False)
    found = pc.replace_substring(found, "&amp;", "&")
    if pc.any(numbered).as_py():
        texts = column.filter(numbered).to_pylist()
        found = pc.replace_with_mask(found, numbered, pa.array([_unescaped(text) for text in texts], pa.string()))
    return found


def _unescaped(text: str) -> str:
    for escape, character in _WRITTEN:
        text = text.replace(escape, character)
    # What stands for "&" must not begin another escape.
    return "&".join(_NUMBER.sub(lambda match: chr(_code(match[0])), part) for part in text.split("&amp;"))


def unquote(column: pa.Array) -> pa.Array:
    """Return texts, none of them null, decoded as ``urllib.parse.unquote_plus`` does: what is no escape stays.

    Raises:
        ValueError: The bytes of one are no UTF-8.
    """
    if not (holds(column, b"%") or holds(column, b"+")):
        return column
    data, offsets = _parts(column)
    if holds(column, b"+"):
        data[data == _PLUS] = _SPACE
    marks = np.flatnonzero(data == _PERCENT)
    if len(marks):
        ends = offsets[np.searchsorted(offsets, marks, "right")]
        padded = np.concatenate([data, np.zeros(2, np.uint8)])
        high, low = _HEX[padded[marks + 1]], _HEX[padded[marks + 2]]
        whole = np.flatnonzero((high >= 0) & (low >= 0) & (marks + 2 < ends))
        marks = marks[whole]
        data[marks] = high[whole] * 16 + low[whole]
        kept = np.ones(len(data), np.bool_)
        kept[marks + 1] = kept[marks + 2] = False
        offsets = offsets - 2 * np.searchsorted(marks, offsets, "left")
        data = data[kept]
    buffers = [None, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(data)]
    found = pa.Array.from_buffers(pa.string(), len(column), buffers)
    if len(data) and data.max() >= _ASCII:
        found.validate(full=True)
    return found


def _parts(column: pa.Array) -> tuple[Bytes, Positions]:
    """Return a copy of the bytes of all texts, and where each begins, and the last ends."""
    _, places, buffer = column.buffers()
    offsets = np.frombuffer(places, np.int32)[column.offset : column.offset + len(column) + 1].astype(np.int64)
    data = np.frombuffer(buffer, np.uint8)[offsets[0] : offsets[-1]].copy()
    return data, offsets - offsets[0]


def holds(column: pa.Array, part: bytes) -> bool:
    """Tell whether a part stands anywhere in a column; rarely, that it does where two texts meet."""
    buffer = column.buffers()[-1]
    return len(column) > 0 and buffer is not None and buffer.to_pybytes().find(part) >= 0
