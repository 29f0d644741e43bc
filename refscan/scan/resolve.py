"""What a location is: one object, or a folder of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from refscan.errors import AccessDeniedError, ObjectNotFoundError
from refscan.sources.source import Source
from refscan.uri import Location

__all__ = ["Found", "nothing_there", "resolve"]


@dataclass(frozen=True, slots=True)
class Found:
    """Either ``rows`` with the one object, or the ``prefix`` that all keys begin with."""

    rows: pa.RecordBatch | None = None
    prefix: str = ""


async def resolve(source: Source, location: Location) -> Found:
    """Find out what ``location`` is.

    ``pre`` is the object of this key if there is one, else the folder ``pre/``; never ``pre2/…``. A key that ends
    in ``/`` is a folder, and no key at all is the whole container.

    Raises:
        ObjectNotFoundError: A pinned version, or a single URL, is not there.
    """
    key, pin = location.key, location.version_id
    is_folder = pin is None and source.capabilities.listed and (not key or key.endswith("/"))
    if is_folder and (location.store != "http" or await _has_index(source, key)):
        return Found(prefix=key)
    try:
        page = await source.stat([key], version_id=pin)
    except AccessDeniedError:
        # Objects may be listed by some who may not read them; then the first key that begins so tells.
        if pin is not None or not source.capabilities.ordered:
            raise
        rows = (await source.list_page(key)).rows.slice(0, 1)
        if rows.num_rows and rows.column("key")[0].as_py() == key:
            return Found(rows=rows)
        return Found(prefix=key + "/")
    if page.rows.num_rows:
        return Found(rows=page.rows)
    if pin is not None:
        raise ObjectNotFoundError(f"{location.uri} has no version {pin!r}", uri=location.uri)
    if location.store == "http":
        return await _resolve_folder_of_web(source, location)
    if not source.capabilities.listed:
        raise ObjectNotFoundError(f"{location.uri}: not found; check the URL", uri=location.uri)
    return Found(prefix=key + "/")


def nothing_there(location: Location, prefix: str, skipped: Mapping[str, int]) -> ObjectNotFoundError:
    """Return the error for a location that a listing found no objects in."""
    key = location.key
    what = "holds no objects" if not prefix else f"is neither an object nor a folder with objects ({prefix!r})"
    if key.endswith("/"):
        what = "holds no objects"
    excluded = skipped.get("excluded", 0)
    if excluded:
        what = f"holds {excluded:,} objects, and include= or exclude= (--include, --exclude) leaves out all of them"
    counted = ", ".join(f"{count} {reason}" for reason, count in sorted(skipped.items()) if count)
    return ObjectNotFoundError(
        f"nothing to reference: {location.uri} {what}" + (f"; skipped: {counted}" if counted else ""), uri=location.uri
    )


async def _resolve_folder_of_web(source: Source, location: Location) -> Found:
    """Return the folder that a URL names without its ``/``.

    Raises:
        ObjectNotFoundError: There is none, or it is a page.
    """
    key, uri = location.key, location.uri
    if key and not key.endswith("/") and "?" not in key:
        if await _has_index(source, key + "/"):
            return Found(prefix=key + "/")
        if (await source.stat([key + "/"])).rows.num_rows:
            raise ObjectNotFoundError(
                f"{uri}: it leads to the page {uri}/, which is no index of files; give that URL and name= if the page "
                f"is meant",
                uri=uri,
            )
    raise ObjectNotFoundError(f"{uri}: not found; check the URL", uri=uri)


async def _has_index(source: Source, key: str) -> bool:
    """Tell whether a web server offers an index of a folder: its URL may as well be that of a page."""
    try:
        await source.list_page(key)
    except ObjectNotFoundError:  # and with it NoIndexError
        return False
    return True
