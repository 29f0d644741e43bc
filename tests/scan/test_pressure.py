"""The concurrency rule: doubles at first, gives way to a busy store, comes back slowly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refscan.scan.pressure import Pressure


@given(most=st.integers(1, 100), answers=st.lists(st.booleans(), max_size=300))
def test_it_stays_within_bounds(most, answers):
    pressure = Pressure(most)
    for throttled in answers:
        pressure.answered(throttled=throttled)
        assert 1 <= pressure.limit <= most


def test_it_doubles_with_each_round_of_answers():
    pressure = Pressure(64)
    limits = []
    while pressure.limit < 64:
        limits.append(pressure.limit)
        for _ in range(pressure.limit):
            pressure.answered(throttled=False)
    assert limits == [4, 8, 16, 32]


def test_a_busy_store_gets_a_third_less_once_for_all_that_was_under_way():
    pressure = Pressure(100)
    for _ in range(200):
        pressure.answered(throttled=False)
    for _ in range(70):
        pressure.answered(throttled=True)
    assert pressure.limit == 70
    pressure.answered(throttled=True)
    pressure.answered(throttled=True)
    assert pressure.limit == 49


@pytest.mark.parametrize("limit", [1, 7, 49])
def test_it_comes_back_one_a_round(limit):
    pressure = Pressure(100)
    for _ in range(100):
        pressure.answered(throttled=False)
    while pressure.limit > limit:
        pressure.answered(throttled=True)
    low = pressure.limit
    for _ in range(3 * low + 8):
        pressure.answered(throttled=False)
    assert low < pressure.limit <= low + 4
