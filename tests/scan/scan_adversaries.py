"""Buckets to scan, the worst keys, and sources that keep the contract badly, or not at all."""

import random
from collections.abc import Sequence
from dataclasses import replace

import anyio
import pyarrow as pa
from hypothesis import strategies as st

from refscan.scan.pipeline import Scan
from refscan.sources.memory import MemorySource
from refscan.sources.source import Capabilities, Page, page_rows
from refscan.uri import Location

LONG = "p" * 900
COLUMNS = ("key", "size", "e_tag", "version_id")

texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
shared_prefixes = st.text(st.characters(codec="utf-8"), max_size=6).map(lambda tail: LONG + tail)
last_characters = st.characters(codec="utf-8").map(lambda last: "images/train-" + last)
astral = st.text(st.characters(min_codepoint=0x10000, max_codepoint=0x10FFFF), min_size=1, max_size=4)
controls = st.text(st.characters(min_codepoint=0, max_codepoint=0x1F), min_size=1, max_size=5)
around_the_slash = st.sampled_from(["a.txt", "a/b", "a0", "a", "a/", "a//", "a/b/c", "a-b", "a!"])

key_sets = st.one_of(
    [
        st.sets(kind, min_size=1, max_size=40)
        for kind in (texts, shared_prefixes, last_characters, astral, controls, around_the_slash)
    ]
    + [st.sets(st.one_of(texts, shared_prefixes, last_characters, astral, controls, around_the_slash), min_size=1)]
)


def bucket(keys, *, page_size: int = 1_000, name: str = "scanned") -> MemorySource:
    """Return a bucket whose objects differ in size and content; none is a folder marker."""
    source = MemorySource(name, page_size=page_size)
    for number, key in enumerate(sorted(keys)):
        source.put(key, b"x" * (number % 7 + 1))
    return source


def numbered(count: int, *, page_size: int = 1_000, prefix: str = "") -> MemorySource:
    return bucket([f"{prefix}{number:06}" for number in range(count)], page_size=page_size)


def truth(source: MemorySource, prefix: str = "") -> list[dict[str, object]]:
    """Return what a scan must give, by plain Python over the bucket's own data."""
    return [
        {"key": key, "size": len(newest.data), "e_tag": newest.e_tag, "version_id": newest.version_id}
        for key in sorted(source._versions)
        if key.startswith(prefix) and (newest := source._versions[key][-1]).data is not None
    ]


def scanning(source, key: str = "", *, max_objects=None, bounds: Sequence[str] = (), pin=None, resume=None) -> Scan:
    location = Location("memory", "scanned", key, pin, "memory")
    return Scan(location, source, max_objects=max_objects, bounds=bounds, resume=resume)


async def taken(scan: Scan) -> list[dict[str, object]]:
    """Return all rows of a scan that was entered."""
    return [row for batch in [batch async for batch in scan] for row in batch.select(COLUMNS).to_pylist()]


async def scanned_into(rows: list[dict[str, object]], source, **options) -> None:
    """Scan to the end, or to an error; ``rows`` holds all that was seen before it."""
    async with scanning(source, **options) as scan:
        async for batch in scan:
            rows += batch.select(COLUMNS).to_pylist()


async def scanned(source, key: str = "", **options) -> tuple[list[dict[str, object]], Scan]:
    async with scanning(source, key, **options) as scan:
        rows = await taken(scan)
    return rows, scan


