"""Glob patterns against a matcher in plain Python, which follows the rule part by part."""

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from refscan.errors import InvalidPathError
from refscan.manifest.glob import Globs, as_patterns


def matches(path, *patterns):
    return Globs(patterns).matches(pa.array([path], pa.string()))[0].as_py()


def model(path, pattern):
    return parts_match(path.split("/"), pattern.split("/"))


def parts_match(parts, patterns):
    if not patterns:
        return not parts
    first, rest = patterns[0], patterns[1:]
    if first == "**":
        if not rest:
            return bool(parts)
        return any(parts_match(parts[skip:], rest) for skip in range(len(parts) + 1))
    return bool(parts) and part_matches(parts[0], first) and parts_match(parts[1:], rest)


def part_matches(part, pattern):
    return bool(part) if pattern == "*" else text_matches(part, tokens(pattern))


def text_matches(text, rest):
    if not rest:
        return not text
    if rest[0] == "*":
        return any(text_matches(text[skip:], rest[1:]) for skip in range(len(text) + 1))
    return bool(text) and rest[0](text[0]) and text_matches(text[1:], rest[1:])


def tokens(pattern):
    """A list of ``*`` and of tests of one character."""
    found, at = [], 0
    while at < len(pattern):
        character, at = pattern[at], at + 1
        negated = pattern[at : at + 1] == "!"
        end = pattern.find("]", at + 1 + negated) if character == "[" else -1
        if character == "*":
            found.append("*")
        elif character == "?":
            found.append(lambda _: True)
        elif end >= 0:
            found.append(set_test(pattern[at + negated : end], negated=negated))
            at = end + 1
        else:
            found.append(lambda other, character=character: other == character)
    return found


def set_test(inner, *, negated):
    spans, at = [], 0
    while at < len(inner):
        step = 3 if inner[at + 1 : at + 2] == "-" and at + 2 < len(inner) else 1
        spans.append((inner[at], inner[at + step - 1]))
        at += step
    return lambda other: any(first <= other <= last for first, last in spans) != negated


texts = st.text(st.sampled_from("aab./*?[]!-\\{}()|^$\n\0éA\U0001f600"), max_size=9)
patterns = st.one_of(
    texts,
    st.lists(st.sampled_from(["**", "*", "a", "a*", "?", "[!a]", "[a-b]", "*.a", "", "***", "[.-a]"]), max_size=5).map(
        "/".join
    ),
).filter(bool)
plain = st.text(st.sampled_from("aab./-*[]\n\0éA\U0001f600"), max_size=8)


@given(patterns, st.lists(plain, max_size=10))
@example("**/a", ["a", "/a", "x/a", "xa", "x/a/"])
@example("a/**", ["a", "a/", "a/b/c"])
@example("a/**/", ["a/", "a/b/", "a/b"])
@example("[/]", ["/", "[/]"])
@example("[.-0]", [".", "/", "0"])
@example("[]-a]", ["]", "^", "a", "-"])
@example("[b-a]", ["a", "b", "-"])
@example("[!b-a]", ["a", "b", "-"])
def test_a_pattern_matches_as_its_parts_do(pattern, paths):
    found = Globs([pattern]).matches(pa.array([*paths, pattern], pa.string())).to_pylist()
    assert found == [model(path, pattern) for path in [*paths, pattern]]


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        # What Python 3.13's pathlib.PurePosixPath.full_match says.
        ("*.png", "cat.png", True),
        ("*.png", "a/cat.png", False),
        ("*.png", "cat.PNG", False),
        ("**/*.png", "cat.png", True),
        ("**/*.png", "a/b/cat.png", True),
        ("**", ".hidden/x", True),
        ("*", ".hidden", True),
        ("a/**", "a", False),
        ("a/**/b", "a/b", True),
        ("a/**/b", "a/x/y/b", True),
        ("a/**/b", "axb", False),
        ("a**", "ab", True),
        ("a**", "ab/c", False),
        ("ca[rt].pn?", "cat.png", True),
        ("ca[!rt].png", "cat.png", False),
        ("[a-c]1", "b1", True),
        ("[", "[", True),
        ("[]]", "]", True),
        ("[!]]", "a", True),
        ("a[*]", "a*", True),
        ("a[*]", "ab", False),
    ],
)
def test_patterns_are_those_of_python(pattern, path, expected):
    assert matches(path, pattern) is expected


def test_one_of_several_is_enough():
    assert matches("a", "b", "a")
    assert matches("b", "b", "a")
    assert not matches("ab", "a", "b")
    assert as_patterns("a*") == ("a*",)
    assert as_patterns(["a", "b"]) == ("a", "b")
    assert as_patterns(None) == ()


@pytest.mark.parametrize("patterns", [[""], ["\ud800"], ["a", ""]])
def test_what_cannot_be_a_pattern_is_refused(patterns):
    with pytest.raises(InvalidPathError, match="pattern"):
        Globs(patterns)
