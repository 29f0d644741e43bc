"""Requests that are sent again, and a first one that is given up early.

A store that is busy, or a connection that breaks, gets five attempts. An endpoint that has never answered is most
likely a wrong one, so there the waits end within ten seconds. The SDK's own retries are off: they share a budget
among all requests, which a store that slows down many of them at once soon uses up.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from math import inf
from typing import Any

import anyio
from botocore import exceptions as sdk

from refscan.sources.retry import BUSY, retry_after

__all__ = ["ATTEMPTS", "BUSY_CODES", "CONNECT_TIMEOUT", "THROTTLED", "Attempts"]

ATTEMPTS = 5
CONNECT_TIMEOUT = 4.0
"""Seconds that a connection may take; two such attempts, and the wait between them, stay below ten."""

_FIRST_ANSWER = 9.0
_FIRST_DELAY = 0.6
_LONGEST_DELAY = 60.0
_FIRST_CONNECTIONS = 2
_FIRST_BROKEN = 4
BUSY_CODES = frozenset(
    [
        "Busy",
        "BandwidthLimitExceeded",
        "InternalError",
        "OperationAborted",
        "PriorRequestNotComplete",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceUnavailable",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequests",
        "TooManyRequestsException",
    ]
)
"""Codes of stores that are busy, whatever the status beside them."""

THROTTLED = frozenset([429, 503])
"""HTTP statuses of a store that wants fewer requests."""

_THROTTLED_CODES = BUSY_CODES - {
    "Busy",
    "InternalError",
    "OperationAborted",
    "RequestTimeout",
    "RequestTimeoutException",
}


class Attempts:
    """What one client's requests go through: counted, sent again, given up.

    Attributes:
        throttled: Answers so far of a store that wants fewer requests.
        retries: Requests so far that were sent before.

    Args:
        sent: Called for each request that goes out, those of the SDK's own accord too.
    """

    def __init__(self, sent: Callable[[], None]) -> None:
        self.throttled = self.retries = 0
        self.count = sent
        self._reached = False
        self._began: float | None = None
        self._waiting: set[anyio.CancelScope] = set()

    def attach(self, client: Any) -> None:
        """Listen to a client's requests and answers."""
        client.meta.events.register("before-send.s3", self._sent)
        # Ahead of the SDK's handler that follows a bucket to its region, which sees the answer as told here.
        client.meta.events.register_first("needs-retry.s3", self._ended)

    @contextmanager
    def answered_soon(self, endpoint: str) -> Iterator[None]:
        """Give a small request up whose endpoint has never answered anything, and does not in nine seconds.

        The time begins when it is sent: what credentials need is not counted.

        Raises:
            botocore.exceptions.ReadTimeoutError: There was no answer.
        """
        if self._reached:
            yield
            return
        with anyio.CancelScope() as scope:
            self._waiting.add(scope)
            try:
                yield
            finally:
                self._waiting.discard(scope)
        if scope.cancelled_caught:
            raise sdk.ReadTimeoutError(endpoint_url=endpoint)

    async def wait_for_busy(self, headers: Mapping[str, str]) -> None:
        """Wait before a request is sent again through the SDK, as it was answered that the store is busy.

        Args:
            headers: The answer's, their names in lower case.
        """
        self.throttled += 1
        await anyio.sleep(_delay(1, retry_after({"Retry-After": headers.get("retry-after", "")})) or 0)

    def _sent(self, **_: object) -> None:
        self.count()
        if self._reached:
            return
        now = anyio.current_time()
        self._began = self._began or now
        for scope in self._waiting:
            scope.deadline = min(scope.deadline, now + _FIRST_ANSWER)

    def _ended(
        self,
        *,
        response: tuple[Any, dict[str, Any]] | None,
        attempts: int,
        caught_exception: Exception | None,
        request_dict: dict[str, Any],
        **_: object,
    ) -> float | None:
        """Return the seconds to wait before the next attempt; ``None``: there is none."""
        self.retries += attempts > 1
        if response is None:
            return self._after_failure(attempts, caught_exception)
        if not self._reached:
            self._reached = True
            for scope in self._waiting:
                scope.deadline = inf
        http, parsed = response
        status = parsed.get("ResponseMetadata", {}).get("HTTPStatusCode", http.status_code)
        if status < 300:  # noqa: PLR2004  HTTP: success
            return None
        code = parsed.get("Error", {}).get("Code")
        self.throttled += status in THROTTLED or code in _THROTTLED_CODES
        if status in BUSY or code in BUSY_CODES:
            return _delay(attempts, retry_after({"Retry-After": http.headers.get("retry-after", "")}))
        _tell_region(parsed, request_dict)
        return None

    def _after_failure(self, attempts: int, error: Exception | None) -> float | None:
        if not isinstance(error, (sdk.ConnectionError, sdk.HTTPClientError)):
            return None
        if self._reached:
            return _delay(attempts)
        tries = _FIRST_BROKEN if isinstance(error, sdk.ConnectionClosedError) else _FIRST_CONNECTIONS
        late = self._began is not None and anyio.current_time() - self._began > CONNECT_TIMEOUT + 1
        # TLS that fails at first, and what is no failure of a connection, fail again.
        hopeless = isinstance(error, sdk.SSLError) or type(error) is sdk.HTTPClientError
        return None if late or hopeless or attempts >= tries else _delay(attempts)


def _delay(attempts: int, asked: float | None = None) -> float | None:
    if attempts >= ATTEMPTS or (asked or 0) > _LONGEST_DELAY:
        return None
    backoff: float = _FIRST_DELAY * 2 ** (attempts - 1) * random.uniform(0.6, 1)  # noqa: S311  jitter
    return max(backoff, asked or 0)


def _tell_region(parsed: dict[str, Any], request_dict: dict[str, Any]) -> None:
    """Say in the SDK's words that a bucket lies elsewhere, where only a header says so.

    The SDK follows a redirect by its status or its body. The answer to a HEAD has none, and its status may be 400 or
    403; and a redirect that HTTP itself has followed, without the signature, ends as a denial.
    Source: the S3 API reference, ``HeadBucket``, and the S3 user guide, "Making requests using the REST API", "Request
    redirection"; both on ``x-amz-bucket-region`` and the endpoint of a bucket.
    """
    region = parsed.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("x-amz-bucket-region")
    context = request_dict.get("context", {})
    asked = context.get("signing", {}).get("region") or context.get("client_region")
    error = parsed.get("Error", {})
    told = error.get("Code") not in ("301", "307", "400", "403", "AccessDenied")
    if region and region != asked and not told and not context.get("s3_redirect", {}).get("redirected"):
        error["Code"] = "PermanentRedirect"
