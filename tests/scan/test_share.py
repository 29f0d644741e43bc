"""Scans of one bucket share what it takes: each has a hand, none gets more than its part while others wait."""

from collections import defaultdict
from dataclasses import replace

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from scan_adversaries import Handing, bucket, scanned, scanning, taken, truth

from refscan.scan.pressure import Pressure
from refscan.scan.shared import _SHARED
from refscan.sources.source import Capabilities

MOST = 12
KEYS = [f"train/{number:09}.png" for number in range(3_000)]


class Worker:
    """A scan as the rule sees it: so many pages left, one of them to a hand."""

    def __init__(self, pressure: Pressure, pages: int) -> None:
        self.pressure = pressure
        self.pages = pages
        self.share = pressure.join(self.schedule)

    @property
    def spare(self) -> int:
        """Pages that no hand has."""
        return self.pages - self.share.hands

    def schedule(self) -> None:
        while self.share.may_start():
            if self.spare <= 0:
                return
            first = self.share.hands == 0
            self.share.start()
            assert first or self.pressure.under_way <= self.pressure.limit, "only the first hand is always there"

    def answer(self, *, throttled: bool) -> None:
        """One hand has its page."""
        self.pressure.answered(throttled=throttled)
        self.pages -= 1
        if self.pages < self.share.hands:
            self.share.stop()
            self.schedule()
            return
        self.schedule()
        if self.share.must_stop():
            self.share.stop()


def round_of_answers(workers: list[Worker], *, throttled: bool = False) -> None:
    for worker in workers:
        for _ in range(worker.share.hands):
            if worker.share.hands:
                worker.answer(throttled=throttled)


class Sharing(RuleBasedStateMachine):
    """Scans come, list, and go; the store asks to slow down now and then."""

    def __init__(self) -> None:
        super().__init__()
        self.pressure = Pressure(MOST)
        self.workers: list[Worker] = []

    @rule(pages=st.integers(1, 60))
    @precondition(lambda self: len(self.workers) < 5)
    def come(self, pages):
        worker = Worker(self.pressure, pages)
        self.workers.append(worker)
        worker.schedule()

    @rule(data=st.data(), throttled=st.sampled_from([False, False, False, True]))
    @precondition(lambda self: any(worker.share.hands for worker in self.workers))
    def answer(self, data, throttled):
        data.draw(st.sampled_from([worker for worker in self.workers if worker.share.hands])).answer(
            throttled=throttled
        )

    @rule(data=st.data(), pages=st.integers(1, 60))
    @precondition(lambda self: self.workers)
    def find_more(self, data, pages):
        """Learn from a page that there is more; the page's hand then looks for others."""
        worker = data.draw(st.sampled_from(self.workers))
        worker.pages += pages
        worker.schedule()

    @rule(data=st.data())
    @precondition(lambda self: self.workers)
    def leave(self, data):
        worker = data.draw(st.sampled_from(self.workers))
        self.workers.remove(worker)
        before = self.pressure.under_way - worker.share.hands
        worker.share.leave()
        worker.share.leave()
        assert worker.share.hands == 0
        assert self.pressure.under_way >= before
        assert worker.share not in self.pressure.shares

    @rule()
    def calm(self):
        """Whatever was, a few rounds later all have what they should."""
        for worker in self.workers:
            worker.pages += 10_000
            worker.schedule()
        for _ in range(3 * MOST):
            round_of_answers(self.workers)
        hands = [worker.share.hands for worker in self.workers]
        if hands:
            assert sum(hands) == max(self.pressure.limit, len(hands)), "no room is left unused"
            assert max(hands) - min(hands) <= 1, "none has more than its part"

    @invariant()
    def hands_are_counted(self):
        assert self.pressure.under_way == sum(worker.share.hands for worker in self.workers)

    @invariant()
    def each_has_a_hand(self):
        assert all(worker.share.hands >= 1 for worker in self.workers if worker.pages)

    def teardown(self):
        for worker in self.workers:
            worker.share.leave()
        assert self.pressure.under_way == 0
        assert not self.pressure.shares


Sharing.TestCase.settings = settings(max_examples=60, stateful_step_count=30)
TestSharing = Sharing.TestCase


@given(most=st.integers(1, 64), scans=st.integers(1, 9), idle=st.integers(0, 5))
def test_all_room_is_used_and_shared_evenly(most, scans, idle):
    """Also beside scans that are listed to their end and are still read: what they do not want is the others'."""
    pressure = Pressure(most)
    shares = [pressure.join(lambda: None) for _ in range(idle)]
    first = Worker(pressure, 100_000)
    first.schedule()
    for _ in range(70):
        round_of_answers([first])
    assert first.share.hands == pressure.limit == most
    workers = [first]
    for _ in range(scans - 1):
        workers.append(Worker(pressure, 100_000))
        workers[-1].schedule()
        assert workers[-1].share.hands >= 1
    # As many rounds as it has hands to give away.
    for _ in range(most + 1):
        round_of_answers(workers)
    hands = sorted(worker.share.hands for worker in workers)
    assert sum(hands) == max(most, scans)
    assert hands[-1] - hands[0] <= 1
    assert all(share.hands == 0 for share in shares)


def test_who_comes_gets_its_part_after_one_page_of_each():
    pressure = Pressure(16)
    first, second = Worker(pressure, 100_000), Worker(pressure, 100_000)
    first.schedule()
    for _ in range(20):
        round_of_answers([first])
    assert (first.share.hands, second.share.hands) == (16, 0)
    second.schedule()
    for _ in range(16):
        first.answer(throttled=False)
    assert (first.share.hands, second.share.hands) == (8, 8)


