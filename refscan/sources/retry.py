"""Requests that are sent again: to stores that are busy, and over connections that break."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

import aiohttp
import anyio

__all__ = ["BUSY", "SILENCE", "BusyError", "Repeats", "raise_if_busy", "retry_after", "retrying"]

BUSY = frozenset([408, 429, 500, 502, 503, 504])
"""HTTP statuses of a store that may answer the same request otherwise a little later."""

SILENCE = 30.0
"""Seconds without a byte after which a connection is given up."""

_THROTTLED = (429, 503)
_ATTEMPTS = 6
# An endpoint that cannot be reached is told within ten seconds, though a connection may take three to fail.
_CONNECTION_ATTEMPTS = 2
_SILENCES = 2
_FIRST_DELAY = 0.25
_LONGEST_DELAY = 20.0
_LONGEST_RETRY_AFTER = 120.0

T = TypeVar("T")


class BusyError(Exception):
    """A store said that it is busy.

    Attributes:
        status: The HTTP status.
        delay: Seconds it asks to wait; ``None`` if it does not tell.
    """

    def __init__(self, status: int, delay: float | None) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        self.delay = delay


def raise_if_busy(status: int, headers: Mapping[str, str]) -> None:
    """Raise ``BusyError`` for a status that is worth another attempt."""
    if status in BUSY:
        raise BusyError(status, retry_after(headers))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of a ``Retry-After`` header: a number, or a date (RFC 9110, section 10.2.3)."""
    text = headers.get("Retry-After", "").strip()
    if text.isdecimal():
        return float(text)
    try:
        when = parsedate_to_datetime(text) if text else None
    except (ValueError, OverflowError):
        return None
    if when is None:
        return None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())


@dataclass(slots=True)
class Repeats:
    """Counts of one source's requests.

    Attributes:
        retries: Those that were sent again.
        throttled: Answers of a store that wants fewer requests.
    """

    retries: int = 0
    throttled: int = 0


async def retrying(attempt: Callable[[], Awaitable[T]], repeats: Repeats) -> T:
    """Return what ``attempt`` returns, which is called again while the store is busy or the connection breaks.

    The waits double, with jitter; ``Retry-After`` is obeyed up to two minutes. A connection that says nothing for long
    is given up, and asked for on another one once more.

    Raises:
        BusyError: It was busy each time, or asks for more than two minutes.
        aiohttp.ClientError: The connection failed each time.
        TimeoutError: There was no answer in time.
    """
    number = failed_connections = silences = 0
    while True:
        number += 1
        backoff = min(_LONGEST_DELAY, _FIRST_DELAY * 2 ** (number - 1)) * random.uniform(0.5, 1)  # noqa: S311  jitter
        try:
            return await attempt()
        except BusyError as busy:
            repeats.throttled += busy.status in _THROTTLED
            delay = backoff if busy.delay is None else busy.delay
            if number >= _ATTEMPTS or delay > _LONGEST_RETRY_AFTER:
                raise
        except (
            aiohttp.ServerDisconnectedError,
            aiohttp.ClientPayloadError,
            aiohttp.ClientOSError,
            ConnectionResetError,
        ) as error:
            failed_connections += isinstance(error, aiohttp.ClientConnectorError)
            if (
                number >= _ATTEMPTS
                or failed_connections >= _CONNECTION_ATTEMPTS
                or isinstance(error, aiohttp.ClientSSLError)
            ):
                raise
            delay = backoff
        except aiohttp.ConnectionTimeoutError:
            failed_connections += 1
            if failed_connections >= _CONNECTION_ATTEMPTS:
                raise
            delay = backoff
        except aiohttp.SocketTimeoutError:
            silences += 1
            if silences >= _SILENCES:
                raise
            delay = backoff
        repeats.retries += 1
        await anyio.sleep(delay)
