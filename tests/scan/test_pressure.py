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
    for _ in range(10):
        pressure.answered(throttled=True)
    assert pressure.limit == 100
    for _ in range(1 + 70):
        pressure.answered(throttled=True)
    assert pressure.limit == 70
    for _ in range(8):
        pressure.answered(throttled=True)
    assert pressure.limit == 49


@pytest.mark.parametrize("every", [20, 40])
def test_a_few_busy_answers_do_not_slow_it_down(every):
    pressure = Pressure(64)
    for number in range(1_000):
        pressure.answered(throttled=number % every == 0)
    assert pressure.limit == 64


@pytest.mark.parametrize("every", [2, 4, 8])
def test_many_do(every):
    pressure = Pressure(64)
    for number in range(1_000):
        pressure.answered(throttled=number % every == 0)
    assert pressure.limit < 24


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
