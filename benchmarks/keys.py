"""The keys of a made-up bucket, in each of the layouts, ascending."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Literal, Protocol, overload
from urllib.parse import quote_plus
from xml.sax.saxutils import escape

import numpy as np
from mixing import mixed
from numpy.typing import NDArray

__all__ = ["LAYOUTS", "WARM", "Form", "Keys", "digits", "keys_of"]

Form = Literal["raw", "url", "xml"]
"""How keys are written: plainly, as ``encoding-type=url`` has them, or escaped for XML."""

WARM = "warm/one.bin"
"""An object beside ``data/``, for a request that makes the server render what it will be asked for."""

_SMALL_FOLDERS = 1_000
_FIRST_DAY = datetime(2024, 1, 1, tzinfo=UTC)
_DAYS = 366
_FOUR_DIGITS = np.frombuffer(b"".join(b"%04d" % number for number in range(10_000)), np.uint8).reshape(-1, 4)


class Keys(Protocol):
    """Keys in ascending order; positions count from 0."""

    @property
    def escaped(self) -> bool:
        """Whether the forms of a key differ."""
        ...

    def __len__(self) -> int: ...

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...

    def __iter__(self) -> Iterator[str]: ...

    def matrix(self, positions: NDArray[np.int64], form: Form) -> NDArray[np.uint8]:
        """Return the keys' UTF-8, a row for each position, with zeros behind it."""
        ...


class FlatKeys(Sequence[str]):
    """``data/000000000000.bin`` and so on, made when they are asked for, so that 10^7 of them need no memory."""

    escaped = False

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count + 1

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        """Return one key, or those of a slice."""
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        if not 0 <= index <= self._count:
            raise IndexError(index)
        return WARM if index == self._count else f"data/{index:012}.bin"

    def matrix(self, positions: NDArray[np.int64], form: Form) -> NDArray[np.uint8]:
        """See ``Keys.matrix``."""
        del form
        pattern = np.frombuffer(b"data/000000000000.bin", np.uint8)
        rows = np.broadcast_to(pattern, (len(positions), len(pattern))).copy()
        rows[:, 5:17] = digits(positions, 12)
        last = np.frombuffer(WARM.encode().ljust(len(pattern), b"\0"), np.uint8)
        rows[positions == self._count] = last
        return rows


class KeptKeys(Sequence[str]):
    """Keys that are kept, as arrays of bytes."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._raw = _packed(sorted(key.encode() for key in (*keys, WARM)))

    def __len__(self) -> int:
        return len(self._raw)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        """Return one key, or those of a slice."""
        if isinstance(index, slice):
            return [key.decode() for key in self._raw[index].tolist()]
        return bytes(self._raw[index]).decode()

    @cached_property
    def escaped(self) -> bool:
        """See ``Keys.escaped``."""
        return any(quote_plus(key, safe="/") != key or escape(key) != key for key in (self[0], self[-2]))

    @cached_property
    def _url(self) -> NDArray[np.bytes_]:
        return _packed([quote_plus(key, safe="/").encode() for key in self._raw.tolist()])

    @cached_property
    def _xml(self) -> NDArray[np.bytes_]:
        return _packed([escape(key.decode()).encode() for key in self._raw.tolist()])

    def matrix(self, positions: NDArray[np.int64], form: Form) -> NDArray[np.uint8]:
        """See ``Keys.matrix``."""
        kept = self._raw if form == "raw" or not self.escaped else self._url if form == "url" else self._xml
        taken = kept[positions]
        return taken.view(np.uint8).reshape(len(taken), taken.dtype.itemsize)


def keys_of(layout: str, count: int) -> Keys:
    """Return ``count`` keys below ``data/`` in a layout, the same for the same arguments, and ``WARM`` with them."""
    made = LAYOUTS[layout]
    return FlatKeys(count) if made is None else KeptKeys(made(count))


def digits(numbers: NDArray[np.int64] | NDArray[np.uint64], width: int) -> NDArray[np.uint8]:
    """Return decimal digits with leading zeros, a row for each number."""
    groups = -(-width // 4)
    texts = np.empty((len(numbers), groups * 4), np.uint8)
    for group in reversed(range(groups)):
        numbers, low = np.divmod(numbers, 10_000)
        texts[:, group * 4 : group * 4 + 4] = _FOUR_DIGITS[low]
    return texts[:, groups * 4 - width :]


def _packed(texts: list[bytes]) -> NDArray[np.bytes_]:
    return np.array(texts, np.bytes_)


def _hierarchical(count: int) -> list[str]:
    """1,000 a folder, in folders of folders."""
    days = max(1, count // 10_000)
    folders = (divmod(index // 1_000, days) for index in range(count))
    return [f"data/site-{site:03}/day-{day:05}/{_hex(index)[:16]}.parquet" for index, (site, day) in enumerate(folders)]


def _hot(count: int) -> list[str]:
    """90 % in one folder, which stands in the midst of 1,000 small ones."""
    small = count // 10
    return [
        *(f"data/folder-{index % _SMALL_FOLDERS:04}/{index:010}.bin" for index in range(small)),
        *(f"data/folder-0500-hot/{index:010}.bin" for index in range(small, count)),
    ]


def _hex_names(count: int) -> list[str]:
    """32 random hexadecimal digits."""
    return [f"data/{_hex(index)}" for index in range(count)]


def _times(count: int) -> list[str]:
    """The moments of a leap year, to the millisecond, at uneven distances."""
    step = _DAYS * 86_400_000 // max(1, count)
    keys = []
    for index in range(count):
        jitter = mixed(index)
        moment = _FIRST_DAY + timedelta(milliseconds=index * step + jitter % step)
        keys.append(f"data/{moment:%Y/%m/%d/%H-%M-%S}.{moment.microsecond // 1_000:03}-{jitter >> 48:04x}.json")
    return keys


def _escaped(count: int) -> list[str]:
    """A space, a character that is not ASCII, and ``&`` in each key."""
    return [f"data/Fotos & Töne/Bild {index:010} schön.jpg" for index in range(count)]


def _hex(index: int) -> str:
    return hashlib.md5(b"%d" % index).hexdigest()


LAYOUTS: dict[str, Callable[[int], list[str]] | None] = {
    "flat": None,
    "hierarchical": _hierarchical,
    "hot": _hot,
    "hex": _hex_names,
    "times": _times,
    "versions": None,
    "escaped": _escaped,
}
"""How each layout makes its keys; ``None``: they are flat. In ``versions`` some objects were overwritten."""
