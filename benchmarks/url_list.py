"""The URLs of the work ``urls``, made from the server's address and their number."""

from __future__ import annotations

from urllib.parse import urldefrag

__all__ = ["CONCURRENCY", "urls_of"]

CONCURRENCY = 64
"""Requests at once, for whoever sends more than one at a time."""


def urls_of(uri: str) -> list[str]:
    """Return the URLs that ``http://HOST/#NUMBER`` stands for."""
    server, number = urldefrag(uri)
    return [f"{server}data/{index:012}.bin" for index in range(int(number))]
