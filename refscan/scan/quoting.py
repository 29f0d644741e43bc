"""From the escaped keys in references to the names they have in an artifact."""

from __future__ import annotations

from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc

from refscan.uri import StoreName

__all__ = ["unquote_keys"]

# What ``refscan.uri.quote_key`` escapes; the escape character itself comes last.
_ESCAPES = {"file": (("%25", "%"),), "azure": (("%3F", "?"), ("%23", "#"), ("%25", "%"))}


def unquote_keys(keys: pa.Array, store: StoreName) -> pa.Array:
    """Undo the escapes of keys in the references of one kind of store."""
    if store == "http":
        return pa.array([None if key is None else _unquote(key) for key in keys.to_pylist()], pa.string())
    for escape, character in _ESCAPES.get(store, ()):
        keys = pc.replace_substring(keys, escape, character)
    return keys


def _unquote(key: str) -> str:
    try:
        return unquote(key, errors="strict")
    except UnicodeDecodeError:
        return key
