"""JSON strings of a whole column at once."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["json_text"]

# Most texts need no escape at all, and hardly any needs one besides the quote and the backslash.
_TO_ESCAPE = [chr(code) for code in range(0x20)] + ["\x7f"]


def json_text(column: pa.Array) -> pa.Array:
    """Return each text as a JSON string with its quotes; null stays null (RFC 8259, section 7)."""
    escaped = column
    for character in ("\\", '"'):
        if _any_with(escaped, character):
            escaped = pc.replace_substring(escaped, character, "\\" + character)
    if pc.any(pc.match_substring_regex(escaped, "[\x01-\x1f\x7f]")).as_py() or _any_with(escaped, "\0"):
        for character in _TO_ESCAPE:
            if _any_with(escaped, character):
                escaped = pc.replace_substring(escaped, character, json.dumps(character)[1:-1])
    return pc.binary_join_element_wise('"', escaped, '"', "")


def _any_with(column: pa.Array, character: str) -> bool:
    return bool(pc.any(pc.match_substring(column, character)).as_py())
