"""What of a page is kept, and which pages are refused."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scan_adversaries import key_sets, texts

from refscan.errors import ListingOrderError, StoreError
from refscan.scan.page import check_order, drop_folder_markers, trim
from refscan.sources.source import page_rows

moderate = settings(max_examples=100)


def keys_of(rows) -> list[str]:
    return rows.column("key").to_pylist()


@given(st.lists(texts, max_size=6), st.just("") | texts)
@moderate
def test_a_page_ascends_from_behind_the_last_key_or_is_refused(keys, after):
    rows = page_rows(key=keys)
    if all(a < b for a, b in zip([after, *keys], keys, strict=False)):
        check_order(rows, after, "s3://b/")
    else:
        with pytest.raises(ListingOrderError):
            check_order(rows, after, "s3://b/")


@given(key_sets, st.data())
@moderate
def test_any_exchange_of_two_keys_is_found(keys, data):
    ordered = sorted(keys)
    if len(ordered) > 1:
        i, j = sorted(data.draw(st.sets(st.integers(0, len(ordered) - 1), min_size=2, max_size=2)))
        ordered[i], ordered[j] = ordered[j], ordered[i]
        with pytest.raises(ListingOrderError):
            check_order(page_rows(key=ordered), "", "s3://b/")


def test_order_is_checked_within_a_slice_of_a_page_too():
    rows = page_rows(key=["b", "a", "c", "c"])
    check_order(rows.slice(1, 2), "", "s3://b/")
    with pytest.raises(ListingOrderError):
        check_order(rows.slice(2, 2), "", "s3://b/")
    with pytest.raises(ListingOrderError):
        check_order(rows.slice(1, 2), "a", "s3://b/")


def test_the_refusal_names_the_store_and_the_place():
    with pytest.raises(StoreError, match=r"s3://b/: .*near 'a' behind 'a'") as caught:
        check_order(page_rows(key=["a"]), "a", "s3://b/")
    assert caught.value.uri == "s3://b/"


@given(key_sets, st.data())
@moderate
def test_trim_keeps_the_keys_of_the_range(keys, data):
    ordered = sorted(keys)
    bounds = st.sampled_from(ordered) | st.text(st.characters(codec="utf-8"), max_size=3)
    after, until = data.draw(bounds | st.just("")), data.draw(bounds | st.none())
    rows = page_rows(key=ordered, size=list(range(len(ordered))))
    begin = data.draw(st.integers(0, len(ordered)))
    kept = trim(rows.slice(begin), after, until)
    expected = [
        (key, size)
        for size, key in enumerate(ordered)
        if size >= begin and key > after and (until is None or key <= until)
    ]
    assert list(zip(keys_of(kept), kept.column("size").to_pylist(), strict=True)) == expected


def test_a_zero_byte_key_that_ends_in_a_slash_is_a_folder_marker():
    rows = page_rows(
        key=["a/", "b", "c/", "d/e", "f//", "g/", "/"],
        size=[0, 0, 1, 0, 0, None, 0],
    )
    kept, count = drop_folder_markers(rows)
    assert keys_of(kept) == ["b", "c/", "d/e", "g/"]
    assert kept.column("size").to_pylist() == [0, 1, 0, None]
    assert count == 3


@given(st.dictionaries(texts | texts.map(lambda key: key + "/"), st.none() | st.integers(0, 2), max_size=20))
@moderate
def test_nothing_but_folder_markers_is_dropped(sizes):
    kept, count = drop_folder_markers(page_rows(key=list(sizes), size=list(sizes.values())))
    expected = {key: size for key, size in sizes.items() if not (key.endswith("/") and size == 0)}
    assert dict(zip(keys_of(kept), kept.column("size").to_pylist(), strict=True)) == expected
    assert count == len(sizes) - len(expected)