def test_what_is_given_back_goes_to_who_waits():
    pressure = Pressure(4)
    workers = [Worker(pressure, 1_000), Worker(pressure, 1_000)]
    workers[0].schedule()
    assert workers[0].share.hands == 4
    workers[1].schedule()
    assert workers[1].share.hands == 1
    workers[0].share.leave()
    assert workers[1].share.hands == 4
    assert pressure.under_way == 4


class Line:
    """What the scans of a test have under way together."""

    def __init__(self) -> None:
        self.now: dict[str, int] = defaultdict(int)
        self.most: dict[str, int] = defaultdict(int)

    def add(self, name: str) -> None:
        self.now[name] += 1
        self.most[name] = max(self.most[name], self.now[name])


class Counted(Handing):
    """Takes its time to answer, and counts with others."""

    def __init__(self, line: Line, *, keys=KEYS, hands: int = 16, name: str = "scanned", **options):
        can = Capabilities(pinned=True, list_concurrency=hands)
        super().__init__(bucket(keys, page_size=10, name=name), capabilities=can, **options)
        self.base = self.inner.base
        self.line = line
        self.name = name
        self.own = 0

    async def _list_page(self, prefix, after, until, token):
        self.line.add(self.name)
        self.own = max(self.own, self.under_way)
        try:
            for _ in range(20):
                await anyio.lowlevel.checkpoint()
            return await super()._list_page(prefix, after, until, token)
        finally:
            self.line.now[self.name] -= 1


async def all_of(sources) -> None:
    """Scan all at once, and make sure that each gives its rows."""

    async def one(source) -> None:
        rows, _ = await scanned(source)
        assert rows == truth(source.inner)

    async with anyio.create_task_group() as group:
        for source in sources:
            group.start_soon(one, source)


@pytest.fixture(autouse=True)
def nothing_is_left():
    """What scans share is forgotten with the last of them."""
    yield
    assert not _SHARED


@pytest.mark.parametrize("scans", [1, 2, 3])
async def test_scans_of_one_bucket_have_no_more_under_way_than_one_may(scans):
    line = Line()
    sources = [Counted(line) for _ in range(scans)]
    await all_of(sources)
    assert 8 < line.most["scanned"] <= 16 + scans - 1
    assert all(source.own > 3 for source in sources), "none was starved"


async def test_two_buckets_do_not_disturb_each_other():
    line = Line()
    sources = [Counted(line, name="one"), Counted(line, name="two")]
    await all_of(sources)
    assert line.most["one"] > 8
    assert line.most["two"] > 8
    assert max(line.most.values()) <= 16


async def test_more_scans_than_hands_all_come_to_their_end():
    line = Line()
    await all_of([Counted(line, keys=KEYS[:300], hands=2) for _ in range(5)])
    assert line.most["scanned"] <= 2 + 5 - 1


class Busy(Counted):
    """Asks to slow down while more than four requests are under way, whoever sent them."""

    crowded = 0

    async def _list_page(self, prefix, after, until, token):
        busy = self.line.now[self.name] > 4
        Busy.crowded += busy
        return replace(await super()._list_page(prefix, after, until, token), throttled=busy)


async def test_all_give_way_when_one_is_asked_to():
    line = Line()
    Busy.crowded = 0
    sources = [Busy(line), Busy(line)]
    await all_of(sources)
    assert Busy.crowded < 0.8 * sum(source.listings for source in sources)


class Failing(Counted):
    """Is broken from its middle on, and tells when it has its part of the hands."""

    def __init__(self, line: Line) -> None:
        super().__init__(line)
        self.many = anyio.Event()

    async def _list_page(self, prefix, after, until, token):
        if self.under_way > 3:
            self.many.set()
        if self.many.is_set() and after > KEYS[1_500]:
            raise PermissionError("gone")
        return await super()._list_page(prefix, after, until, token)


async def test_a_scan_that_fails_gives_its_hands_back():
    line = Line()
    failing, source = Failing(line), Counted(line)

    async def fail() -> None:
        with pytest.raises(PermissionError, match="gone"):
            await scanned(failing)
        (shared,) = _SHARED.values()
        assert len(shared.pressure.shares) == 1
        assert shared.pressure.under_way == shared.pressure.shares[0].hands

    async with anyio.create_task_group() as group:
        group.start_soon(fail)
        async with scanning(source) as scan:
            assert await taken(scan) == truth(source.inner)
    assert source.own > 8


async def test_a_scan_that_is_left_gives_its_hands_back():
    line = Line()
    left, source = Counted(line), Counted(line)
    async with scanning(source) as scan:
        async with scanning(left) as other:
            async for _ in other:
                if left.own > 3:
                    break
        (shared,) = _SHARED.values()
        assert len(shared.pressure.shares) == 1
        assert shared.pressure.under_way == shared.pressure.shares[0].hands
        assert await taken(scan) == truth(source.inner)
    assert source.own > 8


async def test_a_scan_that_is_not_read_keeps_nobody_from_the_rest():
    """It holds the hands that wait for its reader, and no more; the other comes to its end."""
    line = Line()
    unread, source = Counted(line), Counted(line)
    async with scanning(unread) as scan:
        await anext(scan)
        rows, _ = await scanned(source)
        assert rows == truth(source.inner)
        assert len(await taken(scan)) > 2_900
