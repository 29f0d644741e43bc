"""Azure Blob Storage. The SDK is imported with the source, and not with the names of its accounts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from refscan.sources.azure.source import AzureSource

__all__ = ["AzureSource"]


def __getattr__(name: str) -> Any:
    if name != "AzureSource":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from refscan.sources.azure.source import AzureSource  # noqa: PLC0415  the SDK is slow to import

    return AzureSource
