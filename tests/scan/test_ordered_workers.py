"""Work done at once, results in the order in which the work came in."""

import gc
import random

import anyio
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given
from hypothesis import strategies as st

from refscan.scan.ordered import OrderedWorkers


async def run_through(work, items, *, concurrency: int, sink=None, done=frozenset()):
    """Put all items, those in ``done`` as results, and return what is delivered."""
    results = []

    async def keep(result):
        results.append(result)

    async def put_all(line):
        for item in items:
            await (line.put_done(item) if item in done else line.put(item))
        line.end()

    async with anyio.create_task_group() as group:
        line = OrderedWorkers(group, work, concurrency=concurrency)
        group.start_soon(put_all, line)
        await line.deliver(sink or keep)
    return results


@given(count=st.integers(0, 40), concurrency=st.integers(1, 9), seed=st.integers(0, 10_000))
async def test_results_keep_the_order_of_the_work(count, concurrency, seed):
    chance = random.Random(seed)
    active = most = 0

    async def work(item):
        nonlocal active, most
        active += 1
        most = max(most, active)
        for _ in range(chance.randrange(10)):
            await checkpoint()
        active -= 1
        return item * 2

    async def slow_sink(result):
        for _ in range(chance.randrange(4)):
            await checkpoint()
        results.append(result)

    done = {item for item in range(count) if chance.random() < 0.5}
    results: list[int] = []
    await run_through(work, range(count), concurrency=concurrency, sink=slow_sink, done=done)
    assert results == [item if item in done else item * 2 for item in range(count)]
    assert most <= concurrency


async def test_as_much_is_done_at_once_as_is_allowed():
    active = most = 0
    all_busy = anyio.Event()

    async def work(item):
        nonlocal active, most
        active += 1
        most = max(most, active)
        if active == 5:
            all_busy.set()
        await all_busy.wait()
        await anyio.wait_all_tasks_blocked()
        active -= 1
        return item

    with anyio.fail_after(60):
        assert await run_through(work, range(12), concurrency=5) == list(range(12))
    assert most == 5


async def test_the_line_is_no_longer_than_twice_the_concurrency():
    put = 0

    async def work(item):
        return item

    async def put_all(line):
        nonlocal put
        for item in range(100):
            await line.put(item)
            put += 1
        line.end()

    async def never(_):
        await anyio.wait_all_tasks_blocked()
        lengths.append(put)
        raise StopAsyncIteration

    lengths: list[int] = []
    with pytest.RaisesGroup(StopAsyncIteration):
        async with anyio.create_task_group() as group:
            line = OrderedWorkers(group, work, concurrency=3)
            group.start_soon(put_all, line)
            await line.deliver(never)
    assert lengths == [2 * 3]


async def test_an_error_is_raised_in_its_turn():
    delivered = []

    async def work(item):
        if item == 3:
            raise KeyError(item)
        for _ in range(10 - item):
            await checkpoint()
        return item

    async def sink(result):
        delivered.append(result)

    with pytest.RaisesGroup(KeyError):
        await run_through(work, range(100), concurrency=8, sink=sink)
    assert delivered == [0, 1, 2]


async def test_an_error_leaves_nothing_open_though_more_work_waits():
    async def work(item):
        return item

    async def sink(result):  # noqa: ARG001
        await anyio.wait_all_tasks_blocked()
        raise KeyError

    with pytest.RaisesGroup(KeyError, allow_unwrapped=False):
        await run_through(work, range(100), concurrency=2, sink=sink)
    gc.collect()  # What is still open warns now, and a warning is an error.
