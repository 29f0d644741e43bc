"""The last version of an artifact as the map for its next scan: where to cut the key space from the first request."""

from __future__ import annotations

import json

from anyio import to_thread

from refscan.errors import RefscanError
from refscan.manifest.cuts import FEWEST, cuts
from refscan.registry.records import Record
from refscan.registry.registry import Registry
from refscan.scan.alphabet import is_safe
from refscan.sources.source import MOST_LISTINGS
from refscan.uri import Location

__all__ = ["previous_bounds"]

# Those whose paths are their keys behind the prefix, and that list any range as quickly as the first.
_STORES = ("s3", "gcs", "azure", "memory")


async def previous_bounds(
    registry: Registry, project: str, artifact: str, location: Location, name: str | None
) -> list[str]:
    """Return keys that cut a reference into parts of like size, as the artifact's last version has it.

    Empty where it has no version, or none with this reference: what a map is missing is found by the scan itself.

    Args:
        registry: An open registry.
        project: The artifact's project.
        artifact: Its name.
        location: The reference.
        name: Where it stands in the artifact.
    """
    if location.store not in _STORES:
        return []
    try:
        record = await registry.catalog.find(project, artifact, "latest")
        return await to_thread.run_sync(_bounds, registry, record, location, name)
    except RefscanError:
        return []


def _bounds(registry: Registry, record: Record, location: Location, name: str | None) -> list[str]:
    if record.entry_count < FEWEST:
        return []
    receipts = json.loads(record.receipts)
    others = {receipt["name"] for receipt in receipts if receipt["name"] is not None}
    for receipt in receipts:
        if receipt["prefix"] is not None and (receipt["uri"], receipt["name"]) == (location.uri, name):
            index = registry.store.read_index(record.manifest)
            found = cuts(index, prefix=receipt["prefix"], name=name, most=MOST_LISTINGS, others=others)
            # Stores that misread a character in a request would not begin where they are asked to.
            return [bound for bound in found if all(map(is_safe, bound))]
    return []
