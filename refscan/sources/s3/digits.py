"""Numbers read from their digits, eight at a time, for all rows at once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from refscan.sources.cut import Eights, Positions

__all__ = ["read_numbers"]

_EIGHT = 8
_MOST = 16
_ZEROS = np.uint64(0x3030303030303030)
_ABOVE_NINE = np.uint64(0x7676767676767676)
_HIGH_BITS = np.uint64(0x8080808080808080)
# Neighbours are joined three times: two digits to a number, two of these, two of those.
_STEPS = (
    (np.uint64(0xFF_FF_FF_FF_FF_FF_FF_FF), np.uint64(10 * 2**8 + 1), np.uint64(8)),
    (np.uint64(0x00_FF_00_FF_00_FF_00_FF), np.uint64(100 * 2**16 + 1), np.uint64(16)),
    (np.uint64(0x00_00_FF_FF_00_00_FF_FF), np.uint64(10_000 * 2**32 + 1), np.uint64(32)),
)


def read_numbers(body: bytes, starts: Positions, stops: Positions) -> pa.Array | None:
    """Return the numbers that stand between positions, as ``int64``; ``None``: one is no number of 1 to 16 digits.

    Args:
        body: Sixteen bytes or more of it lie before each of the ``stops``.
        starts: Where they begin.
        stops: Where they end.
    """
    widths = stops - starts
    longest = int(widths.max(initial=1))
    if longest > _MOST or int(widths.min(initial=1)) < 1:
        return None
    eights = np.ndarray((len(body) - _EIGHT + 1,), "<u8", body, strides=(1,))
    found = _read_eight(eights[stops - _EIGHT], np.minimum(widths, _EIGHT))
    if found is not None and longest > _EIGHT:
        above = _read_eight(eights[stops - _MOST], np.maximum(widths - _EIGHT, 0))
        found = None if above is None else above * np.uint64(10**_EIGHT) + found
    return None if found is None else pa.Array.from_buffers(pa.int64(), len(found), [None, pa.py_buffer(found)])


def _read_eight(texts: Eights, widths: npt.NDArray[np.int64]) -> Eights | None:
    """Read numbers of so many digits, the last ones of eight bytes each."""
    # The last byte is the highest one.
    shifts = ((_EIGHT - widths) * _EIGHT).view(np.uint64)
    digits = (texts ^ _ZEROS) >> shifts << shifts
    if bool((((digits + _ABOVE_NINE) | digits) & _HIGH_BITS).any()):
        return None
    for mask, factor, shift in _STEPS:
        digits &= mask
        digits *= factor
        digits >>= shift
    return digits
