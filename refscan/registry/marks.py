"""What the versions of a registry need of its store."""

from __future__ import annotations

import errno
import string
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from refscan.errors import StoreError
from refscan.manifest.index import Segment
from refscan.registry.store import Kind, LocalStore

__all__ = ["Marks"]

_KEY_BYTES = 16
_TEXT_BYTES = 24  # an MD5 in base64: 22 digits and "=="
_BATCH_ROWS = 65_536
_MOST_WAITING = 1 << 20
_SEXTETS = np.zeros(256, np.uint8)
_SEXTETS[list((string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/").encode())] = np.arange(64)


class Marks:
    """The manifests that versions need, with their segments and stored files.

    A segment is read only if its manifest says that it holds stored files. Memory: a name for each manifest and
    segment, 16 bytes for each stored file.

    Args:
        store: Where they lie.
    """

    def __init__(self, store: LocalStore) -> None:
        self._store = store
        self._manifests: set[str] = set()
        self._segments: set[str] = set()
        self._files = np.empty(0, f"S{_KEY_BYTES}")
        self._waiting: list[NDArray[np.bytes_]] = []

    def add(self, manifests: Iterable[str]) -> None:
        """Mark manifests and all they need.

        Raises:
            StoreError: One cannot be read, so nobody knows what it needs.
        """
        for name in manifests:
            if name in self._manifests:
                continue
            for segment in self._store.read_index(name).segments:
                if segment.name not in self._segments:
                    if segment.files is None or segment.files:
                        self._add_files(segment)
                    self._segments.add(segment.name)
            self._manifests.add(name)

    def _add_files(self, segment: Segment) -> None:
        path = self._store.segment_path(segment.name)
        try:
            with pq.ParquetFile(path, page_checksum_verification=True) as file:
                for batch in file.iter_batches(_BATCH_ROWS, columns=["ref", "digest"]):
                    digests = batch.filter(pc.is_null(batch.column("ref"))).column("digest")
                    self._waiting.append(_decoded(digests))
        except (OSError, pa.ArrowInvalid) as error:
            # Arrow says without a number that it cannot decode; what a file system refuses today it may give tomorrow.
            if isinstance(error, OSError) and error.errno not in (None, errno.ENOENT):
                raise
            raise StoreError(
                f"the registry's store lacks {path}, or it is damaged; restore it from a backup, or delete its version"
            ) from None
        if sum(map(len, self._waiting)) > max(_MOST_WAITING, len(self._files)):
            self._merge()

    def _merge(self) -> None:
        self._files, self._waiting = np.unique(np.concatenate([self._files, *self._waiting])), []

    def needs(self, kind: Kind, path: Path) -> bool:
        """Tell whether a version needs a stored file."""
        if kind == "files":
            if self._waiting:
                self._merge()
            key = np.array(bytes.fromhex(path.name), self._files.dtype)
            at = int(np.searchsorted(self._files, key))
            return at < len(self._files) and bool(self._files[at] == key)
        return path.name in (self._manifests if kind == "manifests" else self._segments)


def _decoded(digests: pa.Array) -> NDArray[np.bytes_]:
    """Return the bytes of MD5s in base64."""
    whole = digests.filter(pc.equal(pc.binary_length(digests), _TEXT_BYTES))
    texts = np.frombuffer(whole.cast(pa.binary()).cast(pa.binary(_TEXT_BYTES)).buffers()[1], np.uint8).reshape(
        -1, _TEXT_BYTES
    )
    # Four digits of six bits are three bytes; what the padding would give is cut off.
    one, two, three, four = (_SEXTETS[texts[:, at::4]] for at in range(4))
    groups = np.stack([one << 2 | two >> 4, two << 4 | three >> 2, three << 6 | four], axis=2)
    keys = groups.reshape(len(texts), _TEXT_BYTES // 4 * 3)[:, :_KEY_BYTES]
    return np.ascontiguousarray(keys).view(f"S{_KEY_BYTES}").ravel()
