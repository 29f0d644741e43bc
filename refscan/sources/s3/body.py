"""An object's bytes, as the SDK's answer to a GET gives them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from refscan.errors import DigestMismatchError
from refscan.sources.s3.errors import translated
from refscan.sources.s3.facts import unquoted
from refscan.sources.source import Body

__all__ = ["body_of"]

_CHUNK = 1 << 18


@asynccontextmanager
async def body_of(
    answer: Mapping[str, Any], uri: str, permission: str, *, e_tag: str | None = None
) -> AsyncIterator[Body]:
    """Give the body of an answer, which is closed behind the block.

    Args:
        answer: To ``GetObject``.
        uri: The object's, for errors.
        permission: What reading it takes, for errors.
        e_tag: The ETag that the object must have, without quotes; stores may not know ``If-Match``.

    Raises:
        DigestMismatchError: It has another one.
        StoreError: It cannot be read to its end.
    """
    stream = answer["Body"]
    async with stream:
        found = unquoted(answer.get("ETag"))
        if e_tag and found != e_tag:
            raise DigestMismatchError(f"{uri} was overwritten: it has ETag {found} now, not {e_tag}", uri=uri)

        async def chunks() -> AsyncIterator[bytes]:
            with translated(uri, permission):
                while chunk := await stream.read(_CHUNK):
                    yield chunk

        partial = "ContentRange" in answer
        whole = answer.get("ContentRange", "").rpartition("/")[2]
        size = (int(whole) if whole.isdecimal() else None) if partial else answer.get("ContentLength")
        yield Body(chunks(), size, found, answer.get("VersionId"), partial)
