"""One blob: its facts from a HEAD request, its bytes from one GET."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import pyarrow as pa
from azure.core.exceptions import HttpResponseError
from azure.storage.blob.aio import ContainerClient

from refscan.errors import DigestMismatchError, ObjectNotFoundError, StoreError
from refscan.sources.azure.client import Kept
from refscan.sources.azure.errors import READ, is_missing, translated
from refscan.sources.azure.listing import FOLDER_MARK, is_true
from refscan.sources.source import Body, page_rows

__all__ = ["head_blob", "is_folder", "open_blob", "row_of"]

_CHUNK = 1 << 18


async def head_blob(client: ContainerClient, key: str, version_id: str | None, *, uri: str) -> Mapping[str, str] | None:
    """Return the headers of a blob, or ``None`` if there is no such blob or version."""
    kept = Kept()
    with translated(uri, READ):
        blob = client.get_blob_client(key, version_id=version_id)
        try:
            await blob.get_blob_properties(refscan_kept=kept)
        except HttpResponseError as error:
            if is_missing(error) or _is_no_version(error, version_id):
                return None
            raise
    return kept.headers if version_id in (None, kept.headers.get("x-ms-version-id")) else None


def is_folder(headers: Mapping[str, str]) -> bool:
    """Tell whether a blob stands for a folder."""
    return is_true(headers.get(f"x-ms-meta-{FOLDER_MARK}", "")) or headers.get("x-ms-resource-type") == "directory"


def row_of(key: str, headers: Mapping[str, str]) -> pa.RecordBatch:
    """Return the row that a blob's headers make."""
    md5, modified = headers.get("Content-MD5"), headers.get("Last-Modified")
    return page_rows(
        key=[key],
        size=[_number(headers.get("Content-Length"))],
        e_tag=[_unquoted(headers.get("ETag"))],
        version_id=[headers.get("x-ms-version-id")],
        checksum=[md5 and f"md5:{md5}"],
        last_modified=[modified and parsedate_to_datetime(modified)],
        storage_class=[headers.get("x-ms-access-tier")],
    )


@asynccontextmanager
async def open_blob(
    client: ContainerClient,
    key: str,
    *,
    uri: str,
    version_id: str | None,
    e_tag: str | None,
    start: int,
    length: int | None,
) -> AsyncIterator[Body]:
    """Open a blob for reading, see ``Source.open``; what is not read to its end is closed on the wire."""
    kept = Kept(stream=True)
    try:
        response = await _ask(client, key, kept, _one_request(e_tag, start, length), uri=uri, version_id=version_id)
        headers = kept.headers
        found, version = _unquoted(headers.get("ETag")), headers.get("x-ms-version-id")
        if e_tag and found != e_tag:
            raise DigestMismatchError(f"{uri} was overwritten: it has ETag {found} now, not {e_tag}", uri=uri)
        if version_id and version != version_id:
            raise ObjectNotFoundError(f"{uri}: no such version; the store keeps none", uri=uri)

        async def chunks() -> AsyncIterator[bytes]:
            with translated(uri, READ):
                async for chunk in response.content.iter_chunked(_CHUNK):
                    yield chunk

        partial = response.status == 206  # noqa: PLR2004  Partial Content
        whole = headers.get("Content-Range", "").rpartition("/")[2] if partial else headers.get("Content-Length")
        yield Body(chunks(), _number(whole), found, version, partial)
    finally:
        if kept.response is not None:
            _give_back(kept.response)


async def _ask(
    client: ContainerClient,
    key: str,
    kept: Kept,
    hook: Callable[[Any], None],
    *,
    uri: str,
    version_id: str | None,
) -> aiohttp.ClientResponse:
    with translated(uri, READ):
        blob = client.get_blob_client(key, version_id=version_id)
        try:
            await blob.download_blob(raw_request_hook=hook, refscan_kept=kept)
        except HttpResponseError as error:
            if not _is_no_version(error, version_id):
                raise
            raise ObjectNotFoundError(f"{uri}: no such version", uri=uri) from None
        if kept.response is None:
            raise StoreError("the SDK did not hand the blob over; install another version of azure-storage-blob")
        return kept.response


def _one_request(e_tag: str | None, start: int, length: int | None) -> Callable[[Any], None]:
    """Return a hook that changes a download before it is signed: the SDK would ask for the first 32 MiB."""

    def change(request: Any) -> None:
        headers = request.http_request.headers
        headers.pop("x-ms-range", None)
        if start > 0 or length is not None:
            headers["x-ms-range"] = f"bytes={start}-{'' if length is None else start + length - 1}"
        if e_tag:
            headers["If-Match"] = f'"{e_tag}"'

    return change


def _is_no_version(error: HttpResponseError, version_id: str | None) -> bool:
    """Tell whether the store finds no sense in the version ID."""
    return version_id is not None and error.status_code == 400  # noqa: PLR2004  Bad Request


def _unquoted(e_tag: str | None) -> str | None:
    return e_tag.strip('"') if e_tag else None


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() else None


def _give_back(response: aiohttp.ClientResponse) -> None:
    """Keep the connection for the next request if all was read, else close it."""
    if response.content.at_eof():
        response.release()
    else:
        response.close()
