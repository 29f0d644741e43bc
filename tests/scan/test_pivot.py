"""Guesses: always between what they shall lie between, always safe in a request."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scan_adversaries import key_sets

from refscan.scan.pivot import Alphabet, beyond

TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)


def alphabet_of(keys, start=0):
    alphabet = Alphabet(start)
    alphabet.add(keys)
    return alphabet


def is_safe(character):
    category = unicodedata.category(character)
    return character != "%" and category not in ("Cc", "Cs", "Cn", "Co", "Zl", "Zp")


@given(keys=key_sets, after=TEXT, until=TEXT, share=st.floats(0, 1))
def test_a_pivot_lies_between(keys, after, until, share):
    after, until = sorted([after, until])
    pivot = alphabet_of(keys).between(after, until, share)
    assert pivot is None or after < pivot < until


@given(keys=key_sets, data=st.data())
def test_only_safe_characters_are_invented(keys, data):
    after, until = data.draw(st.sampled_from(sorted(keys))), data.draw(st.sampled_from(sorted(keys)))
    pivot = alphabet_of(keys).between(min(after, until), max(after, until)) if after != until else None
    if pivot is not None:
        common = next((i for i, pair in enumerate(zip(after, until, strict=False)) if len(set(pair)) > 1), None)
        common = min(len(after), len(until)) if common is None else common
        assert all(is_safe(character) for character in pivot[common:])


@given(key=TEXT, others=st.lists(TEXT), data=st.data())
def test_beyond_is_beyond_all_of_a_kind_and_nothing_else_is_between(key, others, data):
    position = data.draw(st.integers(0, len(key) - 1))
    text = beyond(key, position)
    if text is None:
        return
    assert text[:position] == key[:position]
    assert is_safe(text[-1])
    for other in (key, key[: position + 1] + "".join(others), key[: position + 1] + "\U0010ffff" * 3):
        assert other < text


def test_nothing_is_beyond_the_last_character():
    assert beyond("a\U0010ffff", 1) is None


@pytest.mark.parametrize(
    ("keys", "after", "until", "expected"),
    [
        (["a/000", "a/019"], "a/019", "a/1", "a/05"),
        (["0a9f", "1b3c", "c0de"], "1b3c", "g", "8"),
        (["x/2024-01-01", "x/2024-01-02"], "x/2024-01-02", "x/2025", "x/2024-5"),
        (["alpha", "bravo", "candy", "delta"], "alpha", "z", "m"),
    ],
)
def test_characters_of_the_kinds_that_were_seen(keys, after, until, expected):
    assert alphabet_of(keys).between(after, until) == expected


def test_fractions_follow_the_order_of_keys():
    keys = [f"train/{number:06}" for number in range(0, 1_000, 7)]
    alphabet = alphabet_of(keys)
    fractions = [alphabet.fraction(key, keys[0], "train/001") for key in keys]
    assert fractions == sorted(fractions)
    assert fractions[0] == 0
    assert 0.9 < fractions[-1] <= 1
