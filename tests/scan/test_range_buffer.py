"""Pages of one range on their way from its listing to its turn."""

import anyio
import pyarrow as pa
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given
from hypothesis import strategies as st

from refscan.scan.buffer import Listed, RangeBuffer, Room
from refscan.sources.source import page_rows


@pytest.fixture(autouse=True)
def spool_directory(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def page(number: int, *, complete: bool = True) -> Listed:
    return Listed(page_rows(key=[f"{number:04}", f"{number:04}b"], size=[number, None]), complete)


PAGE = page(0).rows.nbytes
SOME = 4 * PAGE


async def rest_of(buffer: RangeBuffer) -> list[Listed]:
    pages = []
    while (got := await buffer.next()) is not None:
        pages.append(got)
    return pages


# How often each side lets the other one run: before each page that is put, and before each that is taken.
turns = st.lists(st.integers(0, 6), max_size=25)


@given(
    before_put=turns,
    before_next=turns,
    completes=st.lists(st.booleans(), max_size=25),
    wait=st.integers(0, 60),
    room=st.integers(0, 30),
)
async def test_pages_come_out_as_they_went_in(before_put, before_next, completes, wait, room):
    pages = [page(number, complete=complete) for number, complete in enumerate(completes)]
    buffer = RangeBuffer(Room(room * PAGE))
    taken = []

    async def put_all():
        for number, one in enumerate(pages):
            for _ in range((before_put or [0])[number % len(before_put or [0])]):
                await checkpoint()
            await buffer.put(one)
        buffer.end()

    async with anyio.create_task_group() as group:
        group.start_soon(put_all)
        for _ in range(wait):
            await checkpoint()
        number = 0
        while (got := await buffer.next()) is not None:
            taken.append(got)
            number += 1
            for _ in range((before_next or [0])[number % len(before_next or [0])]):
                await checkpoint()
    assert [(got.rows.to_pylist(), got.complete) for got in taken] == [
        (one.rows.to_pylist(), one.complete) for one in pages
    ]
    assert await buffer.next() is None


async def test_before_its_turn_put_does_not_wait_and_what_there_is_no_room_for_leaves_memory():
    before = pa.total_allocated_bytes()
    room = Room(SOME)
    buffers = [RangeBuffer(room) for _ in range(5)]
    for number in range(100):
        for buffer in buffers:
            await buffer.put(page(number))
    # Arrow allocates by 64 bytes for each of a page's buffers.
    assert pa.total_allocated_bytes() - before <= 4 * 20 * 64
    for buffer in buffers:
        buffer.end()
        assert [got.rows.column("size")[0].as_py() for got in await rest_of(buffer)] == list(range(100))


async def test_room_that_was_given_back_is_used_again():
    room = Room(SOME)
    for _ in range(100):
        buffer = RangeBuffer(room)
        for number in range(4):
            await buffer.put(page(number))
        buffer.end()
        assert len(await rest_of(buffer)) == 4
        assert buffer._run is None


async def test_in_its_turn_put_waits_for_the_reader():
    buffer = RangeBuffer(Room(SOME))
    put = 0

    async def put_all():
        nonlocal put
        for number in range(50):
            await buffer.put(page(number))
            put = number + 1
        buffer.end()

    async with anyio.create_task_group() as group:
        group.start_soon(put_all)
        for taken in range(1, 20):
            assert await buffer.next() is not None
            await anyio.wait_all_tasks_blocked()
            assert put <= taken + 4
        assert len(await rest_of(buffer)) == 31
    assert put == 50


async def test_a_reader_that_waits_learns_of_the_end():
    buffer = RangeBuffer(Room(SOME))
    async with anyio.create_task_group() as group:
        group.start_soon(rest_of, buffer)
        await anyio.wait_all_tasks_blocked()
        buffer.end()


async def test_pages_without_rows_are_no_pages():
    buffer = RangeBuffer(Room(SOME))
    for number in range(10):
        await buffer.put(Listed(page_rows(key=[]), complete=True))
        await buffer.put(page(number))
    buffer.end()
    assert len(await rest_of(buffer)) == 10


async def test_in_its_turn_put_waits_until_what_is_on_disk_was_taken():
    buffer = RangeBuffer(Room(SOME))
    for number in range(20):
        await buffer.put(page(number))
    put = 20

    async def put_more():
        nonlocal put
        for number in range(20, 40):
            await buffer.put(page(number))
            put = number + 1
        buffer.end()

    async with anyio.create_task_group() as group:
        taken = [await buffer.next()]
        group.start_soon(put_more)
        while len(taken) < 36:
            await anyio.wait_all_tasks_blocked()
            assert put <= max(20, len(taken) + 4)
            taken.append(await buffer.next())
        taken += await rest_of(buffer)
    assert [got.rows.column("size")[0].as_py() for got in taken if got is not None] == list(range(40))


@pytest.mark.parametrize("room", [0, 1, 4])
@pytest.mark.parametrize("ahead", [0, 1, 2, 3])
@pytest.mark.parametrize("before", range(10))
async def test_pages_put_while_others_are_on_disk_stand_behind_them(before, ahead, room):
    buffer = RangeBuffer(Room(room * PAGE))
    for number in range(before):
        await buffer.put(page(number))
    taken: list[Listed | None] = [await buffer.next() for _ in range(max(0, before - ahead))]
    for number in range(before, before + 20):
        await buffer.put(page(number))
        taken.append(await buffer.next())
    buffer.end()
    taken += await rest_of(buffer)
    assert [got.rows.column("size")[0].as_py() for got in taken if got is not None] == list(range(before + 20))
