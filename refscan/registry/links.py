"""Entries of one artifact that refer to entries of another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow.compute as pc
import pyarrow.parquet as pq

from refscan.errors import StoreError
from refscan.registry.store import LocalStore

__all__ = ["linked_versions"]

_VERSION = r"^(?P<version>refscan://[^/]+/[^/:]+:[^/]+)/"


def linked_versions(store: LocalStore, manifests: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield each manifest with the URI of each version (``refscan://PROJECT/NAME:vN``) that its entries refer to.

    Only segments that hold such entries are read. What cannot be read refers to nothing.
    """
    for manifest in manifests:
        try:
            segments = store.read_index(manifest).segments
        except StoreError:
            continue
        names = [segment.name for segment in segments if segment.links is None or segment.links]
        yield from ((manifest, uri) for uri in sorted({uri for name in names for uri in _linked(store, name)}))


def _linked(store: LocalStore, segment: str) -> set[str]:
    try:
        table = pq.read_table(store.segment_path(segment), columns=["ref"], page_checksum_verification=True)
    except (FileNotFoundError, ValueError):
        return set()
    except OSError as error:
        if error.errno is not None:
            raise
        return set()  # damaged
    found = pc.struct_field(pc.extract_regex(table.column("ref"), _VERSION), "version")
    return {uri for uri in pc.unique(found).to_pylist() if uri}
