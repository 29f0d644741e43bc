"""From a page's rows to entries: where each object stands in the artifact, and what identifies it."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from refscan.errors import InvalidPathError
from refscan.manifest.schema import MANIFEST_SCHEMA
from refscan.scan.quoting import unquote_keys
from refscan.sources.source import Source
from refscan.uri import Location

__all__ = ["Placement", "check_name", "entries_of"]


def check_name(name: str) -> str:
    """Return a ``name=`` without a ``/`` at its end.

    Raises:
        InvalidPathError: It is empty, absolute, not UTF-8, or has an empty, ``.`` or ``..`` part.
    """
    stripped = name.removesuffix("/")
    if not all(part not in ("", ".", "..") for part in stripped.split("/")):
        raise InvalidPathError(f"the name {name!r} is not a relative path; write it like 'images/train'")
    try:
        stripped.encode()
    except UnicodeEncodeError:
        raise InvalidPathError(f"the name {name!r} is not UTF-8, so no manifest can hold it") from None
    return stripped


class Placement:
    """Places the objects of one reference in an artifact.

    Attributes:
        keeps_order: Paths ascend as keys do.

    Args:
        location: The reference.
        prefix: What all its keys begin with; ``None`` for a single object.
        name: The user's name for it.
        checksum: Digests tell the content; otherwise they tell the URI.

    Raises:
        InvalidPathError: A single object has no last path segment to be named by.
    """

    def __init__(self, location: Location, *, prefix: str | None, name: str | None, checksum: bool) -> None:
        self._prefix = prefix
        self._name = name
        self._checksum = checksum
        self._own = location.last_segment
        # A web server's files are named as they are behind their URLs: "a b.txt", not "a%20b.txt".
        self.keeps_order = prefix is None or location.store != "http"
        if prefix is None and name is None and (not self._own or _is_folder_url(location)):
            raise InvalidPathError(f"{location.uri} ends in no file name; give name=", uri=location.uri)

    def paths(self, keys: pa.Array) -> pa.Array:
        """Return where each key stands; ascending if ``keeps_order``, but for the row of ``begins_oddly``."""
        if self._prefix is None:
            return pa.array([self._name or self._own] * len(keys), pa.string())
        prefix = self._prefix
        if not self.keeps_order:
            keys, prefix = unquote_keys(_led_by("", keys, prefix), "http"), ""
        keys = _led_by("" if self._name is None else f"{self._name}/", keys, prefix)
        if self._name is not None:
            return keys
        if len(keys) and not keys[0].as_py():
            return pa.concat_arrays([pa.array([self._own], pa.string()), keys[1:]])
        return keys

    def begins_oddly(self, rows: pa.RecordBatch) -> bool:
        """Tell whether the first row is an object with content whose key is the folder's own, ending in ``/``.

        Without a name it stands under its last path segment, and so outside the order of the rows behind it.
        """
        return bool(self._prefix) and self._name is None and rows.column("key")[0].as_py() == self._prefix

    async def entries(self, source: Source, rows: pa.RecordBatch) -> pa.RecordBatch:
        """Return the entries (``MANIFEST_SCHEMA``) of the rows of a page (``PAGE_SCHEMA``)."""
        return await entries_of(source, rows, self.paths(rows.column("key")), checksum=self._checksum)


async def entries_of(source: Source, rows: pa.RecordBatch, paths: pa.Array, *, checksum: bool) -> pa.RecordBatch:
    """Return the entries (``MANIFEST_SCHEMA``) of rows (``PAGE_SCHEMA``) that stand at ``paths``."""
    refs = source.refs(rows.column("key"))
    digests = await (source.digests(rows, refs) if checksum else source.uri_digests(rows, refs))
    columns = {name: rows.column(name) for name in ("size", "version_id", "e_tag", "last_modified", "storage_class")}
    columns |= {"path": paths, "ref": refs, "digest": digests}
    columns["checksum"] = _unless_repeated(rows.column("checksum"), digests)
    return pa.record_batch([columns[field.name] for field in MANIFEST_SCHEMA], schema=MANIFEST_SCHEMA)


def _led_by(text: str, keys: pa.Array, prefix: str) -> pa.Array:
    """Put ``text`` in the place of the prefix that all keys have."""
    # A fifth of the time of slicing by characters and joining.
    return pc.binary_replace_slice(keys, 0, len(prefix.encode()), text) if text or prefix else keys


def _unless_repeated(checksums: pa.Array, digests: pa.Array) -> pa.Array:
    if checksums.null_count == len(checksums):
        return checksums
    repeated = pc.equal(pc.replace_substring_regex(checksums, "^[^:]*:", ""), digests)
    return pc.if_else(pc.fill_null(repeated, False), pa.scalar(None, pa.string()), checksums)


def _is_folder_url(location: Location) -> bool:
    return location.store == "http" and location.last_segment.endswith("/")
