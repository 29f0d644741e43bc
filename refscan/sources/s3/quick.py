"""Listings read for all entries at once, without an XML parser and without a Python object for each."""

from __future__ import annotations

from refscan.sources.s3.grid import read_grid
from refscan.sources.s3.listing import Listing, frame_of
from refscan.sources.s3.scattered import read_scattered

__all__ = ["read_at_once"]

_MOST_BYTES = 1 << 31


def read_at_once(body: bytes) -> Listing | None:
    """Read the body of a listing; ``None``: it is unusual, or wrong, which ``xml.py`` finds out."""
    frame = frame_of(body)
    if frame is None or len(body) >= _MOST_BYTES or (b"]" in body and b"]]>" in body) or not _is_text(body):
        return None
    return read_grid(body, frame) or read_scattered(body, frame)


def _is_text(body: bytes) -> bool:
    if body.isascii():
        return True
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True
