"""The ledger's ranges tile the key space whatever is done to them."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from refscan.scan.ledger import Found, KeyRange, Ledger

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
        self.splits = []
        self.notes = {start: [] for start in starts}
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
                self.ledger.advance(start, reached, Found(objects))
            return
        self.ledger.advance(start, reached, Found(objects))
        until = self.until[start]
        self.reached[start] = reached if until is None or reached < until else until
        self.objects[start] += objects
        if self.reached[start] != until:  # what reaches to the end is finished
            self.notes[start].append((self.reached[start], objects))

    @precondition(lambda self: self.taken)
    @rule(data=st.data(), objects=st.integers(0, 1_000))
    def finish(self, data, objects):
        start = data.draw(st.sampled_from(sorted(self.taken)))
        self.ledger.finish(start, Found(objects))
        self.objects[start] += objects
        self.notes[start].append((self.until[start], objects))
        self.taken.remove(start)
        self.done.add(start)

    @precondition(lambda self: hasattr(self, "ledger"))
    @rule(data=st.data())
    def kill_and_restore(self, data):
        """Each file of a journal keeps a beginning of what was written to it; what is kept is kept, and no more."""
        splits = self.splits[: data.draw(st.integers(0, len(self.splits)))]
        self.ledger = Ledger(self.bounds)
        for start, pivot in splits:
            self.ledger.split(start, pivot)
        ranges = [part for part, _ in self.ledger]
        self.until = {part.after: part.until for part in ranges}
        self.splits, kept = splits, {}
        self.waiting, self.taken, self.done = set(self.until), set(), set()
        for start in self.until:
            kept[start] = self.notes[start][: data.draw(st.integers(0, len(self.notes[start])))]
            self.reached[start], self.objects[start] = start, sum(objects for _, objects in kept[start])
            for reached, objects in kept[start]:
                self.ledger.restore(start, reached, Found(objects))
                self.reached[start] = reached or self.reached[start]
                if reached == self.until[start]:
                    self.waiting.discard(start)
                    self.done.add(start)
            assert self.ledger.is_done(start) == (start in self.done)
            if start not in self.done:
                assert self.ledger.reached(start) == self.reached[start]
        self.notes = kept

    @rule(data=st.data(), pivot=keys)
    def split(self, data, pivot):
        start = data.draw(st.sampled_from(sorted(self.until)))
        until = self.until[start]
        if start in self.done or pivot <= self.reached[start] or (until is not None and pivot >= until):
            with pytest.raises(ValueError, match="is not between"):
                self.ledger.split(start, pivot)
            return
        assert self.ledger.split(start, pivot) == KeyRange(pivot, until)
        self.splits.append((start, pivot))
        self.notes[pivot] = []
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
            self.ledger.advance(start, "\U0010ffff" * 4, Found(objects))
        with pytest.raises(ValueError, match="is not being listed"):
            self.ledger.finish(start, Found(objects))

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
        expected = [(KeyRange(start, self.until[start]), Found(self.objects[start])) for start in sorted(self.until)]
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
    ledger.advance("", "f", Found(3, "b", "f"))
    for pivot in ("", "e", "f", "m", "z"):
        with pytest.raises(ValueError, match="is not between"):
            ledger.split("", pivot)
    assert ledger.split("", "f\0") == KeyRange("f\0", "m")
    assert list(ledger) == [
        (KeyRange("", "f\0"), Found(3, "b", "f")),
        (KeyRange("f\0", "m"), Found()),
        (KeyRange("m", None), Found()),
    ]


def test_a_new_range_is_taken_before_those_behind_it():
    ledger = Ledger(["m"])
    assert ledger.take() == KeyRange("", "m")
    ledger.split("", "c")
    assert [ledger.take(), ledger.take(), ledger.take()] == [KeyRange("c", "m"), KeyRange("m", None), None]


def test_a_page_past_the_bound_of_the_moment_counts_up_to_the_bound():
    ledger = Ledger()
    ledger.take()
    ledger.split("", "m")
    ledger.advance("", "z", Found(5))
    with pytest.raises(ValueError, match="is not between 'm'"):
        ledger.split("", "g")


@pytest.mark.parametrize(("reached", "possible"), [("a", True), ("m", True), ("z", False), (None, False)])
def test_what_is_restored_must_lie_in_its_range(reached, possible):
    ledger = Ledger(["m"])
    if possible:
        ledger.restore("", reached, Found(1, "a", "a"))
        assert ledger.is_done("") == (reached == "m")
        return
    with pytest.raises(ValueError, match="cannot have reached"):
        ledger.restore("", reached, Found())


def test_what_is_being_listed_is_not_restored():
    ledger = Ledger()
    ledger.take()
    with pytest.raises(ValueError, match="cannot have reached"):
        ledger.restore("", "a", Found())
