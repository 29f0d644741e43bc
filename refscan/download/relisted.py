"""References listed again, and compared with what was recorded: for stores that keep no versions."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from refscan.errors import ObjectNotFoundError
from refscan.manifest.receipt import Receipt
from refscan.scan.collect import collect
from refscan.scan.filter import PathFilter
from refscan.scan.pipeline import Scan
from refscan.scan.quoting import unquote_keys
from refscan.scan.spool import Spool
from refscan.sources.options import StoreOptions
from refscan.sources.schemes import locate_ref, open_source
from refscan.uri import Location

__all__ = ["Relisting", "list_again"]


class Relisting:
    """The entries that a reference gives now."""

    def __init__(self, receipt: Receipt, folder: Location, now: list[Spool]) -> None:
        self._uri = folder.uri
        self._store = folder.store
        self._folder = "" if receipt.name is None else receipt.name + "/"
        self._now = now
        self._by_time = not receipt.checksum

    def match(self, rows: pa.RecordBatch) -> pa.Array:
        """Tell for each recorded row whether it is there as it was."""
        return pc.is_in(_identity(rows, by_time=self._by_time), value_set=self._overlap(rows, identity=True))

    def covers(self, rows: pa.RecordBatch) -> pa.Array:
        """Tell for each row whether this reference places its object at its path."""
        paths = rows.column("path")
        refs = rows.column("ref")
        keys = unquote_keys(pc.utf8_slice_codeunits(refs, len(self._uri)), self._store)
        placed = pc.and_(
            pc.starts_with(refs, self._uri), pc.equal(paths, pc.binary_join_element_wise(self._folder, keys, ""))
        )
        return pc.fill_null(placed, False)

    def has_path(self, rows: pa.RecordBatch) -> pa.Array:
        """Tell for each row whether something has its path."""
        return pc.is_in(rows.column("path"), value_set=self._overlap(rows, identity=False))

    def _overlap(self, rows: pa.RecordBatch, *, identity: bool) -> pa.Array:
        paths = rows.column("path")
        parts = [
            _identity(part, by_time=self._by_time) if identity else part.column("path")
            for run in self._now
            for part in run.between(paths[0].as_py(), paths[-1].as_py())
        ]
        return pa.concat_arrays(parts) if parts else pa.array([], pa.string())


def _identity(rows: pa.RecordBatch, *, by_time: bool) -> pa.Array:
    columns = [rows.column(name) for name in ("path", "ref", "digest", "version_id", "e_tag", "size")]
    time = rows.column("last_modified").cast(pa.int64())
    if not by_time:
        # Where nothing but the URI identifies an object, its time is all that tells of new content.
        named = pc.and_(pc.equal(rows.column("digest"), rows.column("ref")), pc.is_null(rows.column("e_tag")))
        time = pc.if_else(pc.fill_null(named, False), time, None)
    columns = [pc.fill_null(column.cast(pa.string()), "\0") for column in (*columns, time)]
    return pc.binary_join_element_wise(*columns, "\n")


async def list_again(receipt: Receipt, options: tuple[StoreOptions, ...]) -> Relisting:
    """Scan a reference to a folder again; what is not there any more gives no entries."""
    location = locate_ref(receipt.uri, options)
    folder = replace(location, key=receipt.prefix or "", version_id=None)
    only = PathFilter.of(folder, receipt.include, receipt.exclude)
    scan = Scan(folder, open_source(folder, options, checksum=receipt.checksum), max_objects=None, only=only)
    try:
        now = await collect(scan, location, name=receipt.name, checksum=receipt.checksum)
    except ObjectNotFoundError:
        now = []  # every entry of it is reported
    return Relisting(receipt, folder, now)
