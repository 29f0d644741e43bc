"""From a URI to the source that reads it. SDKs are imported when their store is first used."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from refscan.azure_uri import AZURE_SCHEMES
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

__all__ = ["check_options", "has_source", "locate", "locate_ref", "open_source", "scheme_hint"]

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
    """
    return parse(uri, blob_endpoints=_endpoints(uri, options))


def locate_ref(ref: str, options: Iterable[StoreOptions] = ()) -> Location:
    """Read a URI as a manifest records it, with the Azure accounts that options and the environment name.

    Raises:
        InvalidURIError: It cannot be read; the text says why.
    """
    return parse_ref(ref, blob_endpoints=_endpoints(ref, options))


def _endpoints(uri: str, options: Iterable[StoreOptions]) -> list[str]:
    """Return the endpoints of Azure where a URI may lie at one: a broken setting for it is none of other stores'."""
    is_url = scheme_of(uri) in ("http", "https", *AZURE_SCHEMES)
    return blob_endpoints(chosen(AzureOptions, options)) if is_url else []


def check_options(options: object, location: Location) -> None:
    """Refuse options, if they are those of one store, for a location in another one.

    Raises:
        ValueError: They are.
    """
    if isinstance(options, StoreOptions) and options.store != location.store:
        raise ValueError(f"{location.uri} is not reached by {type(options).__name__}")


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
            from refscan.sources.fsspec.registry import file_system_class  # noqa: PLC0415

            file_system_class(location.scheme, location.uri)  # says what to install, if it must
            from refscan.sources.fsspec import FsspecSource  # noqa: PLC0415

            return FsspecSource(location.base, chosen(FsspecOptions, options), userinfo=location.userinfo)
