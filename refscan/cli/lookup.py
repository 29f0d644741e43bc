"""A version of the registry, by its name on the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from refscan.errors import ArtifactError
from refscan.settings import registry_directory

if TYPE_CHECKING:
    from refscan.cli.words import ArtifactName
    from refscan.registry.version import Version

__all__ = ["find_version"]


async def find_version(name: ArtifactName, registry: str | None, *, type_name: str | None = None) -> Version:
    """Return the version.

    Raises:
        RegistryError: There is none.
        ArtifactError: It has another type.
    """
    from refscan.registry.registry import Registry  # noqa: PLC0415
    from refscan.registry.version import Version  # noqa: PLC0415

    async with Registry(registry_directory(registry)) as opened:
        record = await opened.catalog.find(name.project, name.name, name.alias)
        if type_name is not None and record.type != type_name:
            raise ArtifactError(f"{name} has the type {record.type!r}, not {type_name!r}")
        return Version.of(record, opened, created=False)
