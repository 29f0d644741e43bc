"""Glob patterns over paths, as regular expressions that a whole column is matched with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from refscan.errors import InvalidPathError

__all__ = ["Globs", "as_patterns"]

_NEVER = r"[^\x{0}-\x{10FFFF}]"
_Span = tuple[int, int]


def as_patterns(patterns: str | Iterable[str] | None) -> tuple[str, ...]:
    """Return one pattern, or several, or none, as a tuple."""
    if patterns is None:
        return ()
    return (patterns,) if isinstance(patterns, str) else tuple(patterns)


class Globs:
    """Patterns of which one must match the whole path.

    The rules are those of Python's ``glob.translate(…, recursive=True, include_hidden=True)``, which is also
    ``pathlib.PurePath.full_match``, always case-sensitive: ``*`` is any characters but ``/`` (as a whole part, at
    least one); ``?`` is one character but ``/``; ``[abc]``, ``[a-z]`` and ``[!a-z]`` are one character; ``**`` as a
    whole part is any number of parts. So ``*.png`` is what lies directly in the folder, and ``**/*.png`` is at any
    depth. As in POSIX a set never is ``/``, and parts may be empty, as in ``a//b``.

    Args:
        patterns: At least one.

    Raises:
        InvalidPathError: One is empty or not UTF-8.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        for pattern in patterns:
            _check(pattern)
        self._expression = r"(?s)\A(?:" + "|".join(map(_expression, patterns)) + r")\z"

    def matches(self, paths: pa.Array) -> pa.Array:
        """Tell for each path whether a pattern matches it."""
        return pc.match_substring_regex(paths, self._expression)


def _check(pattern: str) -> None:
    if not pattern:
        raise InvalidPathError("a pattern cannot be empty; '**' is every path")
    try:
        pattern.encode()
    except UnicodeEncodeError:
        raise InvalidPathError(f"the pattern {pattern!r} is not UTF-8, and so no path matches it") from None


def _expression(pattern: str) -> str:
    """Return the pattern in the syntax of RE2, without anchors."""
    parts = pattern.split("/")
    texts: list[str] = []
    for number, part in enumerate(parts):
        is_last = number == len(parts) - 1
        if part == "**":
            if is_last:
                texts.append(".*")
            elif parts[number + 1] != "**":
                texts.append("(?:.*/)?")
            continue
        texts.append("[^/]+" if part == "*" else _part(part))
        if not is_last:
            texts.append("/")
    return "".join(texts)


def _part(part: str) -> str:
    texts: list[str] = []
    at = 0
    while at < len(part):
        character = part[at]
        at += 1
        if character == "*":
            if texts[-1:] != ["[^/]*"]:
                texts.append("[^/]*")
        elif character == "?":
            texts.append("[^/]")
        elif character == "[" and (end := _end_of_set(part, at)) is not None:
            texts.append(_set(part[at:end]))
            at = end + 1
        else:
            texts.append(_literal(ord(character)))
    return "".join(texts)


def _end_of_set(part: str, at: int) -> int | None:
    """Return where the set that begins at ``at`` is closed; a ``]`` that comes first is one of its characters."""
    first = at + 1 if part[at : at + 1] == "!" else at
    end = part.find("]", first + 1)
    return None if end < 0 else end


def _set(inner: str) -> str:
    negated = inner.startswith("!")
    spans = list(_spans(inner.removeprefix("!")))
    if negated:
        return "[^/" + _class(spans) + "]"
    spans = [part for span in spans for part in _without_slash(span)]
    return "[" + _class(spans) + "]" if spans else _NEVER


def _spans(inner: str) -> Iterable[_Span]:
    at = 0
    while at < len(inner):
        is_range = inner[at + 1 : at + 2] == "-" and at + 2 < len(inner)
        first, last = ord(inner[at]), ord(inner[at + 2 if is_range else at])
        if first <= last:
            yield first, last
        at += 3 if is_range else 1


def _without_slash(span: _Span) -> Iterable[_Span]:
    first, last = span
    slash = ord("/")
    parts = ((first, min(last, slash - 1)), (max(first, slash + 1), last)) if first <= slash <= last else (span,)
    return (part for part in parts if part[0] <= part[1])


def _class(spans: Iterable[_Span]) -> str:
    return "".join(rf"\x{{{first:X}}}-\x{{{last:X}}}" for first, last in spans)


def _literal(code: int) -> str:
    character = chr(code)
    return character if character.isascii() and character.isalnum() else rf"\x{{{code:X}}}"