class Handing:
    """Hands everything on to a bucket; what follows overrides what it breaks."""

    def __init__(self, inner, *, capabilities: Capabilities | None = None):
        self.inner = inner
        self.base = inner.base
        self.capabilities = capabilities or replace(inner.capabilities, list_concurrency=8)
        self.opened = self.closed = 0
        self.listings = self.stats = 0
        self.under_way = self.most_under_way = 0
        self.endpoint = None

    @property
    def requests(self) -> int:
        return self.inner.requests

    @property
    def retries(self) -> int:
        return self.inner.retries

    async def __aenter__(self):
        await self.inner.__aenter__()
        self.opened += 1
        return self

    async def __aexit__(self, *exc_info):
        await anyio.lowlevel.checkpoint()
        await self.inner.__aexit__(*exc_info)
        self.closed += 1

    async def list_page(self, prefix, *, after="", until=None, token=None):
        self.listings += 1
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            return await self._list_page(prefix, after, until, token)
        finally:
            self.under_way -= 1

    async def _list_page(self, prefix, after, until, token):
        return await self.inner.list_page(prefix, after=after, until=until, token=token)

    async def stat(self, keys, *, version_id=None):
        self.stats += 1
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            return await self._stat(keys, version_id)
        finally:
            self.under_way -= 1

    async def _stat(self, keys, version_id):
        return await self.inner.stat(keys, version_id=version_id)

    async def probe(self, prefix, *, after):
        return await self.inner.probe(prefix, after=after)

    def open(self, key, **options):
        return self.inner.open(key, **options)

    def refs(self, keys):
        return self.inner.refs(keys)

    async def digests(self, rows, refs):
        return await self.inner.digests(rows, refs)

    async def uri_digests(self, rows, refs):
        return await self.inner.uri_digests(rows, refs)


class Distant(Handing):
    """Takes its time to answer, as long for one request as for many at once."""

    crowded = 0

    async def _list_page(self, prefix, after, until, token):
        self.crowded += self.under_way > 4
        for _ in range(30):
            await anyio.lowlevel.checkpoint()
        return await super()._list_page(prefix, after, until, token)


class Erratic(Handing):
    """Pages of any size (none of them empty), which come back in any order."""

    def __init__(self, inner, *, seed: int = 0, most: int = 5, **options):
        super().__init__(inner, **options)
        self.random = random.Random(seed)
        self.most = most

    async def _delay(self):
        for _ in range(self.random.randrange(12)):
            await anyio.lowlevel.checkpoint()

    async def _list_page(self, prefix, after, until, token):
        await self._delay()
        self.inner.page_size = self.random.randint(1, self.most)
        page = await super()._list_page(prefix, after, until, token)
        await self._delay()
        return page

    async def _stat(self, keys, version_id):
        await self._delay()
        page = await super()._stat(keys, version_id)
        await self._delay()
        return page


class Overshooting(Erratic):
    """Knows no ``until``, as S3 does not, so that pages reach into the next range."""

    async def _list_page(self, prefix, after, until, token):  # noqa: ARG002
        return await super()._list_page(prefix, after, None, token)


class EmptyPages(Erratic):
    """Sends pages without rows between the others, as S3 does where a page held delete markers only."""

    async def _list_page(self, prefix, after, until, token):
        page = await super()._list_page(prefix, after, until, token)
        if self.random.random() < 0.4 and page.rows.num_rows > 0:
            before = page.rows.column("key")[0].as_py()
            if before > after + "\0":
                # Nothing lies between `after` and the character before its successor.
                return Page(page_rows(key=[]), next_after=after + "\0", token=token)
        return page


class ByTokens(Erratic):
    """Ignores ``after`` and ``until``; opaque tokens lead on from page to page."""

    def __init__(self, inner, **options):
        super().__init__(inner, **options)
        self.tokens: dict[str, str] = {}
        self.begun = 0

    async def _list_page(self, prefix, after, until, token):  # noqa: ARG002
        self.begun += token is None
        page = await super()._list_page(prefix, self.tokens[token] if token else "", None, None)
        if page.next_after is None:
            return page
        opaque = f"{len(self.tokens)}-{self.random.random()}"
        self.tokens[opaque] = page.next_after
        return replace(page, token=opaque)


class Incomplete(Erratic):
    """Lists keys only; all else wants a ``stat``."""

    async def _list_page(self, prefix, after, until, token):
        page = await super()._list_page(prefix, after, until, token)
        return replace(page, rows=page_rows(key=page.rows.column("key")), complete=False)


def reversed_rows(rows: pa.RecordBatch) -> pa.RecordBatch:
    return rows.take(pa.array(range(rows.num_rows - 1, -1, -1), pa.int64()))
