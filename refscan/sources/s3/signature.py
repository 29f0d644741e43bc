"""Signature version 4 of requests without a body, in a header, for a few microseconds each."""

from __future__ import annotations

import hashlib
import hmac
import time

__all__ = ["Signer"]

_ALGORITHM = "AWS4-HMAC-SHA256"
_EMPTY = hashlib.sha256(b"").hexdigest()


class Signer:
    """Signs with one access key, for one region and service.

    Source: the S3 API reference, "Signature Calculations for the Authorization Header: Transferring Payload in a
    Single Chunk". What it makes is what the SDK's own signer makes; a test compares them.

    Args:
        access_key: The access key's ID.
        secret_key: The secret.
        token: The session token, if the key is a temporary one.
        region: The region.
        service: ``s3``, mostly.
    """

    def __init__(self, access_key: str, secret_key: str, token: str | None, *, region: str, service: str) -> None:
        self._credentials = (access_key, secret_key, token)
        self._place = f"{region}/{service}/aws4_request"
        self._parts = (region.encode(), service.encode(), b"aws4_request")
        self._second = -1
        self._day = ""

    def __repr__(self) -> str:
        return f"Signer({self._place})"

    def has(self, access_key: str, secret_key: str, token: str | None) -> bool:
        """Tell whether these are its credentials."""
        return self._credentials == (access_key, secret_key, token)

    def sign(self, method: str, host: str, path: str, query: str, *, payer: str | None = None) -> dict[str, str]:
        """Return the headers that make a request a signed one.

        Args:
            method: ``GET`` or ``HEAD``.
            host: As the header ``Host`` has it.
            path: Quoted, as it is sent.
            query: Quoted, as it is sent, its parameters sorted, each with a ``=``.
            payer: Goes into ``x-amz-request-payer``.
        """
        self._look_at_the_clock()
        headers = {"x-amz-content-sha256": _EMPTY, "x-amz-date": self._moment}
        if payer:
            headers["x-amz-request-payer"] = payer
        if self._credentials[2]:
            headers["x-amz-security-token"] = self._credentials[2]
        names = "host;" + ";".join(headers)
        lines = "".join([f"{name}:{value}\n" for name, value in headers.items()])
        request = f"{method}\n{path}\n{query}\nhost:{host}\n{lines}\n{names}\n{_EMPTY}"
        text = f"{self._begin}{hashlib.sha256(request.encode()).hexdigest()}"
        signature = hmac.digest(self._key, text.encode(), "sha256").hex()
        headers["Authorization"] = f"{self._credential}, SignedHeaders={names}, Signature={signature}"
        return headers

    def _look_at_the_clock(self) -> None:
        now = int(time.time())
        if now == self._second:
            return
        self._moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
        if self._day != (day := self._moment[:8]):
            access_key, secret_key, _ = self._credentials
            key = f"AWS4{secret_key}".encode()
            for part in (day.encode(), *self._parts):
                key = hmac.digest(key, part, "sha256")
            self._key, self._day = key, day
            self._credential = f"{_ALGORITHM} Credential={access_key}/{day}/{self._place}"
        self._begin = f"{_ALGORITHM}\n{self._moment}\n{day}/{self._place}\n"
        self._second = now
