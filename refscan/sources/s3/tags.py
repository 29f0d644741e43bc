"""The tags of a body of XML, found all at once, and the elements that they make."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from refscan.sources.cut import Positions, as_bytes, as_eights
from refscan.sources.s3.vocabulary import ALONE, CLOSE, OPEN, VARIANTS, Kinds, Vocabulary

__all__ = ["Tags", "read_tags"]

_LESS = ord("<")


@dataclass(frozen=True, slots=True)
class Tags:
    """Tags that open and close elements as they should, in the order of the document.

    Attributes:
        places: Where each begins; one more at the end, where the body goes on.
        kinds: What they are, in the vocabulary's numbers.
        opened: Indices of those that open an element with others in it, by level and then in order.
        closed: Indices of those that close them, each to each.
        level: For each of ``opened``, how many elements are open behind it.
        levels: The same for every tag, elements of nothing but text not counted; ``None``: none is ever more than 1.
    """

    places: Positions
    kinds: Kinds
    opened: Positions
    closed: Positions
    level: npt.NDArray[np.int32]
    levels: npt.NDArray[np.int32] | None


def read_tags(body: bytes, begin: int, end: int, vocabulary: Vocabulary) -> Tags | None:
    """Read the tags between two positions.

    ``None``: something there is unusual or wrong: tags that do not match, attributes, prefixes, sections, comments.

    Args:
        body: UTF-8.
        begin: Where the first tag may begin.
        end: Where the last tag has ended, and the next begins.
        vocabulary: Learns the names that it does not know.
    """
    places = np.flatnonzero(as_bytes(body)[begin : end + 1] == _LESS) + begin
    kinds = vocabulary.read(body, as_eights(body), places[:-1])
    if kinds is None:
        return None
    variants = kinds & (VARIANTS - 1)
    leaves = (variants[:-1] == OPEN) & (kinds[1:] == kinds[:-1] + CLOSE)
    rest = variants != ALONE
    rest[:-1] &= ~leaves
    rest[1:] &= ~leaves
    others = np.flatnonzero(rest)
    steps = np.where(variants[others] == OPEN, 1, -1).astype(np.int32)
    walk = np.cumsum(steps, dtype=np.int32)
    if len(walk) and (walk.min() < 0 or walk[-1] != 0):
        return None
    # One level at a time, tags open and close in turn.
    level = walk + (steps < 0)
    deep = int(level.max(initial=0)) > 1
    order = np.argsort(level, kind="stable") if deep else np.arange(len(others))
    pairs = others[order]
    opened, closed = pairs[0::2], pairs[1::2]
    if not np.array_equal(kinds[opened] + CLOSE, kinds[closed]):
        return None
    levels = None
    if deep:
        changes = np.zeros(len(kinds), np.int8)
        changes[others] = steps
        levels = np.cumsum(changes, dtype=np.int32)
    return Tags(places, kinds, opened, closed, level[order[0::2]], levels)
