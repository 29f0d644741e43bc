"""What a store answered, and the head of an answer read: as far as listings and HEADs need it, and no further."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["Answer", "Head", "read_head"]

_VERSION = "HTTP/1.1 "
_BODILESS = (204, 304)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer.

    Attributes:
        status: Its HTTP status.
        headers: Its headers, their names in lower case; of those that stand there twice, the first.
        body: Its body, whole.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


class Head(NamedTuple):
    """The head of an answer.

    Attributes:
        status: Its HTTP status.
        headers: Its headers, their names in lower case.
        length: Bytes of the body; ``None``: it comes in chunks.
        closes: No other request may follow over this connection.
    """

    status: int
    headers: dict[str, str]
    length: int | None
    closes: bool


def read_head(head: bytes, *, bodiless: bool) -> Head:
    """Read a status line and headers, strictly: what is unusual is for the SDK.

    Source: RFC 9112, sections 4 to 6.

    Args:
        head: Status line and headers, without the empty line behind them.
        bodiless: It answers a HEAD.

    Raises:
        ValueError: It is none of HTTP/1.1, is not final, or does not say clearly where the body ends.
    """
    text = head.decode("ascii")
    first, *lines = text.split("\r\n")
    code = first[len(_VERSION) : len(_VERSION) + 3]
    breaks = len(lines)
    if text.count("\r") != breaks or text.count("\n") != breaks or not first.startswith(_VERSION):
        raise ValueError("no answer of HTTP/1.1")
    if not code.isdecimal() or code < "200" or first[len(_VERSION) + 3 :][:1].strip():
        raise ValueError("no final answer")
    status = int(code)
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        name = name.lower()
        if not colon or not name or " " in name or "\t" in name:
            raise ValueError("no header")
        if name in headers:
            if name in ("content-length", "transfer-encoding"):
                raise ValueError("two lengths")
            continue
        headers[name] = value.strip(" \t")
    closes = "connection" in headers and headers["connection"].lower() != "keep-alive"
    return Head(status, headers, _length(headers, bodiless=bodiless or status in _BODILESS), closes)


def _length(headers: Mapping[str, str], *, bodiless: bool) -> int | None:
    length, coding = headers.get("content-length"), headers.get("transfer-encoding")
    if bodiless:
        return 0
    if coding is not None:
        if coding.lower() != "chunked" or length is not None:
            raise ValueError("an unusual transfer coding")
        return None
    if not length or not length.isdecimal():
        raise ValueError("no length")
    return int(length)
