"""Versioned manifests of files that stay where they are, recorded at high throughput from async Python."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from refscan.errors import (
    AccessDeniedError,
    ArtifactError,
    DigestMismatchError,
    InvalidPathError,
    InvalidURIError,
    ListingOrderError,
    MaxObjectsExceededError,
    ObjectNotFoundError,
    PathConflictError,
    RefscanError,
    RegistryError,
    ResumeError,
    StoreError,
    UnsupportedSchemeError,
)

if TYPE_CHECKING:
    from refscan.download.fetch import Downloaded
    from refscan.download.verify import Verification
    from refscan.manifest.receipt import Receipt
    from refscan.registry.artifact import Artifact
    from refscan.registry.diff import Diff
    from refscan.registry.entry import Entry
    from refscan.registry.queue import LogHandle
    from refscan.registry.run import Run, init
    from refscan.registry.version import Version
    from refscan.scan.estimate import Estimate, estimate
    from refscan.scan.pipeline import Scan, scan
    from refscan.sources.memory import MemorySource
    from refscan.sources.options import AzureOptions, FsspecOptions, GCSOptions, HTTPOptions, S3Options
    from refscan.sources.source import Source

__all__ = [
    "AccessDeniedError",
    "Artifact",
    "ArtifactError",
    "AzureOptions",
    "Diff",
    "DigestMismatchError",
    "Downloaded",
    "Entry",
    "Estimate",
    "FsspecOptions",
    "GCSOptions",
    "HTTPOptions",
    "InvalidPathError",
    "InvalidURIError",
    "ListingOrderError",
    "LogHandle",
    "MaxObjectsExceededError",
    "MemorySource",
    "ObjectNotFoundError",
    "PathConflictError",
    "Receipt",
    "RefscanError",
    "RegistryError",
    "ResumeError",
    "Run",
    "S3Options",
    "Scan",
    "Source",
    "StoreError",
    "UnsupportedSchemeError",
    "Verification",
    "Version",
    "estimate",
    "init",
    "scan",
]

# Imported when first asked for: `import refscan` loads neither Arrow nor a database nor a cloud SDK.
_HOMES = {
    "Artifact": "refscan.registry.artifact",
    "AzureOptions": "refscan.sources.options",
    "Diff": "refscan.registry.diff",
    "Downloaded": "refscan.download.fetch",
    "Entry": "refscan.registry.entry",
    "Estimate": "refscan.scan.estimate",
    "FsspecOptions": "refscan.sources.options",
    "GCSOptions": "refscan.sources.options",
    "HTTPOptions": "refscan.sources.options",
    "LogHandle": "refscan.registry.queue",
    "MemorySource": "refscan.sources.memory",
    "Receipt": "refscan.manifest.receipt",
    "Run": "refscan.registry.run",
    "S3Options": "refscan.sources.options",
    "Scan": "refscan.scan.pipeline",
    "Source": "refscan.sources.source",
    "Verification": "refscan.download.verify",
    "Version": "refscan.registry.version",
    "estimate": "refscan.scan.estimate",
    "init": "refscan.registry.run",
    "scan": "refscan.scan.pipeline",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'refscan' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Package(ModuleType):
    """Keeps the function ``scan`` where the import system would put the folder ``refscan/scan`` in its place."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
