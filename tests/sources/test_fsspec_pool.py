import threading

import anyio
import pytest

from refscan.sources.fsspec.pool import Pool


class Maker:
    """Makes numbers, as many as ``most`` at once."""

    def __init__(self, most: int = 1_000) -> None:
        self.most = most
        self.made = 0
        self.open: set[int] = set()
        self._lock = threading.Lock()

    def __call__(self) -> int:
        with self._lock:
            if len(self.open) == self.most:
                raise ConnectionRefusedError("too many")
            self.made += 1
            self.open.add(self.made)
            return self.made

    def close(self, number: int) -> None:
        with self._lock:
            self.open.discard(number)


async def pool_of(maker: Maker, size: int) -> Pool[int]:
    pool = Pool(maker, maker.close, size)
    await pool.open()
    return pool


async def test_one_is_used_again_and_again():
    maker = Maker()
    pool = await pool_of(maker, 8)
    assert [await pool.run(lambda number: number) for _ in range(5)] == [1] * 5
    assert maker.made == 1
    await pool.close()
    assert not maker.open


@pytest.mark.parametrize(("size", "most", "at_once"), [(3, 1_000, 3), (8, 2, 2), (1, 1, 1)])
async def test_as_many_at_once_as_may_be(size, most, at_once):
    maker = Maker(most)
    pool = await pool_of(maker, size)
    meeting = threading.Barrier(at_once)
    seen = []

    def work(number: int) -> None:
        meeting.wait()  # passes only when so many are at it together
        seen.append(number)

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            for _ in range(6):
                group.start_soon(pool.run, work)
    assert set(seen) == set(range(1, at_once + 1))
    await pool.close()
    assert not maker.open


async def test_an_error_of_a_used_one_is_tried_again_with_a_fresh_one():
    maker = Maker()
    pool = await pool_of(maker, 2)

    def work(number: int) -> int:
        if number == 1:
            raise BrokenPipeError
        return number

    assert await pool.run(work) == 2
    assert maker.open == {2}
    await pool.close()


async def test_an_error_of_a_fresh_one_is_raised():
    maker = Maker()
    pool = await pool_of(maker, 2)

    def work(number: int) -> None:
        raise BrokenPipeError(number)

    with pytest.raises(BrokenPipeError) as caught:
        await pool.run(work)
    assert caught.value.args == (2,)
    assert not maker.open
    assert await pool.run(lambda number: number) == 3
    await pool.close()


async def test_an_answer_is_no_reason_for_a_fresh_one():
    maker = Maker()
    pool = await pool_of(maker, 2)

    def work(number: int) -> None:
        raise FileNotFoundError(number)

    with pytest.raises(FileNotFoundError):
        await pool.run(work)
    assert maker.open == {1}
    assert maker.made == 1
    await pool.close()


async def test_the_first_one_must_be_made():
    maker = Maker(0)
    with pytest.raises(ConnectionRefusedError):
        await pool_of(maker, 2)


async def test_what_is_lent_while_the_pool_closes_is_closed_when_it_comes_back():
    maker = Maker()
    pool = await pool_of(maker, 2)
    async with pool.ask(lambda number: number) as (_, number):
        await pool.close()
        assert maker.open == {number}
    assert not maker.open


async def test_one_that_is_made_for_nobody_is_closed():
    going, goes_on, closed = threading.Event(), threading.Event(), threading.Event()

    def make() -> str:
        going.set()
        goes_on.wait()
        return "made"

    pool = Pool(make, lambda _: closed.set(), 2)
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(pool.open)
            await anyio.to_thread.run_sync(going.wait)
            group.cancel_scope.cancel()
        assert not closed.is_set()
        goes_on.set()
        await anyio.to_thread.run_sync(closed.wait)


async def test_waiting_can_be_cancelled():
    maker = Maker(1)
    pool = await pool_of(maker, 4)
    async with pool.ask(lambda number: number):
        with anyio.move_on_after(0.05) as scope:
            await pool.run(lambda number: number)
        assert scope.cancelled_caught
    assert await pool.run(lambda number: number) == 1
    await pool.close()
    assert not maker.open
