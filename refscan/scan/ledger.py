"""Which key ranges tile the key space, who works on them, and how far they are. No I/O."""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto

__all__ = ["Found", "KeyRange", "Ledger"]


@dataclass(frozen=True, slots=True)
class KeyRange:
    """Keys greater than ``after``, up to and including ``until``; ``None`` is the end of the key space."""

    after: str = ""
    until: str | None = None

    def __contains__(self, key: str) -> bool:
        return key > self.after and (self.until is None or key <= self.until)


@dataclass(frozen=True, slots=True)
class Found:
    """What was found in a stretch of keys: how many objects, and the first and the last key of them."""

    objects: int = 0
    first: str | None = None
    last: str | None = None

    def __add__(self, other: Found) -> Found:
        """Return both together; ``other`` lies behind."""
        first = self.first if self.first is not None else other.first
        last = other.last if other.last is not None else self.last
        return Found(self.objects + other.objects, first, last)


_NOTHING = Found()


class _State(Enum):
    WAITING = auto()
    TAKEN = auto()
    DONE = auto()


@dataclass(slots=True)
class _Entry:
    key_range: KeyRange
    reached: str
    found: Found = _NOTHING
    state: _State = _State.WAITING


class Ledger:
    """The ranges of one scan; at every moment they tile the key space without gap or overlap.

    A range is known by its ``after``, which never changes. A split lowers one ``until`` and adds one range.

    Args:
        bounds: Ascending keys between the first ranges; none makes one range of all keys.
    """

    def __init__(self, bounds: Sequence[str] = ()) -> None:
        if any(a >= b for a, b in zip(("", *bounds), bounds, strict=False)):
            raise ValueError(f"bounds must ascend: {bounds!r}")
        starts = ("", *bounds)
        ends = (*bounds, None)
        self._entries = [_Entry(KeyRange(a, b), a) for a, b in zip(starts, ends, strict=True)]

    def take(self) -> KeyRange | None:
        """Hand out the first range that waits, or ``None``."""
        for entry in self._entries:
            if entry.state is _State.WAITING:
                entry.state = _State.TAKEN
                return entry.key_range
        return None

    def until(self, after: str) -> str | None:
        """Return where the range that begins behind ``after`` ends at this moment."""
        return self._find(after).key_range.until

    def advance(self, after: str, reached: str, found: Found) -> None:
        """Note that the range is listed up to and including ``reached``, and what was found on the way."""
        entry = self._find(after)
        if entry.state is not _State.TAKEN or reached < entry.reached:
            raise ValueError(f"the range behind {after!r} cannot go from {entry.reached!r} to {reached!r}")
        until = entry.key_range.until
        entry.reached = reached if until is None else min(reached, until)
        entry.found += found

    def finish(self, after: str, found: Found = _NOTHING) -> None:
        """Note that the range is listed to its end, and what was found on the way."""
        entry = self._find(after)
        if entry.state is not _State.TAKEN:
            raise ValueError(f"the range behind {after!r} is not being listed")
        entry.found += found
        entry.state = _State.DONE

    def restore(self, after: str, reached: str | None, found: Found) -> None:
        """Note what was listed of a range that waits; ``None`` reaches to the end of the key space.

        The range is done where that is its end, too.
        """
        entry = self._find(after)
        until = entry.key_range.until
        if reached is None:
            possible = until is None
        else:
            possible = entry.reached <= reached and (until is None or reached <= until)
        if entry.state is not _State.WAITING or not possible:
            raise ValueError(f"the range behind {after!r} cannot have reached {reached!r}")
        entry.found += found
        if reached == until:
            entry.state = _State.DONE
        elif reached is not None:
            entry.reached = reached

    def is_done(self, after: str) -> bool:
        """Tell whether the range is listed to its end."""
        return self._find(after).state is _State.DONE

    def release(self, after: str) -> None:
        """Let the range wait again; whoever takes it goes on where it was."""
        entry = self._find(after)
        if entry.state is not _State.TAKEN:
            raise ValueError(f"the range behind {after!r} is not being listed")
        entry.state = _State.WAITING

    def reached(self, after: str) -> str:
        """Return up to where the range that begins behind ``after`` is listed."""
        return self._find(after).reached

    def can_split(self, after: str, pivot: str) -> bool:
        """Tell whether the range behind ``after`` can be cut at ``pivot`` at this moment."""
        entry = self._find(after)
        until = entry.key_range.until
        return entry.state is not _State.DONE and entry.reached < pivot and (until is None or pivot < until)

    def holding(self, key: str) -> str:
        """Return where the range begins that ``key`` lies in."""
        index = bisect.bisect_left(self._entries, key, key=lambda entry: entry.key_range.after) - 1
        return self._entries[max(0, index)].key_range.after

    def split(self, after: str, pivot: str, *, taken: bool = False) -> KeyRange:
        """Cut the range behind ``after`` at ``pivot`` and return the new, upper range ``(pivot, until]``.

        With ``taken`` the new range is handed out at once, to whoever split.

        Raises:
            ValueError: The pivot is not above what was listed already and below the range's end.
        """
        entry = self._find(after)
        until = entry.key_range.until
        if not self.can_split(after, pivot):
            raise ValueError(f"{pivot!r} is not between {entry.reached!r} and {until!r}")
        entry.key_range = KeyRange(after, pivot)
        upper = _Entry(KeyRange(pivot, until), pivot, state=_State.TAKEN if taken else _State.WAITING)
        self._entries.insert(self._index(after) + 1, upper)
        return upper.key_range

    def following(self, after: str) -> str | None:
        """Return where the next range in key order begins, or ``None`` behind the last."""
        index = self._index(after) + 1
        return self._entries[index].key_range.after if index < len(self._entries) else None

    def __iter__(self) -> Iterator[tuple[KeyRange, Found]]:
        """Yield each range in key order with what was found in it."""
        return ((entry.key_range, entry.found) for entry in self._entries)

    def _index(self, after: str) -> int:
        index = bisect.bisect_left(self._entries, after, key=lambda entry: entry.key_range.after)
        if index == len(self._entries) or self._entries[index].key_range.after != after:
            raise KeyError(after)
        return index

    def _find(self, after: str) -> _Entry:
        return self._entries[self._index(after)]
