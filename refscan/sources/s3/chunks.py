"""A body that comes in chunks, found in the bytes of a connection while they come in."""

from __future__ import annotations

__all__ = ["Chunks"]

_DIGITS = b"0123456789abcdefABCDEF"
_MOST_DIGITS = 8
_LONGEST_LINE = 256
_BREAK = b"\r\n"


class Chunks:
    """Finds the chunks; extensions are passed over, trailers are refused.

    Source: RFC 9112, section 7.1.

    Attributes:
        end: How far it has come; behind the body, once that is whole.

    Args:
        start: Where the first chunk begins.
    """

    def __init__(self, start: int) -> None:
        self.end = start
        self._parts: list[tuple[int, int]] = []

    def advance(self, data: bytearray, filled: int) -> bool:
        """Look at what has come in; tell whether the body is whole.

        Args:
            data: What came in, from the beginning.
            filled: How many bytes of it.

        Raises:
            ValueError: These are no chunks.
        """
        while (stop := data.find(_BREAK, self.end, filled)) >= 0:
            size = _size(bytes(data[self.end : min(stop, self.end + _LONGEST_LINE)]))
            first = stop + len(_BREAK)
            behind = first + size
            if filled < behind + len(_BREAK):
                return False
            if data[behind : behind + len(_BREAK)] != _BREAK:
                raise ValueError("a chunk does not end where it should")
            self.end = behind + len(_BREAK)
            if not size:
                return True
            self._parts.append((first, behind))
        if filled - self.end > _LONGEST_LINE:
            raise ValueError("no chunk")
        return False

    def body(self, data: bytearray) -> bytes:
        """Return the body, copied once."""
        view = memoryview(data)
        return b"".join([view[first:behind] for first, behind in self._parts])


def _size(line: bytes) -> int:
    digits = line.partition(b";")[0].strip(b" \t")
    if not digits or len(digits) > _MOST_DIGITS or digits.strip(_DIGITS):
        raise ValueError("no size of a chunk")
    return int(digits, 16)
