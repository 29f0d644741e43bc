"""requests: HEAD for each URL, in threads with a session each, into a dictionary by URL."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import requests
from url_list import urls_of

__all__ = ["run"]

# More of them only wait for one another.
_THREADS = 16


async def run(uri: str, *, versions: bool) -> int:
    """Return the number of URLs recorded."""
    del versions
    own = threading.local()

    def head(url: str) -> tuple[str, tuple[str, int]]:
        if not hasattr(own, "session"):
            own.session = requests.Session()
        response = own.session.head(url)
        response.raise_for_status()
        return url, (response.headers["ETag"].strip('"'), int(response.headers["Content-Length"]))

    with ThreadPoolExecutor(_THREADS) as threads:
        return len(dict(threads.map(head, urls_of(uri))))
