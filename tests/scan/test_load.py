"""Whether a thread is busy, by two clocks that the tests turn."""

import pytest

from refscan.scan.load import Load


class Clocks:
    def __init__(self):
        self.now = self.used = 0.0

    def pass_by(self, seconds, *, computing):
        self.now += seconds
        self.used += seconds * computing


@pytest.fixture
def clocks():
    return Clocks()


@pytest.fixture
def load(clocks):
    return Load(lambda: clocks.now, lambda: clocks.used)


def test_nothing_is_known_before_some_round_trips(load, clocks):
    load.answered(0.1)
    clocks.pass_by(0.19, computing=1.0)
    assert not load.is_full()
    clocks.pass_by(0.02, computing=1.0)
    assert load.is_full()


@pytest.mark.parametrize(("computing", "full"), [(0.0, False), (0.8, False), (0.95, True), (1.0, True)])
def test_a_thread_that_computes_nearly_always_is_busy(load, clocks, computing, full):
    load.answered(0.001)
    for _ in range(10):
        clocks.pass_by(0.02, computing=computing)
        assert load.is_full() is full


def test_a_burst_within_a_round_trip_is_not_taken_for_the_whole(load, clocks):
    load.answered(0.1)
    for _ in range(50):
        clocks.pass_by(0.06, computing=0.0)
        assert not load.is_full()
        for _ in range(4):
            clocks.pass_by(0.01, computing=1.0)
            assert not load.is_full()


def test_it_is_looked_at_again(load, clocks):
    load.answered(0.01)
    clocks.pass_by(0.02, computing=1.0)
    assert load.is_full()
    clocks.pass_by(0.02, computing=0.5)
    assert not load.is_full()
