"""A file of pages that is only ever appended to: what was written whole before a kill is read back, the rest is not."""

from __future__ import annotations

import json
import os
import struct
import tempfile
import weakref
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from refscan.sources.source import PAGE_SCHEMA

__all__ = ["Record", "RunFile"]

# Lengths of the header and of the rows, and a checksum of both.
_FRAME = struct.Struct("<III")


class Record(NamedTuple):
    """One record: its header, its rows, and where the next one begins."""

    header: dict[str, Any]
    rows: pa.RecordBatch
    end: int


class RunFile:
    """Records of ``PAGE_SCHEMA`` rows, each with a small header of JSON's types.

    A record that was appended outlives the process. Should the machine lose power, the records up to the first that
    did not reach the disk are there. A file without a name needs no checksums, and has none.

    Args:
        path: The file, which may be there already; ``None`` makes one without a name, gone with the process.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._close: weakref.finalize[[int], RunFile] | None = None
        self._descriptor = -1
        self._end = 0 if path is None or not path.exists() else path.stat().st_size

    @property
    def end(self) -> int:
        """Where the next record will begin."""
        return self._end

    def append(self, header: Mapping[str, Any], rows: pa.RecordBatch) -> None:
        """Add a record."""
        head = json.dumps(header, separators=(",", ":")).encode()
        # Not compressed: that costs more than all else that is done with a page.
        body = rows.serialize()
        frame = _FRAME.pack(len(head), body.size, self._checksum(head, body))
        data = [frame + head, body]
        written, size = 0, len(data[0]) + body.size
        while written < size:
            # All at once, but for a disk that is nearly full.
            left = data if not written else [memoryview(b"".join(data))[written:]]
            written += os.pwritev(self._open(), left, self._end + written)
        self._end += size

    def read(self, offset: int) -> Record:
        """Read the record that begins at ``offset``; it must be a whole one."""
        record = self._read(offset)
        if record is None:
            raise EOFError(f"no record begins at {offset}")
        return record

    def recover(self) -> Iterator[Record]:
        """Read all records from the beginning, and cut off what follows the last whole one."""
        end = 0
        while (record := self._read(end)) is not None:
            end = record.end
            yield record
        if self._end > end:
            os.ftruncate(self._open(), end)
            self._end = end

    def close(self) -> None:
        """Close the file; one with a name is opened again when it is needed."""
        if self._close is not None:
            self._close()
            self._close = None

    def _open(self) -> int:
        if self._close is None:
            if self._path is None:
                with tempfile.TemporaryFile(prefix="refscan-") as file:
                    self._descriptor = os.dup(file.fileno())
            else:
                self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._close = weakref.finalize(self, os.close, self._descriptor)
        return self._descriptor

    def _checksum(self, *parts: bytes | pa.Buffer) -> int:
        checksum = 0
        if self._path is not None:
            for part in parts:
                checksum = zlib.crc32(part, checksum)
        return checksum

    def _read(self, offset: int) -> Record | None:
        if offset + _FRAME.size > self._end:
            return None
        descriptor = self._open()
        frame = os.pread(descriptor, _FRAME.size, offset)
        if len(frame) < _FRAME.size:
            return None
        head_size, body_size, checksum = _FRAME.unpack(frame)
        end = offset + _FRAME.size + head_size + body_size
        if head_size == 0 or end > self._end:
            return None
        data = os.pread(descriptor, head_size + body_size, offset + _FRAME.size)
        if len(data) < head_size + body_size or self._checksum(data) != checksum:
            return None
        rows = pa.ipc.read_record_batch(pa.py_buffer(data).slice(head_size), PAGE_SCHEMA)
        return Record(json.loads(data[:head_size]), rows, end)
