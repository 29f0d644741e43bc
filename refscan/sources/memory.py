"""Objects in this process's memory: for tests, and for pipelines that make their objects themselves."""

from __future__ import annotations

import bisect
import hashlib
import itertools
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import ClassVar, Self

import pyarrow as pa
import pyarrow.compute as pc

from refscan.errors import DigestMismatchError, ObjectNotFoundError
from refscan.sources.source import Body, Capabilities, Page, page_rows

__all__ = ["MemorySource"]


@dataclass(frozen=True, slots=True)
class _Version:
    data: bytes | None
    version_id: str
    e_tag: str = field(default="")
    last_modified: datetime = field(default_factory=lambda: datetime.now(UTC))


class MemorySource:
    """A bucket in memory, found again as ``memory://NAME/``.

    Every ``put`` keeps the earlier versions, as a versioned bucket does.

    Args:
        name: The bucket's name; a later source of the same name takes its place.
        page_size: Keys in a page.
    """

    _named: ClassVar[dict[str, MemorySource]] = {}

    def __init__(self, name: str, *, page_size: int = 1_000) -> None:
        self.base = f"memory://{name}/"
        self.page_size = page_size
        self.requests = self.retries = 0
        self.endpoint = None
        self._keys: list[str] = []
        self._versions: dict[str, list[_Version]] = {}
        self._count = 0
        self._named[name] = self

    @classmethod
    def named(cls, name: str) -> MemorySource:
        """Return the bucket of this name.

        Raises:
            ObjectNotFoundError: None was made in this process.
        """
        try:
            return cls._named[name]
        except KeyError:
            uri = f"memory://{name}/"
            raise ObjectNotFoundError(f"{uri}: no such bucket; make it with MemorySource({name!r})", uri=uri) from None

    @property
    def capabilities(self) -> Capabilities:
        """Everything: memory answers all."""
        return Capabilities(pinned=True, stat_batch=1_000, stat_concurrency=4)

    def put(self, key: str, data: bytes) -> str:
        """Store ``data`` as the newest version of ``key`` and return its version ID."""
        return self._add(key, data)

    def delete(self, key: str) -> None:
        """Hide ``key``; its versions stay readable by their version IDs."""
        self._add(key, None)

    def _add(self, key: str, data: bytes | None) -> str:
        self._count += 1
        version = _Version(data, str(self._count), hashlib.md5(data or b"", usedforsecurity=False).hexdigest())
        if key not in self._versions:
            bisect.insort(self._keys, key)
        self._versions.setdefault(key, []).append(version)
        return version.version_id

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        pass

    async def list_page(
        self, prefix: str, *, after: str = "", until: str | None = None, token: str | None = None
    ) -> Page:
        """See ``Source.list_page``."""
        self.requests += 1
        found: list[tuple[str, _Version]] = []
        for key in self._from(prefix, token or after):
            if until is not None and key > until:
                break
            version = self._versions[key][-1]
            if version.data is None:
                continue
            if len(found) == self.page_size:
                last = found[-1][0]
                return Page(_rows(found), next_after=last, token=last)
            found.append((key, version))
        return Page(_rows(found))

    async def probe(self, prefix: str, *, after: str) -> str | None:
        """See ``Source.probe``."""
        self.requests += 1
        return next((k for k in self._from(prefix, after) if self._versions[k][-1].data is not None), None)

    def _from(self, prefix: str, after: str) -> Iterator[str]:
        first = max(bisect.bisect_right(self._keys, after), bisect.bisect_left(self._keys, prefix))
        behind = itertools.islice(self._keys, first, None)
        return itertools.takewhile(lambda key: key.startswith(prefix), behind)

    async def stat(self, keys: Sequence[str], *, version_id: str | None = None) -> Page:
        """See ``Source.stat``."""
        self.requests += 1
        found = [(key, version) for key in keys if (version := self._find(key, version_id)) is not None]
        return Page(_rows(found))

    def _find(self, key: str, version_id: str | None) -> _Version | None:
        versions = self._versions.get(key, ())
        if version_id is not None:
            return next((v for v in versions if v.version_id == version_id and v.data is not None), None)
        return versions[-1] if versions and versions[-1].data is not None else None

    @asynccontextmanager
    async def open(
        self,
        key: str,
        *,
        version_id: str | None = None,
        e_tag: str | None = None,
        start: int = 0,
        length: int | None = None,
    ) -> AsyncIterator[Body]:
        """See ``Source.open``."""
        self.requests += 1
        version = self._find(key, version_id)
        uri = self.base + key
        if version is None or version.data is None:
            raise ObjectNotFoundError(f"{uri}: no such object or version", uri=uri)
        if e_tag is not None and e_tag != version.e_tag:
            raise DigestMismatchError(f"{uri} was overwritten: it has ETag {version.e_tag} now, not {e_tag}", uri=uri)
        data = version.data
        partial = start > 0 or length is not None
        part = data[start : None if length is None else start + length]

        async def chunks() -> AsyncIterator[bytes]:
            yield part

        yield Body(chunks(), len(data), version.e_tag, version.version_id, partial)

    def refs(self, keys: pa.Array) -> pa.Array:
        """See ``Source.refs``."""
        return pc.binary_join_element_wise(self.base, keys, "")

    async def digests(self, rows: pa.RecordBatch, refs: pa.Array) -> pa.Array:  # noqa: ARG002
        """See ``Source.digests``: the ETag."""
        return rows.column("e_tag")

    async def uri_digests(self, rows: pa.RecordBatch, refs: pa.Array) -> pa.Array:  # noqa: ARG002
        """See ``Source.uri_digests``: the URI."""
        return refs


def _rows(found: list[tuple[str, _Version]]) -> pa.RecordBatch:
    return page_rows(
        key=[key for key, _ in found],
        size=[len(v.data or b"") for _, v in found],
        e_tag=[v.e_tag for _, v in found],
        version_id=[v.version_id for _, v in found],
        last_modified=[v.last_modified for _, v in found],
    )
