"""From a URI to the source that reads it. SDKs are imported when their store is first used."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from refscan.azure_uri import AZURE_SCHEMES
from refscan.errors import UnsupportedSchemeError
from refscan.sources.azure.endpoint import blob_endpoints
from refscan.sources.options import (
    AzureOptions,
    FsspecOptions,
    GCSOptions,
    HTTPOptions,
    S3Options,
    StoreOptions,
    chosen,
)
from refscan.uri import Location, parse, parse_ref, scheme_of

if TYPE_CHECKING:
    from refscan.sources.source import Source

__all__ = ["has_source", "locate", "locate_ref", "open_source", "scheme_hint"]

_SCHEMES = frozenset(["s3", "gs", "file", "http", "https", "memory", *AZURE_SCHEMES])


def has_source(uri: str) -> bool:
    """Tell whether a source reads this URI's scheme.

    Raises:
        InvalidURIError: There is no scheme.
    """
    scheme = scheme_of(uri)
    if scheme in _SCHEMES:
        return True
    from refscan.sources.fsspec.registry import reads  # noqa: PLC0415

    return reads(scheme)


def scheme_hint(uri: str) -> str | None:
    """Return one line on what would read a URI that no source reads; ``None`` if nothing is known to."""
    from refscan.sources.fsspec.registry import hint  # noqa: PLC0415

    return hint(scheme_of(uri))


def locate(uri: str, options: Iterable[StoreOptions] = ()) -> Location:
    """Read a URI as a person writes it, with the Azure accounts that options and the environment name.

    Raises:
        InvalidURIError: It cannot be read; the text says why.
        ValueError: The only options given are for another kind of store.
    """
    return parse(uri, blob_endpoints=blob_endpoints(chosen(AzureOptions, options)))


def locate_ref(ref: str, options: Iterable[StoreOptions] = ()) -> Location:
    """Read a URI as a manifest records it, with the Azure accounts that options and the environment name.

    Raises:
        InvalidURIError: It cannot be read; the text says why.
    """
    return parse_ref(ref, blob_endpoints=blob_endpoints(chosen(AzureOptions, options)))


def open_source(location: Location, options: Iterable[StoreOptions] = (), *, checksum: bool = True) -> Source:
    """Return the source of a location, to be entered with ``async with``.

    Args:
        location: Its container.
        options: How it is reached; those of other stores are passed over.
        checksum: Read local files for their MD5.

    Raises:
        UnsupportedSchemeError: No source reads this scheme.
    """
    match location.store:
        case "s3":
            from refscan.sources.s3 import S3Source  # noqa: PLC0415

            return S3Source(location.container, chosen(S3Options, options))
        case "gcs":
            from refscan.sources.gcs import GCSSource  # noqa: PLC0415

            return GCSSource(location.container, chosen(GCSOptions, options))
        case "azure":
            from refscan.sources.azure import AzureSource  # noqa: PLC0415

            return AzureSource(location.base, chosen(AzureOptions, options), sas=location.sas)
        case "file":
            from refscan.sources.local import LocalSource  # noqa: PLC0415

            return LocalSource(checksum=checksum)
        case "http":
            from refscan.sources.http import HTTPSource  # noqa: PLC0415

            return HTTPSource(location.base, chosen(HTTPOptions, options), userinfo=location.userinfo)
        case "memory":
            from refscan.sources.memory import MemorySource  # noqa: PLC0415

            return MemorySource.named(location.container)
        case "fsspec":
            from refscan.sources.fsspec.registry import reads  # noqa: PLC0415

            if reads(location.scheme):
                from refscan.sources.fsspec import FsspecSource  # noqa: PLC0415

                return FsspecSource(location.base, chosen(FsspecOptions, options), userinfo=location.userinfo)
            raise UnsupportedSchemeError(f"{location.uri}: no source reads {location.scheme}://", uri=location.uri)
