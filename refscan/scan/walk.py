"""Listing by folders: for sources whose listings are not in key order, or know one folder at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
from anyio.abc import TaskGroup

from refscan.errors import ListingOrderError, StoreError
from refscan.manifest.receipt import RangeReceipt
from refscan.scan.buffer import Listed
from refscan.scan.journal import Journal
from refscan.scan.limits import LIST_CONCURRENCY, MAX_DEPTH
from refscan.scan.run_file import RunFile
from refscan.scan.sorter import Sorter
from refscan.scan.tally import Tally
from refscan.sources.source import NoIndexError, Page, Source, page_rows

__all__ = ["FolderWalk"]


class FolderWalk:
    """Lists a prefix of a source that is not ordered, folder by folder if the source is walked.

    Folders are listed concurrently, the newest ones first, so that few of them wait. Nothing is handed on before all
    is listed and sorted.

    Args:
        source: Lists it.
        prefix: What all keys begin with.
        uri: What is listed, for errors.
        tally: Counts what is seen.
        requests: How many may be under way, of all scans of the place.
        journal: Keeps what is listed, and may hold what was listed before: whole folders.
    """

    splits = 0

    def __init__(
        self,
        source: Source,
        prefix: str,
        uri: str,
        tally: Tally,
        requests: anyio.CapacityLimiter,
        *,
        journal: Journal | None = None,
    ) -> None:
        self._source = source
        self._prefix = prefix
        self._uri = uri
        self._tally = tally
        self._sorter = Sorter(uri)
        self._folders = [prefix]
        self._active = 0
        self._changed = anyio.Event()
        self._complete = True
        self._requests = requests
        self._run_file = None if journal is None else journal.folders
        if journal is not None:
            self._restore(journal.folders)

    def _restore(self, kept: RunFile) -> None:
        """Take over the folders that were listed to their end before the scan was killed."""
        begun: dict[str, int] = {}
        whole: dict[str, int] = {}
        for number, record in enumerate(kept.recover()):
            folder = record.header["folder"]
            if record.header["page"] == 0:
                begun[folder] = number
            if record.header["ended"]:
                whole[folder] = begun[folder]
        waiting = {self._prefix}
        for number, record in enumerate(kept.recover()):
            note = record.header
            # A folder may have been begun before, in vain.
            if number < whole.get(note["folder"], number + 1):
                continue
            self._complete &= note["complete"]
            self._tally.restore(record.rows.num_rows, note["skipped"], note["requests"])
            self._sorter.add(record.rows)
            waiting.update(note["folders"])
        self._folders = sorted(waiting - whole.keys(), reverse=True)

    def ranges(self) -> tuple[RangeReceipt, ...]:
        """Return the one range that a walk covers."""
        return (RangeReceipt("", None, self._tally.listed),)

    @property
    def pages_guessed(self) -> float:
        """Folders that are known and not listed yet."""
        return len(self._folders)

    @property
    def open_ranges(self) -> int:
        """Folders that are being listed."""
        return self._active

    def close(self) -> None:
        """Forget what was listed; all tasks have ended."""
        self._sorter.close()

    def start(self, group: TaskGroup, sink: Callable[[Listed], Awaitable[None]], end: Callable[[], None]) -> None:
        """Begin listing; pages go to ``sink``, in key order, and ``end`` is called behind the last one."""
        group.start_soon(self._run, sink, end)

    async def _run(self, sink: Callable[[Listed], Awaitable[None]], end: Callable[[], None]) -> None:
        try:
            async with anyio.create_task_group() as workers:
                for _ in range(LIST_CONCURRENCY if self._source.capabilities.walked else 1):
                    workers.start_soon(self._work)
            for rows in self._sorter.batches():
                await sink(Listed(rows, self._complete))
        finally:
            self._sorter.close()
        end()

    async def _work(self) -> None:
        while self._folders or self._active:
            if not self._folders:
                await self._changed.wait()
                continue
            folder = self._folders.pop()
            self._active += 1
            await self._list(folder)
            self._active -= 1
            self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    async def _list(self, folder: str) -> None:
        tokens: set[str] = set()
        token: str | None = None
        while True:
            page = await self._ask(folder, token)
            if page is None:
                # A folder of a web server with a page of its own: what lies in it, the server does not tell.
                self._keep(folder, Page(page_rows(key=[]), skipped={"folder_without_index": 1}), 0)
                return
            self._complete &= page.complete
            self._add_folders(folder, page)
            self._keep(folder, page, len(tokens))
            token = page.token
            if token is None:
                return
            if token in tokens:
                raise ListingOrderError(f"{self._uri}: the listing of {folder!r} stands still", uri=self._uri)
            tokens.add(token)

    async def _ask(self, folder: str, token: str | None) -> Page | None:
        """Return a page, or ``None`` where a folder has no index."""
        try:
            async with self._requests:
                with self._tally.asking():
                    return await self._source.list_page(folder, token=token)
        except NoIndexError:
            if folder == self._prefix:
                raise
            return None

    def _keep(self, folder: str, page: Page, number: int) -> None:
        before = self._tally.skipped.copy()
        rows = self._tally.keep(page, page.rows)
        if self._run_file is not None:
            note = {
                "folder": folder,
                "page": number,
                "folders": [*page.folders],
                "ended": page.token is None,
                "complete": page.complete,
                "skipped": self._tally.skipped - before,
                "requests": self._tally.requests(self._source),
            }
            self._run_file.append(note, rows)
        self._sorter.add(rows)

    def _add_folders(self, folder: str, page: Page) -> None:
        for below in page.folders:
            if not (below.startswith(folder) and len(below) > len(folder) and below.endswith("/")):
                raise ListingOrderError(
                    f"{self._uri}: the listing of {folder!r} names {below!r}, which does not lie below", uri=self._uri
                )
            if below.count("/") - self._prefix.count("/") > MAX_DEPTH:
                raise StoreError(
                    f"{self._uri}: folders lie more than {MAX_DEPTH} deep ({below[:80]!r}…), as where a link leads "
                    f"back up; reference a folder further down",
                    uri=self._uri,
                )
        if page.folders:
            self._folders.extend(reversed(page.folders))
            self._tell()
