"""Which objects of a reference are taken: by the paths they have below it."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from refscan.errors import ObjectNotFoundError
from refscan.manifest.glob import Globs, as_patterns
from refscan.scan.quoting import unquote_keys
from refscan.uri import Location

__all__ = ["PathFilter"]


class PathFilter:
    """Takes what a pattern of ``include`` matches, or everything without one, and no pattern of ``exclude``.

    Patterns match the path below the reference, before a ``name=`` stands in front of it; of a single object, its last
    path segment. ``refscan.manifest.glob`` has their rules.

    Attributes:
        include: As given.
        exclude: As given.

    Args:
        location: The reference.
        include: Patterns.
        exclude: Patterns.

    Raises:
        InvalidPathError: A pattern cannot be one.
    """

    def __init__(self, location: Location, include: tuple[str, ...], exclude: tuple[str, ...]) -> None:
        self.include = include
        self.exclude = exclude
        self._location = location
        # What ``resolve`` finds where the location is a folder.
        self._prefix = len(location.key) + bool(location.key and not location.key.endswith("/"))
        self._wanted = Globs(include) if include else None
        self._unwanted = Globs(exclude) if exclude else None

    @classmethod
    def of(
        cls,
        location: Location,
        include: str | Iterable[str] | None = None,
        exclude: str | Iterable[str] | None = None,
    ) -> PathFilter | None:
        """Return a filter, or ``None`` where there is no pattern."""
        wanted, unwanted = as_patterns(include), as_patterns(exclude)
        return cls(location, wanted, unwanted) if wanted or unwanted else None

    def keep(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """Return those of a page's rows that are taken."""
        keys = rows.column("key")
        paths = pc.utf8_slice_codeunits(keys, self._prefix) if self._prefix else keys
        if self._location.store == "http":
            paths = unquote_keys(paths, "http")
        return rows.filter(self._mask(paths))

    def check_single(self) -> None:
        """Make sure that the location is taken, where it is one object.

        Raises:
            ObjectNotFoundError: It is not.
        """
        name = self._location.last_segment
        if not self._mask(pa.array([name], pa.string()))[0].as_py():
            uri = self._location.uri
            raise ObjectNotFoundError(
                f"nothing to reference: {uri} is one object, and include= or exclude= (--include, --exclude) leaves "
                f"it out",
                uri=uri,
            )

    def _mask(self, paths: pa.Array) -> pa.Array:
        mask = pa.repeat(True, len(paths)) if self._wanted is None else self._wanted.matches(paths)
        return mask if self._unwanted is None else pc.and_not(mask, self._unwanted.matches(paths))
