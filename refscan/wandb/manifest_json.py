"""A W&B manifest (JSON, version 1), read some entries at a time in memory that does not grow with their number.

A manifest is ``{"version": 1, …, "contents": {"PATH": {"digest": …, "ref": …, "size": …, "extra": …}, …}}``. Where one
entry ends is found in whole blocks of bytes; the entries of a block then go through the JSON parser together.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import IO, Any

import numpy as np

from refscan.errors import ArtifactError

__all__ = ["ManifestError", "read_entries"]

_BLOCK = 4 << 20
_LONGEST_ENTRY = 64 << 20
_ESCAPED = re.compile(rb"\\.", re.DOTALL)
_SPACE = b" \t\r\n"
_QUOTE, _COMMA, _OPEN, _CLOSE, _OPEN_LIST, _CLOSE_LIST = b'",{}[]'
_VERSION = 1


class ManifestError(ArtifactError):
    """A W&B manifest cannot be read; the text says what is wrong with it."""


def read_entries(file: IO[bytes], shown: str, *, block: int = _BLOCK) -> Iterator[dict[str, dict[str, Any]]]:
    """Yield the entries, each a dict of its fields by its path, some at a time in the order of the file.

    Args:
        file: The manifest.
        shown: Its name, for errors.
        block: Bytes to read at a time.

    Raises:
        ArtifactError: It is no W&B manifest of version 1, or it is damaged; entries before that were yielded.
    """
    yield from _Reader(file, shown, block).entries()


class _Reader:
    def __init__(self, file: IO[bytes], shown: str, block: int) -> None:
        self._file = file
        self._shown = shown
        self._block = block
        self._held = b""
        self._ended = False
        self._passed = 0

    def entries(self) -> Iterator[dict[str, dict[str, Any]]]:
        header: dict[str, Any] = {}
        if not self._take(b"{") or self._peek() == b"}":
            raise self._error("it does not begin as an object with members")
        while True:
            key = self._value()
            if not isinstance(key, str) or key in header or not self._take(b":"):
                raise self._error("a new name and ':' were expected")
            header[key] = None
            if key == "contents":
                if not self._take(b"{"):
                    raise self._error("'contents' is no object")
                yield from self._contents()
            else:
                header[key] = self._value()
            if self._take(b"}"):
                break
            if not self._take(b","):
                raise self._error("',' or '}' was expected")
        if self._peek():
            raise self._error("something stands behind its end")
        self._check(header)

    def _check(self, header: dict[str, Any]) -> None:
        if "contents" not in header or "version" not in header:
            raise ManifestError(f"{self._shown} is no W&B manifest: it has no version or no contents")
        if header["version"] != _VERSION:
            raise ManifestError(
                f"{self._shown} is a W&B manifest of version {header['version']!r}; only version 1 can be read"
            )

    def _contents(self) -> Iterator[dict[str, dict[str, Any]]]:
        """Yield the members of an object whose ``{`` was taken, and take its ``}``."""
        first = True
        while True:
            ends, closing = _member_ends(self._held)
            if closing is not None:
                body = self._held[:closing]
                if body.strip(_SPACE):
                    yield self._members(body, len(ends) + 1)
                elif not first:
                    raise self._error("an entry was expected behind ','")
                self._advance(closing + 1)
                return
            if len(ends):
                yield self._members(self._held[: ends[-1]], len(ends))
                self._advance(int(ends[-1]) + 1)
                first = False
            elif len(self._held) > _LONGEST_ENTRY:
                raise self._error("an entry has no end")
            if not self._read():
                raise self._error("it breaks off")

    def _members(self, body: bytes, count: int) -> dict[str, dict[str, Any]]:
        try:
            found = json.loads(b"{" + body + b"}")
        except ValueError as error:
            raise self._error(getattr(error, "msg", "it is not UTF-8"), at=getattr(error, "pos", 1) - 1) from None
        if len(found) != count:
            raise self._error("a path stands there twice")
        for path, fields in found.items():
            if not isinstance(fields, dict):
                raise self._error(f"the entry {path!r} is no object")
        return found  # type: ignore[no-any-return]

    def _value(self) -> Any:
        """Take one value of any kind."""
        decoder = json.JSONDecoder()
        while True:
            self._peek()
            text = self._held.decode("utf-8", "surrogateescape")
            try:
                value, end = decoder.raw_decode(text)
                if end < len(text) or self._ended:  # a number may go on
                    self._advance(len(text[:end].encode("utf-8", "surrogateescape")))
                    return value
            except ValueError as error:
                if self._ended or len(self._held) > _LONGEST_ENTRY:
                    raise self._error(getattr(error, "msg", "it is not JSON")) from None
            self._read()

    def _take(self, mark: bytes) -> bool:
        if self._peek() != mark:
            return False
        self._advance(1)
        return True

    def _peek(self) -> bytes:
        """Return the next byte that is no space; ``b""`` at the end."""
        while True:
            stripped = self._held.lstrip(_SPACE)
            self._advance(len(self._held) - len(stripped))
            if self._held or not self._read():
                return self._held[:1]

    def _read(self) -> bool:
        data = self._file.read(self._block)
        self._held += data
        self._ended = not data
        return bool(data)

    def _advance(self, count: int) -> None:
        self._held = self._held[count:]
        self._passed += count

    def _error(self, what: str, *, at: int = 0) -> ManifestError:
        return ManifestError(
            f"{self._shown} is damaged, or no W&B manifest: {what} (near byte {self._passed + at:,}); get it again"
        )


def _member_ends(data: bytes) -> tuple[Any, int | None]:
    """Return where the commas between the members of an object are, and where its ``}``; ``data`` begins inside it."""
    if b"\\" in data:
        data = _ESCAPED.sub(b"__", data)
    codes = np.frombuffer(data, np.uint8)
    inside = np.logical_xor.accumulate(codes == _QUOTE) if len(codes) else np.zeros(0, bool)
    plain = ~inside
    opens = ((codes == _OPEN) | (codes == _OPEN_LIST)) & plain
    closes = ((codes == _CLOSE) | (codes == _CLOSE_LIST)) & plain
    # Depth changes at few places; between them it is what it was.
    marks = np.flatnonzero(opens | closes | ((codes == _COMMA) & plain))
    depth = np.cumsum(opens[marks].astype(np.int64) - closes[marks])
    below = np.flatnonzero(depth < 0)
    last = int(below[0]) if len(below) else len(marks)
    ends = marks[:last][(codes[marks[:last]] == _COMMA) & (depth[:last] == 0)]
    return ends, int(marks[last]) if len(below) else None
