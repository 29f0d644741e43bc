"""A version's entries cut into stretches of keys: some thousands at a time, of one container, ascending."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from refscan.errors import InvalidURIError
from refscan.manifest.schema import MANIFEST_SCHEMA
from refscan.scan.quoting import unquote_keys
from refscan.sources.options import StoreOptions
from refscan.sources.schemes import has_source, locate_ref
from refscan.uri import Location

__all__ = ["MOST_ENTRIES", "STRETCH_SCHEMA", "Cutter", "Folder", "Stretch"]

MOST_ENTRIES = 10_000
"""Entries of a stretch: whole pages of a listing, of 1,000 as of 5,000."""

STRETCH_SCHEMA = MANIFEST_SCHEMA.insert(0, pa.field("key", pa.string(), nullable=False))
"""The columns of a stretch."""

_MOST_HELD = 8 * MOST_ENTRIES
_NOBODY = -1
# References to one web server that are looked at for one to a container; others are checked all the same.
_MOST_TRIES = 100
_HOST = r"(?s)^([^:/]+://[^/]*).*"


@dataclass(frozen=True, slots=True)
class Folder:
    """What was recorded as a whole: a reference's prefix.

    Attributes:
        prefix: What its keys begin with.
        density: Objects for each entry, by its receipt.
    """

    prefix: str
    density: float


@dataclass(frozen=True, slots=True)
class Stretch:
    """Entries to be checked together.

    Attributes:
        container: Where they lie.
        rows: ``STRETCH_SCHEMA``, ascending by key.
        folder: The reference that they belong to, if it was one to a folder.
        after: A key before the first one; those between them are no entries, as far as is known.
    """

    container: Location
    rows: pa.RecordBatch
    folder: Folder | None
    after: str

    @property
    def first(self) -> str:
        """Its first key."""
        key: str = self.rows.column("key")[0].as_py()
        return key

    @property
    def last(self) -> str:
        """Its last key."""
        key: str = self.rows.column("key")[-1].as_py()
        return key

    @property
    def prefix(self) -> str:
        """What all its keys begin with."""
        return os.path.commonprefix([self.first, self.last])  # noqa: RUF071  of keys, character by character


@dataclass(slots=True)
class _Pile:
    container: Location
    folder: Folder | None
    last: str = ""
    count: int = 0
    rows: list[pa.RecordBatch] = field(default_factory=list)


class Cutter:
    """Cuts entries into stretches; holds a bounded number of them.

    Args:
        folders: The references to whole folders, by the base URI of the container.
        stores: The kinds of store that stretches are made for.
        options: How stores are reached.
        passed: Base URIs of containers that no stretch is made for.
    """

    def __init__(
        self,
        folders: Mapping[str, Sequence[Folder]],
        stores: Collection[str],
        options: tuple[StoreOptions, ...],
        *,
        passed: Collection[str] = (),
    ) -> None:
        self._folders = {base: _outermost(among) for base, among in folders.items()}
        self._stores = stores
        self._options = options
        self._passed = passed
        self._containers: list[Location] = []
        self._piles: dict[tuple[str, str | None], _Pile] = {}
        self._held = 0

    def take(self, rows: pa.RecordBatch) -> tuple[list[Stretch], pa.RecordBatch]:
        """Take rows of ``MANIFEST_SCHEMA``; return the stretches that are full, and the rows no stretch is made for."""
        owners = self._owners(rows)
        for number in np.unique(owners[owners != _NOBODY]).tolist():
            container = self._containers[number]
            part = rows if (owners == number).all() else rows.filter(pa.array(owners == number))
            for folder, group in self._by_folder(container, part):
                self._pile(container, folder, group)
        ready = [stretch for pile in self._piles.values() for stretch in self._cut(pile, MOST_ENTRIES)]
        while self._held > _MOST_HELD:
            ready.extend(self._cut(max(self._piles.values(), key=lambda pile: pile.count), 1))
        return ready, rows.filter(pa.array(owners == _NOBODY))

    def rest(self) -> Iterator[Stretch]:
        """Yield what is left, at the end."""
        for pile in self._piles.values():
            yield from self._cut(pile, 1)

    def _owners(self, rows: pa.RecordBatch) -> npt.NDArray[np.int64]:
        """Return the number of each row's container; ``_NOBODY`` where no stretch is made for it."""
        refs = rows.column("ref")
        owners = np.full(rows.num_rows, _NOBODY)
        for number, known in enumerate(self._containers):
            owners[_are_below(refs, known.base)] = number
            if (owners != _NOBODY).all():
                return owners
        left = np.flatnonzero((owners == _NOBODY) & refs.is_valid().to_numpy(zero_copy_only=False))
        hosts = pc.replace_substring_regex(refs.take(pa.array(left)), _HOST, r"\1").dictionary_encode()
        by_host = hosts.indices.to_numpy(zero_copy_only=False)
        for number in range(len(hosts.dictionary)):
            # Mostly one container; several of Azure's, or access points of Amazon's, may lie behind one host.
            mine, tries = left[by_host == number], 0
            while len(mine) and tries < _MOST_TRIES:
                container = self._locate(refs[int(mine[0])].as_py())
                if container is None:
                    mine, tries = mine[1:], tries + 1
                    continue
                owners[mine[_are_below(refs.take(pa.array(mine)), container.base)]] = len(self._containers)
                self._containers.append(container)
                mine = mine[owners[mine] == _NOBODY]
        return owners

    def _locate(self, ref: str) -> Location | None:
        """Return the container of a reference, if stretches are made for it."""
        try:
            location = locate_ref(ref, self._options) if has_source(ref) else None
        except InvalidURIError:
            return None  # told where it is asked for
        if location is None or location.store not in self._stores or location.base in self._passed:
            return None
        return replace(location, key="", version_id=None)

    def _by_folder(self, container: Location, rows: pa.RecordBatch) -> Iterator[tuple[Folder | None, pa.RecordBatch]]:
        keys = unquote_keys(pc.utf8_slice_codeunits(rows.column("ref"), len(container.base)), container.store)
        rows = rows.add_column(0, STRETCH_SCHEMA.field("key"), keys)
        for folder in self._folders.get(container.base, ()):
            if rows.num_rows == 0:
                return
            mask = pc.starts_with(rows.column("key"), folder.prefix)
            if not pc.any(mask).as_py():
                continue
            yield folder, rows.filter(mask)
            rows = rows.filter(pc.invert(mask))
        if rows.num_rows:
            yield None, rows

    def _pile(self, container: Location, folder: Folder | None, rows: pa.RecordBatch) -> None:
        key = container.base, None if folder is None else folder.prefix
        pile = self._piles.setdefault(key, _Pile(container, folder))
        pile.rows.append(rows)
        pile.count += rows.num_rows
        self._held += rows.num_rows

    def _cut(self, pile: _Pile, least: int) -> Iterator[Stretch]:
        """Yield stretches while there are so many entries."""
        while pile.count >= least:
            rows = pa.concat_batches(pile.rows)
            keys = rows.column("key")
            if not pc.all(pc.less_equal(keys[:-1], keys[1:]), min_count=0).as_py():
                rows = rows.take(pc.sort_indices(keys))
            cut = rows.slice(0, MOST_ENTRIES)
            pile.rows = [rows.slice(MOST_ENTRIES)] if rows.num_rows > MOST_ENTRIES else []
            pile.count -= cut.num_rows
            self._held -= cut.num_rows
            first, last = (cut.column("key")[at].as_py() for at in (0, -1))
            yield Stretch(pile.container, cut, pile.folder, pile.last if pile.last < first else "")
            pile.last = last


def _are_below(refs: pa.Array, base: str) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = pc.fill_null(pc.starts_with(refs, base), False).to_numpy(zero_copy_only=False)
    return found


def _outermost(folders: Sequence[Folder]) -> list[Folder]:
    """Return the folders that lie in none of the others, each once; the emptiest of a kind."""
    kept: list[Folder] = []
    for folder in sorted(folders, key=lambda folder: (folder.prefix, -folder.density)):
        if not kept or not folder.prefix.startswith(kept[-1].prefix):
            kept.append(folder)
    return kept
