"""Texts cut out of a body by their positions, as Arrow columns, without a Python object for each."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

__all__ = [
    "Bytes",
    "Eights",
    "Flags",
    "Positions",
    "as_bytes",
    "as_eights",
    "cut",
    "mask_of",
    "pieces",
    "scatter",
    "word_of",
]

Bytes = npt.NDArray[np.uint8]
Eights = npt.NDArray[np.uint64]
Flags = npt.NDArray[np.bool_]
Positions = npt.NDArray[np.int64]

_WORD = 8
_SHORT = 16


def as_bytes(body: bytes) -> Bytes:
    """Return the body as an array of its bytes; nothing is copied."""
    return np.frombuffer(body, np.uint8)


def as_eights(body: bytes) -> Eights:
    """Return, for each position of a body and the one behind it, the eight bytes from there on as a number.

    The first byte is the lowest; zeros follow the body. Indexing copies what is looked at, and nothing else.
    """
    return np.ndarray((len(body) + 1,), "<u8", body + bytes(_WORD), strides=(1,))


def word_of(part: bytes) -> np.uint64:
    """Return at most eight bytes as such a number."""
    return np.uint64(int.from_bytes(part, "little"))


def mask_of(length: int) -> np.uint64:
    """Return what keeps that many of eight bytes, the first ones."""
    return np.uint64((1 << (8 * length)) - 1)


def pieces(body: bytes, starts: Positions, width: int) -> npt.NDArray[np.void]:
    """Return that many bytes of a body from each position on, as items of one array.

    All must lie inside the body, which is not checked for negative positions.

    Raises:
        IndexError: One does not.
    """
    return np.ndarray((len(body) - width + 1,), f"V{width}", body, strides=(1,))[starts]


def cut(body: bytes, starts: Positions, stops: Positions, valid: Flags | None = None) -> pa.Array:
    """Return ``body[start:stop]`` for each pair of ascending positions as strings; null where it is not ``valid``.

    The body must be UTF-8 and below 2 GiB, and the positions must not divide a character.
    """
    count = len(starts)
    if count and valid is None:
        width = int(stops[0] - starts[0])
        if width > 0 and bool((stops - starts == width).all()):
            return _cut_alike(body, starts, width)
    offsets = np.empty(2 * count, np.int32)
    offsets[0::2], offsets[1::2] = starts, stops
    # Every other one of the strings that the positions divide the body into is wanted.
    parts = pa.Array.from_buffers(pa.string(), max(2 * count - 1, 0), [None, pa.py_buffer(offsets), pa.py_buffer(body)])
    wanted = np.arange(0, 2 * count, 2)
    return parts.take(pa.array(wanted, mask=None if valid is None or bool(valid.all()) else ~valid))


def _cut_alike(body: bytes, starts: Positions, width: int) -> pa.Array:
    """Return texts of one width; where all are the same, as with storage classes, the array is one made before."""
    count = len(starts)
    data = pieces(body, starts, width).tobytes()
    if width <= _SHORT and data == data[:width] * count:
        return _repeated(data[:width], count)
    return pa.Array.from_buffers(pa.string(), count, [None, _offsets(width, count), pa.py_buffer(data)])


@lru_cache(maxsize=64)
def _repeated(text: bytes, count: int) -> pa.Array:
    return pa.Array.from_buffers(pa.string(), count, [None, _offsets(len(text), count), pa.py_buffer(text * count)])


@lru_cache(maxsize=64)
def _offsets(width: int, count: int) -> pa.Buffer:
    return pa.py_buffer(np.arange(0, (count + 1) * width, width, dtype=np.int32))


def scatter(
    count: int, rows: npt.NDArray[np.signedinteger[Any]], starts: Positions, stops: Positions
) -> tuple[Positions, Positions, Flags | None]:
    """Return starts, stops and validity (``None``: all) for ``count`` rows, of which only ``rows`` have a text.

    Rows and positions must ascend.
    """
    if len(rows) == count:
        return starts, stops, None
    valid = np.zeros(count, np.bool_)
    valid[rows] = True
    # A missing text is an empty one where the text before it ends, so that positions ascend.
    ends = np.concatenate([np.zeros(1, np.int64), stops])[np.cumsum(valid)]
    all_starts, all_stops = ends, ends.copy()
    all_starts[rows] = starts
    return all_starts, all_stops, valid
