"""From an entry to the source that holds its bytes. Sources are shared, and few are open at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from refscan.errors import DigestMismatchError, UnsupportedSchemeError
from refscan.redact import redact
from refscan.scan.places import Places
from refscan.sources.options import StoreOptions
from refscan.sources.schemes import has_source, locate_ref
from refscan.sources.source import Source
from refscan.uri import Location

__all__ = ["Object", "Resolver"]


@dataclass(frozen=True, slots=True)
class Object:
    """The object behind an entry, as it was recorded.

    Attributes:
        location: Where it lies.
        digest: The entry's digest.
        size: In bytes, if it is known.
        version_id: The pin.
        e_tag: The store's ETag.
        last_modified: When it was written, if it is known.
        md5: The base64 MD5 of the content, if it was recorded; of a local file that was not read, something else.
    """

    location: Location
    digest: str
    size: int | None
    version_id: str | None
    e_tag: str | None
    last_modified: datetime | None
    md5: str | None

    @property
    def validator(self) -> str | None:
        """What tells the object's bytes from others when it is opened."""
        if self.e_tag is None and self.location.store == "fsspec" and self.digest != self.uri:
            return self.digest  # of the facts that such a file system knows
        return self.e_tag

    def is_of_time(self, modified: datetime | None) -> bool:
        """Tell whether the object can be the recorded one by its time, which counts where nothing else tells."""
        told = self.e_tag or self.version_id or self.digest != self.uri or None in (self.last_modified, modified)
        return bool(told) or modified == self.last_modified

    @property
    def uri(self) -> str:
        """Where it lies, without secrets."""
        return self.location.uri


class Resolver:
    """Finds and opens what entries refer to; closed with ``async with``.

    Args:
        stored: Returns the file of a stored entry by its digest.
        follow: Returns the row that ``refscan://…`` finally means.
        options: How stores are reached.
    """

    def __init__(
        self,
        stored: Callable[[str], Path],
        follow: Callable[[str], Awaitable[Mapping[str, Any]]],
        options: tuple[StoreOptions, ...] = (),
    ) -> None:
        self.options = options
        self._stored = stored
        self._follow = follow
        self._places = Places(options)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._places.__aexit__(*exc_info)

    async def resolve(self, row: Mapping[str, Any]) -> Object:
        """Return the object of an entry, a row of ``MANIFEST_SCHEMA``.

        Raises:
            UnsupportedSchemeError: Nothing reads its scheme.
            DigestMismatchError: What another artifact's entry means here is not what was recorded.
        """
        if row["ref"] is not None and row["ref"].startswith("refscan://"):
            named, row = row, await self._follow(row["ref"])
            if row["digest"] != named["digest"]:
                uri = named["ref"]
                raise DigestMismatchError(
                    f"{uri} has the digest {row['digest']} in this registry, not {named['digest']}; it was recorded "
                    f"from another registry",
                    uri=uri,
                )
        ref = row["ref"]
        if ref is None:
            path = str(self._stored(row["digest"]))
            return Object(
                Location("file", "", path.lstrip("/"), store="file"),
                row["digest"],
                row["size"],
                None,
                None,
                None,
                md5=row["digest"],
            )
        if not has_source(ref):
            shown = redact(ref)
            raise UnsupportedSchemeError(
                f"{shown} is only tracked: nothing reads its scheme; leave it out with path_prefix= "
                f"or allow_missing_references=True",
                uri=shown,
            )
        location = locate_ref(ref, self.options)
        facts = {name: row[name] for name in ("digest", "size", "version_id", "e_tag", "last_modified")}
        algorithm, _, value = (row["checksum"] or "").partition(":")
        md5 = row["digest"] if location.store == "file" else value if algorithm == "md5" else None
        return Object(location, md5=md5, **facts)

    @asynccontextmanager
    async def source(self, found: Object) -> AsyncIterator[Source]:
        """Give the source of an object's container, which stays open meanwhile."""
        async with self._places.use(found.location) as place:
            yield place.source
