"""One folder of a web server, asked for and read."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Iterator

import aiohttp
import pyarrow as pa
from yarl import URL

from refscan.errors import AccessDeniedError, StoreError
from refscan.redact import redact
from refscan.sources.http.entries import Entries, decoded_segments
from refscan.sources.http.errors import raise_for_status
from refscan.sources.http.index import ACCEPT, BrokenIndexError, NotAnIndexError, index_reader
from refscan.sources.http.session import Session
from refscan.sources.source import NoIndexError, Page, page_rows

__all__ = ["read_folder"]

_LARGEST = 256 << 20
_CHUNK = 1 << 18


async def read_folder(session: Session, folder: str, uri: str) -> Page:
    """Return what lies directly in a folder.

    Args:
        session: Sends the request.
        folder: The folder's key; empty, or ending in ``/``.
        uri: Names it in errors.

    Raises:
        NoIndexError: What is there is no index.
        ObjectNotFoundError: There is nothing.
        AccessDeniedError: It is refused.
        StoreError: The index lies elsewhere, is not whole, or is too large.
        BusyError: Another attempt may find the server in a better state.
        aiohttp.ClientError: The request failed.
    """
    async with await session.send("GET", folder, {"Accept": ACCEPT}) as response:
        if response.status in (401, 403):
            raise AccessDeniedError(
                f"{uri}: the server refuses to list it (HTTP {response.status}); give a login in ~/.netrc, or switch "
                f"its index on (nginx: autoindex on; Apache: Options +Indexes), or reference single URLs",
                uri=uri,
            )
        raise_for_status(response.status, response.reason, response.headers, uri)
        entries = Entries(response.url)
        try:
            reader = index_reader(response.content_type, entries)
            async for piece in _pieces(response, uri):
                reader.feed(piece)
            reader.finish()
        except NotAnIndexError:
            raise NoIndexError(f"{uri}: the server offers no index of it", uri=uri) from None
        except BrokenIndexError:
            raise StoreError(f"{uri}: its index is not whole; try again", uri=uri) from None
        _check_place(session.url(folder), response.url, uri)
    return Page(
        page_rows(key=pa.array([folder + name for name in entries.files], pa.string())),
        complete=False,
        skipped=dict(entries.skipped),
        folders=[f"{folder}{name}/" for name in entries.folders],
    )


async def _pieces(response: aiohttp.ClientResponse, uri: str) -> AsyncIterator[bytes]:
    """Yield the body; gzip, which some servers send unasked, is unpacked."""
    encoding = response.headers.get("Content-Encoding", "identity").lower()
    if encoding not in ("identity", "gzip", "x-gzip"):
        raise NotAnIndexError
    unpack = zlib.decompressobj(zlib.MAX_WBITS | 16) if encoding != "identity" else None
    length = 0
    async for chunk in response.content.iter_chunked(_CHUNK):
        for piece in _unpacked(unpack, chunk) if unpack else (chunk,):
            length += len(piece)
            if length > _LARGEST:
                raise StoreError(
                    f"{uri}: its index has more than {_LARGEST >> 20} MiB; give its folders one by one, "
                    f"or HTTPOptions(index=False) if it is a page",
                    uri=uri,
                )
            yield piece
    if unpack and (not unpack.eof or unpack.unused_data):
        raise BrokenIndexError


def _unpacked(unpack: zlib._Decompress, data: bytes) -> Iterator[bytes]:
    """Yield what ``data`` unpacks to, in pieces of a bounded size."""
    try:
        if unpack.eof:
            raise BrokenIndexError
        while (piece := unpack.decompress(data, _CHUNK)) and not unpack.eof:
            yield piece
            data = unpack.unconsumed_tail
    except zlib.error:
        raise BrokenIndexError from None
    yield piece


def _check_place(asked: URL, found: URL, uri: str) -> None:
    """Refuse an index that a redirect led to, where its entries would hang from another folder."""
    same_host = asked.host == found.host and (
        asked.origin() == found.origin() or (asked.port, found.port, found.scheme) == (80, 443, "https")
    )
    same_folder = found.raw_path.endswith("/") and decoded_segments(asked.raw_path) == decoded_segments(found.raw_path)
    if not same_host or not same_folder:
        place = redact(str(found.with_user(None).with_query(None)))
        raise StoreError(f"{uri}: its index lies elsewhere, at {place}; give that URL", uri=uri)
