"""The ledger's ranges tile the key space whatever is done to them."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from refscan.scan.ledger import KeyRange, Ledger

keys = st.text(st.sampled_from("ab/\0\x1f~é\ud7ff\ue000\U0001f600\U0010ffff"), min_size=1, max_size=3)


class LedgerMachine(RuleBasedStateMachine):
    """Follows a ledger with a plain dictionary of its ranges."""

    @initialize(bounds=st.sets(keys, max_size=4))
    def begin(self, bounds):
        self.bounds = sorted(bounds)
        self.ledger = Ledger(self.bounds)
        starts = ["", *self.bounds]
        self.until = dict(zip(starts, [*self.bounds, None], strict=True))
        self.reached = {start: start for start in starts}
        self.objects = dict.fromkeys(starts, 0)
        self.waiting, self.taken, self.done = set(starts), set(), set()

    @rule()
    def take(self):
        got = self.ledger.take()
        if not self.waiting:
            assert got is None
            return
        first = min(self.waiting)
        assert got == KeyRange(first, self.until[first])
        self.waiting.remove(first)
        self.taken.add(first)

    @precondition(lambda self: self.taken)
    @rule(data=st.data(), reached=keys, objects=st.integers(0, 1_000))
    def advance(self, data, reached, objects):
        start = data.draw(st.sampled_from(sorted(self.taken)))
        if reached < self.reached[start]:
            with pytest.raises(ValueError, match="cannot go from"):
                self.ledger.advance(start, reached, objects)
            return
        self.ledger.advance(start, reached, objects)
        until = self.until[start]
        self.reached[start] = reached if until is None or reached < until else until
        self.objects[start] += objects

    @precondition(lambda self: self.taken)
    @rule(data=st.data(), objects=st.integers(0, 1_000))
    def finish(self, data, objects):
        start = data.draw(st.sampled_from(sorted(self.taken)))
        self.ledger.finish(start, objects)
        self.objects[start] += objects
        self.taken.remove(start)
        self.done.add(start)

    @rule(data=st.data(), pivot=keys)
    def split(self, data, pivot):
        start = data.draw(st.sampled_from(sorted(self.until)))
        until = self.until[start]
        if start in self.done or pivot <= self.reached[start] or (until is not None and pivot >= until):
            with pytest.raises(ValueError, match="is not between"):
                self.ledger.split(start, pivot)
            return
        assert self.ledger.split(start, pivot) == KeyRange(pivot, until)
        self.until[start] = pivot
        self.until[pivot] = until
        self.reached[pivot] = pivot
        self.objects[pivot] = 0
        self.waiting.add(pivot)

    @precondition(lambda self: self.waiting or self.done)
    @rule(data=st.data(), objects=st.integers(0, 9))
    def only_what_was_taken_moves(self, data, objects):
        start = data.draw(st.sampled_from(sorted(self.waiting | self.done)))
        with pytest.raises(ValueError, match="cannot go from"):
            self.ledger.advance(start, "\U0010ffff" * 4, objects)
        with pytest.raises(ValueError, match="is not being listed"):
            self.ledger.finish(start, objects)

    @rule(unknown=keys)
    def an_unknown_start_is_refused(self, unknown):
        if unknown not in self.until:
            with pytest.raises(KeyError):
                self.ledger.until(unknown)
            with pytest.raises(KeyError):
                self.ledger.following(unknown)

    @invariant()
    def ranges_tile_the_key_space(self):
        if not hasattr(self, "ledger"):
            return
        ranges = [key_range for key_range, _ in self.ledger]
        assert ranges[0].after == ""
        assert ranges[-1].until is None
        assert [part.until for part in ranges[:-1]] == [part.after for part in ranges[1:]]
        assert all(a.after < b.after for a, b in itertools.pairwise(ranges))
        assert set(self.bounds) <= {part.after for part in ranges}

    @invariant()
    def ranges_and_counts_are_the_models(self):
        if not hasattr(self, "ledger"):
            return
        expected = [(KeyRange(start, self.until[start]), self.objects[start]) for start in sorted(self.until)]
        assert list(self.ledger) == expected
        starts = sorted(self.until)
        assert [self.ledger.following(start) for start in starts] == [*starts[1:], None]
        assert [self.ledger.until(start) for start in starts] == [self.until[start] for start in starts]

    @invariant()
    def every_key_is_in_one_range(self):
        if not hasattr(self, "ledger"):
            return
        probes = {*self.until, *(start + "\0" for start in self.until), "\U0010ffff" * 4} - {""}
        for key in probes:
            assert sum(key in key_range for key_range, _ in self.ledger) == 1


TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(max_examples=60, stateful_step_count=30)


@given(st.lists(keys | st.just(""), min_size=1, max_size=4))
@settings(max_examples=100)
def test_bounds_must_ascend(bounds):
    if "" not in bounds and bounds == sorted(set(bounds)):
        assert [part.after for part, _ in Ledger(bounds)] == ["", *bounds]
    else:
        with pytest.raises(ValueError, match="bounds must ascend"):
            Ledger(bounds)


def test_a_split_takes_only_what_is_not_listed_yet():
    ledger = Ledger(["m"])
    ledger.take()
    ledger.advance("", "f", 3)
    for pivot in ("", "e", "f", "m", "z"):
        with pytest.raises(ValueError, match="is not between"):
            ledger.split("", pivot)
    assert ledger.split("", "f\0") == KeyRange("f\0", "m")
    assert list(ledger) == [(KeyRange("", "f\0"), 3), (KeyRange("f\0", "m"), 0), (KeyRange("m", None), 0)]


def test_a_new_range_is_taken_before_those_behind_it():
    ledger = Ledger(["m"])
    assert ledger.take() == KeyRange("", "m")
    ledger.split("", "c")
    assert [ledger.take(), ledger.take(), ledger.take()] == [KeyRange("c", "m"), KeyRange("m", None), None]


def test_a_page_past_the_bound_of_the_moment_counts_up_to_the_bound():
    ledger = Ledger()
    ledger.take()
    ledger.split("", "m")
    ledger.advance("", "z", 5)
    with pytest.raises(ValueError, match="is not between 'm'"):
        ledger.split("", "g")
