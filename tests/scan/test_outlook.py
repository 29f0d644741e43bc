"""Guesses of what is left of a range, and of where to cut it: always inside, always safe in a request."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scan_adversaries import key_sets

from refscan.scan.alphabet import Alphabet, beyond
from refscan.scan.outlook import Outlook

TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)


def listed(keys, *, page, pages, start=0, cuts=()):
    """Return an alphabet and an outlook that have seen the first pages of some keys."""
    alphabet, outlook = Alphabet(start), Outlook()
    for cut in cuts:
        alphabet.add([], cut=cut)
    for at in range(0, pages * page, page):
        some = keys[at : at + page]
        if some:
            alphabet.add(some)
            outlook.add(some[0], some[-1])
    return alphabet, outlook


def is_safe(character):
    category = unicodedata.category(character)
    return character != "%" and category not in ("Cc", "Cs", "Cn", "Co", "Zl", "Zp")


@given(keys=key_sets, page=st.integers(1, 4), pages=st.integers(1, 4), cuts=st.lists(st.integers(0, 9)), data=st.data())
def test_a_pivot_lies_inside_and_only_safe_characters_are_invented(keys, page, pages, cuts, data):
    alphabet, outlook = listed(sorted(keys), page=page, pages=pages, cuts=cuts)
    last = outlook.last
    until = data.draw(st.one_of(st.none(), TEXT.filter(lambda text: text > last)))
    ceiling = data.draw(st.one_of(st.none(), TEXT.filter(lambda text: text > last)))
    if ceiling is not None:
        outlook.missed(ceiling)
    outlook.look(alphabet, until)
    assert outlook.left >= 0
    pivot = outlook.pivot(alphabet, until, data.draw(st.integers(1, 1_000)))
    if pivot is None:
        return
    assert last < pivot
    assert all(bound is None or pivot < bound for bound in (until, ceiling))
    common = next((at for at, pair in enumerate(zip(last, pivot, strict=False)) if len({*pair}) > 1), len(last))
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


@given(keys=key_sets, position=st.integers(0, 3))
def test_shares_follow_the_order_of_keys(keys, position):
    alphabet = Alphabet(0)
    alphabet.add(keys)
    alike = sorted(key for key in keys if key[:position] == min(keys)[:position])
    shares = [alphabet.value(key, position) for key in alike]
    assert shares == sorted(shares)
    assert all(0 <= share <= 1 for share in shares)


@given(value=st.floats(0, 0.999), finest=st.floats(1e-6, 0.5))
def test_a_text_stands_where_it_was_asked_for(value, finest):
    alphabet = Alphabet(0)
    alphabet.add(f"{number:06}" for number in range(0, 1_000_000, 997))
    text = alphabet.text(value, 0, finest)
    assert value - finest <= alphabet.value(text, 0) <= value + 1e-9


FLAT = [f"train/{number:09}.png" for number in range(100_000)]
HEX = sorted(f"{number * 2654435761 % 2**32:08x}" for number in range(100_000))
FOLDERS = [f"{folder:02}/{number:06}" for folder in range(100) for number in range(1_000)]


@pytest.mark.parametrize(
    ("keys", "until"), [(FLAT, "train/0001"), (HEX, "g"), (FOLDERS, ":")], ids=["flat", "hex", "folders"]
)
@pytest.mark.parametrize("pages", [15, 120, 500, 900])
def test_what_is_left_is_guessed_by_what_was_seen(keys, until, pages):
    alphabet, outlook = listed(keys, page=100, pages=pages)
    for at in range(37, len(keys), 1_700):  # what other hands have found
        alphabet.add(keys[at : at + 5], cut=0)
    outlook.look(alphabet, until)
    assert 0.4 * (1_000 - pages) <= outlook.left <= 2.5 * (1_000 - pages)
    pivot = outlook.pivot(alphabet, until, 1_000)
    below = sum(keys[pages * 100 - 1] < key <= pivot for key in keys) / 100
    assert 0.2 * (1_000 - pages) <= below <= 0.8 * (1_000 - pages), "about half lies beyond"


def test_a_folder_much_larger_than_its_siblings_is_noticed_inside():
    keys = [f"a/{number:03}/x" for number in range(500)] + [f"a/500/{number:08}" for number in range(50_000)]
    alphabet, outlook = listed(keys, page=100, pages=30)
    outlook.look(alphabet, "b")
    assert outlook.left > 300, "there are more than 500 siblings of one key each"


def test_where_keys_begin_to_differ_is_searched_by_halves():
    keys = ["a" * 64 + f"{number:03}" for number in range(1_000)] + ["a" * 20 + "b"]
    alphabet, outlook = listed(keys, page=100, pages=1)
    tries = 0
    while (pivot := outlook.pivot(alphabet, None, 1)) is not None:
        tries += 1
        if keys[-1] > pivot:
            break
        outlook.missed(pivot)
    assert pivot is not None
    assert keys[-1] > pivot
    assert tries <= 8


def test_a_range_of_which_nothing_is_known_has_no_pivot():
    outlook = Outlook()
    outlook.look(Alphabet(0), None)
    assert outlook.left == 0
    assert outlook.pivot(Alphabet(0), None, 1) is None
