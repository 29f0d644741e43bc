"""Entries of a listing that are written each in its own way: other orders, missing fields, delete markers among them.

The tags give the elements, these the fields of each entry; what is unusual beyond that is left to ``xml.py``.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from refscan.sources.cut import Flags, Positions, scatter
from refscan.sources.s3.listing import ENTRIES, FIELDS, MARKS, Frame, Listing, column_of
from refscan.sources.s3.tags import Tags, read_tags
from refscan.sources.s3.unescape import has_only_known_escapes, unescape
from refscan.sources.s3.vocabulary import ALONE, CLOSE, OPEN, VARIANTS, Vocabulary

__all__ = ["read_scattered"]

_NAMES = tuple(name.encode() for name in (*FIELDS, *ENTRIES))
_CONTENTS, _VERSION, _DELETE_MARKER = (number * VARIANTS for number in range(len(FIELDS), len(_NAMES)))
_MOST_MARKS = 100
_VOCABULARY = Vocabulary(_NAMES)


def read_scattered(body: bytes, frame: Frame) -> Listing | None:
    """Read what stands in a frame; ``None``: it is unusual, or wrong.

    Args:
        body: UTF-8.
        frame: The listing in it.
    """
    tags = read_tags(body, frame.begin, frame.end, _VOCABULARY)
    if tags is None or not has_only_known_escapes(body):
        return None
    return _read(body, tags, _VOCABULARY, _CONTENTS if frame.entry == b"Contents" else _VERSION)


def _read(body: bytes, tags: Tags, vocabulary: Vocabulary, kept: int) -> Listing | None:
    entries = _entries(tags, kept)
    if entries is None:
        return None
    opened, closed = entries
    marks = _marks(body, tags, vocabulary)
    if marks is None:
        return None
    owners = np.zeros(len(tags.kinds), np.int32)
    owners[opened] = 1
    owners = np.cumsum(owners, dtype=np.int32) - 1
    columns: dict[str, pa.Array] = {}
    for number, field in enumerate(FIELDS):
        kind = number * VARIANTS
        places = np.flatnonzero(tags.kinds == kind)
        # It has elements in it.
        if np.any(tags.kinds[places + 1] != kind + CLOSE):
            return None
        rows = owners[places]
        # Those that stand in an entry itself.
        if len(places) and (tags.levels is not None or rows[0] < 0 or places[-1] > closed[-1]):
            inside = (rows >= 0) & (places < closed[rows]) if len(closed) else np.zeros(len(places), np.bool_)
            if tags.levels is not None:
                inside &= tags.levels[places] == 1
            places, rows = places[inside], rows[inside]
        if len(places) == 0:
            continue
        # An entry has it twice.
        if np.any(rows[1:] == rows[:-1]):
            return None
        starts = tags.places[places] + vocabulary.length(kind)
        stops = tags.places[places + 1]
        columns[field] = column_of(body, *scatter(len(opened), rows, starts, stops))
    return _kept(columns, marks, tags.kinds[opened] == kept)


def _entries(tags: Tags, kept: int) -> tuple[Positions, Positions] | None:
    """Return the indices of the tags of entries; ``None``: one is of another kind, or has nothing in it."""
    top = tags.level == 1
    opened, closed = tags.opened[top], tags.closed[top]
    kinds = tags.kinds[opened]
    chosen = (kinds == kept) | (kinds == _DELETE_MARKER)
    if not chosen.all():
        opened, closed = opened[chosen], closed[chosen]
    # Elsewhere, deeper, these names may stand for anything.
    shallow = tags.kinds if tags.levels is None else tags.kinds[tags.levels <= 1]
    known = sum(
        int(np.count_nonzero(shallow == entry + variant))
        for entry in (_CONTENTS, _VERSION, _DELETE_MARKER)
        for variant in (OPEN, ALONE)
    )
    return (opened, closed) if known == len(opened) else None


def _marks(body: bytes, tags: Tags, vocabulary: Vocabulary) -> dict[str, str] | None:
    """Return the texts beside the entries; ``None`` where one stands there twice, or in another way."""
    top = tags.level == 1
    inside = np.zeros(len(tags.kinds) + 1, np.int8)
    inside[tags.opened[top]] = 1
    inside[tags.closed[top] + 1] -= 1
    outside = np.flatnonzero(np.cumsum(inside, dtype=np.int8)[:-1] == 0)
    if len(outside) > _MOST_MARKS:
        return None
    found: dict[str, str] = {}
    for place, kind in zip(outside.tolist(), tags.kinds[outside].tolist(), strict=True):
        name = vocabulary.names[kind // VARIANTS].decode()
        if kind % VARIANTS == CLOSE or name not in MARKS:
            continue
        if name in found:
            return None
        start = int(tags.places[place]) + vocabulary.length(kind)
        text = "" if kind % VARIANTS == ALONE else body[start : tags.places[place + 1]].decode()
        found[name] = unescape(pa.array([text]))[0].as_py() if "&" in text else text
    if any(vocabulary.names[kind // VARIANTS].decode() in MARKS for kind in set(tags.kinds[tags.opened[top]].tolist())):
        return None
    # Where nothing is said of whether there is more, the parser sees what else is there.
    return found if "IsTruncated" in found else None


def _kept(columns: dict[str, pa.Array], marks: dict[str, str], is_kept: Flags) -> Listing | None:
    if len(is_kept) == 0:
        return Listing({}, marks, None)
    keys = columns.get("Key")
    if keys is None or keys.null_count:
        return None
    last_key = keys[-1].as_py()
    if not is_kept.all():
        wanted = pa.array(is_kept)
        columns = {field: column.filter(wanted) for field, column in columns.items()}
    return Listing(columns, marks, last_key)
