"""A registry: the catalog of versions and the store of what they hold, in one directory."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from refscan.registry.catalog import Catalog
from refscan.registry.store import LocalStore

__all__ = ["Registry"]


class Registry:
    """One registry, opened and closed with ``async with``.

    Args:
        directory: Where it lies; made when it is first opened.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.store = LocalStore(directory)
        self.catalog = Catalog(directory / "catalog.sqlite", self.store)

    async def __aenter__(self) -> Self:
        try:
            await self.catalog.open()
        except BaseException:
            await self.catalog.close()
            raise
        self.store.remove_stale()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.catalog.close()
