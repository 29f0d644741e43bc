"""From a URI to the source that reads it. SDKs are imported when their scheme is first used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from refscan.errors import UnsupportedSchemeError
from refscan.uri import Location, redact, scheme_of

if TYPE_CHECKING:
    from refscan.sources.source import Source

__all__ = ["has_source", "open_source"]

_SCHEMES = ("s3", "file", "http", "https", "memory")
# Stores that refscan is meant for but does not read yet: tracking them unread would look like recording them.
_LATER = ("gs", "az", "abfs", "abfss")


def has_source(uri: str) -> bool:
    """Tell whether a source reads this URI's scheme.

    Raises:
        InvalidURIError: There is no scheme.
        UnsupportedSchemeError: It is a store that this release cannot read.
    """
    scheme = scheme_of(uri)
    if scheme in _LATER:
        shown = redact(uri)
        raise UnsupportedSchemeError(f"{shown}: this release does not read {scheme}:// yet", uri=shown)
    return scheme in _SCHEMES


def open_source(location: Location, *, checksum: bool = True) -> Source:
    """Return the source of a location, to be entered with ``async with``.

    Raises:
        UnsupportedSchemeError: No source reads this scheme.
    """
    match location.scheme:
        case "s3":
            from refscan.sources.s3 import S3Source  # noqa: PLC0415

            return S3Source(location.container)
        case "file":
            from refscan.sources.local import LocalSource  # noqa: PLC0415

            return LocalSource(checksum=checksum)
        case "http" | "https":
            from refscan.sources.http import HTTPSource  # noqa: PLC0415

            return HTTPSource(location.base, userinfo=location.userinfo)
        case "memory":
            from refscan.sources.memory import MemorySource  # noqa: PLC0415

            return MemorySource.named(location.container)
        case scheme:
            raise UnsupportedSchemeError(f"{location.uri}: no source reads {scheme}://", uri=location.uri)
