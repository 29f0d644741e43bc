"""How a scan ends early: by an error of the source, by an error of the body, by leaving, by cancelling."""

import asyncio
import gc

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scan_adversaries import (
    Erratic,
    Handing,
    Incomplete,
    bucket,
    numbered,
    scanned,
    scanned_into,
    scanning,
    taken,
    truth,
)

from refscan.errors import AccessDeniedError, ObjectNotFoundError, StoreError
from refscan.sources.source import Capabilities


@pytest.fixture(autouse=True)
async def nothing_is_left():
    """No test leaves a task behind, or a stream open."""
    yield
    assert asyncio.all_tasks() == {asyncio.current_task()}
    gc.collect()  # What is still open warns now, and a warning is an error.


class FailingPage(Erratic):
    """Raises at the given listing, and at all that follow."""

    def __init__(self, inner, error, *, at, **options):
        super().__init__(inner, **options)
        self.error = error
        self.at = at

    async def _list_page(self, prefix, after, until, token):
        if self.listings >= self.at:
            raise self.error
        return await super()._list_page(prefix, after, until, token)


class FailingStat(Incomplete):
    """Raises at the given ``stat``, and at all that follow."""

    def __init__(self, inner, error, *, at, **options):
        super().__init__(inner, **options)
        self.error = error
        self.at = at

    async def _stat(self, keys, version_id):
        if self.stats >= self.at:
            raise self.error
        return await super()._stat(keys, version_id)


class FailingOpen(Handing):
    async def __aenter__(self):
        raise StoreError("memory://scanned/: cannot be reached")


class Stuck(Erratic):
    """Answers the first pages, and then never again."""

    def __init__(self, inner, *, answers: int = 3, **options):
        super().__init__(inner, **options)
        self.answers = answers

    async def _list_page(self, prefix, after, until, token):
        if self.listings > self.answers:
            await anyio.sleep_forever()
        return await super()._list_page(prefix, after, until, token)


class StuckStat(Handing):
    async def _stat(self, keys, version_id):  # noqa: ARG002
        await anyio.sleep_forever()


ERRORS = [
    StoreError("memory://scanned/: broken", uri="memory://scanned/"),
    AccessDeniedError("memory://scanned/: no"),
    RuntimeError("an error in the source"),
    ExceptionGroup("the source's own", [ValueError("inner")]),
]


@given(
    number=st.integers(0, len(ERRORS) - 2),
    failing=st.sampled_from([FailingPage, FailingStat]),
    at=st.integers(1, 15),
    seed=st.integers(0, 10_000),
    bounds=st.sets(st.integers(0, 99), max_size=9),
)
@settings(max_examples=60)
async def test_an_error_of_the_source_comes_out_plain_behind_rows_in_order(number, failing, at, seed, bounds):
    source = failing(numbered(100), ERRORS[number], at=at, seed=seed)
    rows: list[dict[str, object]] = []
    with pytest.raises(type(ERRORS[number])) as caught:
        await scanned_into(rows, source, bounds=[f"{bound:06}" for bound in sorted(bounds)])
    if isinstance(caught.value, StoreError):
        # It names where.
        assert str(caught.value).startswith(str(ERRORS[number]))
        assert caught.value.uri == ERRORS[number].uri
    else:
        assert caught.value is ERRORS[number]
    assert rows == truth(source.inner)[: len(rows)]
    assert (source.opened, source.closed, source.under_way) == (1, 1, 0)


async def test_a_group_of_errors_is_opened():
    with pytest.raises(ValueError, match="inner"):
        await scanned(FailingPage(numbered(3), ERRORS[3], at=1))


async def test_an_error_while_the_line_of_work_is_full_comes_out_alone():
    error = StoreError("memory://scanned/: broken")
    source = FailingStat(numbered(200, page_size=50), error, at=1, capabilities=Capabilities(stat_concurrency=1))
    with pytest.raises(StoreError) as caught:
        await scanned(source)
    assert caught.value is error
    assert caught.value.__cause__ is None


async def test_there_is_no_receipt_after_an_error():
    source = FailingPage(numbered(100), StoreError("broken"), at=4)
    async with scanning(source) as scan:
        with pytest.raises(StoreError):
            await taken(scan)
        with pytest.raises(StoreError):
            await anext(scan)
        with pytest.raises(RuntimeError, match="once all its batches were taken"):
            _ = scan.receipt


async def test_an_error_of_finding_out_what_it_is_closes_the_source():
    class Denied(Handing):
        async def _stat(self, keys, version_id):  # noqa: ARG002
            raise StoreError("memory://scanned/pre: broken")

    source = Denied(bucket(["pre"]))
    with pytest.raises(StoreError, match="broken"):
        await scanned(source, "pre")
    assert (source.opened, source.closed) == (1, 1)


async def test_an_error_of_opening_the_source_comes_out_plain():
    with pytest.raises(StoreError, match="cannot be reached"):
        await scanned(FailingOpen(bucket(["a"])))


class BodyError(Exception):
    """Raised in the body of a scan."""


@given(after=st.integers(0, 6), seed=st.integers(0, 10_000), kind=st.sampled_from([Erratic, Incomplete, Stuck]))
@settings(max_examples=40)
async def test_an_error_of_the_body_comes_out_unchanged(after, seed, kind):
    source = kind(numbered(60), seed=seed)
    error = BodyError()

    async def body():
        async with scanning(source, bounds=["000030"]) as scan:
            for _ in range(after if kind is not Stuck else 0):
                await anext(scan)
            raise error

    with pytest.raises(BodyError) as caught:
        await body()
    assert caught.value is error
    assert caught.value.__context__ is None
    assert (source.closed, source.under_way) == (1, 0)


async def test_an_error_of_the_body_stands_before_one_of_the_source():
    source = FailingPage(numbered(10), StoreError("broken"), at=1)

    async def body():
        async with scanning(source):
            await anyio.wait_all_tasks_blocked()
            assert source.listings == 1
            raise BodyError

    with pytest.raises(BodyError):
        await body()
    assert source.closed == 1


@given(batches=st.integers(0, 5), seed=st.integers(0, 10_000), kind=st.sampled_from([Erratic, Incomplete]))
@settings(max_examples=40)
async def test_leaving_early_ends_all_tasks_and_closes_the_source(batches, seed, kind):
    source = kind(numbered(200), seed=seed)
    before = asyncio.all_tasks()
    async with scanning(source, bounds=["000050", "000100", "000150"]) as scan:
        for _ in range(batches):
            await anext(scan)
    assert asyncio.all_tasks() == before
    assert (source.opened, source.closed, source.under_way) == (1, 1, 0)
    asked = source.listings, source.stats
    await anyio.wait_all_tasks_blocked()
    assert (source.listings, source.stats) == asked


@pytest.mark.parametrize("hands", [1, 8])
async def test_leaving_does_not_wait_for_a_store_that_does_not_answer(hands):
    source = Stuck(numbered(100), capabilities=Capabilities(pinned=True, list_concurrency=hands))
    with anyio.fail_after(60):
        async with scanning(source) as scan:
            async for _ in scan:
                break
            await anyio.wait_all_tasks_blocked()
            assert source.under_way == 1 if hands == 1 else 1 < source.under_way <= hands
    assert (source.closed, source.under_way) == (1, 0)


async def test_a_scan_that_was_left_gives_no_rows():
    async with scanning(numbered(10)) as scan:
        pass
    with pytest.raises(anyio.ClosedResourceError):
        await anext(scan)


async def read_into(outcome, scan):
    try:
        outcome.append(await taken(scan))
    except anyio.ClosedResourceError:
        outcome.append("left")


async def test_leaving_does_not_look_like_the_end_to_another_task():
    """A reader in a task of its own must not take half a listing for the whole."""
    outcome: list[object] = []
    async with anyio.create_task_group() as group, scanning(Stuck(numbered(100))) as scan:
        group.start_soon(read_into, outcome, scan)
        await anyio.wait_all_tasks_blocked()
    assert outcome == ["left"]


async def test_cancelling_does_not_look_like_the_end_to_another_task():
    """The scan's own tasks end at once, though its body takes its time."""
    outcome: list[object] = []
    async with anyio.create_task_group() as group:
        with anyio.CancelScope() as scope:
            async with scanning(Stuck(numbered(100))) as scan:
                group.start_soon(read_into, outcome, scan)
                await anyio.wait_all_tasks_blocked()
                scope.cancel()
                with anyio.CancelScope(shield=True):
                    await anyio.wait_all_tasks_blocked()
                assert outcome == ["left"]


def reading(source, entered: anyio.Event):
    async def read():
        async with scanning(source) as scan:
            entered.set()
            await taken(scan)
        raise AssertionError("it ended")

    return read


async def test_cancelling_the_task_of_the_body_ends_the_scan():
    source, entered = Stuck(numbered(100)), anyio.Event()
    task = asyncio.create_task(reading(source, entered)())
    await entered.wait()
    await anyio.wait_all_tasks_blocked()
    task.cancel("enough")
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()
    assert (source.closed, source.under_way) == (1, 0)


async def test_cancelling_a_body_that_does_something_else_ends_the_scan():
    source, entered = Erratic(numbered(100)), anyio.Event()

    async def body():
        async with scanning(source):
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(body())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (source.closed, source.under_way) == (1, 0)


async def test_a_timeout_around_the_body_is_a_timeout():
    source = Stuck(numbered(100))

    async def body():
        async with asyncio.timeout(None) as timeout, scanning(source) as scan:
            timeout.reschedule(asyncio.get_running_loop().time())
            await taken(scan)

    with pytest.raises(TimeoutError):
        await body()
    assert source.closed == 1
    current = asyncio.current_task()
    assert current is not None
    assert current.cancelling() == 0


async def test_a_cancel_scope_around_the_body_catches_its_own():
    source = Stuck(numbered(100))
    with anyio.CancelScope() as scope:
        async with scanning(source) as scan:
            await anext(scan)
            scope.cancel()
            await taken(scan)
    assert scope.cancelled_caught
    assert (source.closed, source.under_way) == (1, 0)
    await anyio.lowlevel.checkpoint()


async def test_a_cancel_scope_in_the_body_leaves_the_scan_alone():
    source = Erratic(numbered(50), seed=3)
    async with scanning(source) as scan:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await anyio.sleep_forever()
        rows = await taken(scan)
    assert rows == truth(source.inner)


async def test_a_task_group_around_many_scans_cancels_those_that_go_on():
    sources = [Stuck(numbered(100), seed=seed) for seed in range(4)]
    with pytest.RaisesGroup(BodyError):
        async with asyncio.TaskGroup() as group:
            for source in sources:
                entered = anyio.Event()
                group.create_task(reading(source, entered)())
                await entered.wait()
            await anyio.wait_all_tasks_blocked()
            raise BodyError
    assert [source.closed for source in sources] == [1, 1, 1, 1]


async def test_cancelling_while_it_is_found_out_what_it_is_closes_the_source():
    source = StuckStat(bucket(["pre"]))
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:
            group.start_soon(scanned, source, "pre")
            await anyio.wait_all_tasks_blocked()
            assert source.under_way == 1
            scope.cancel()
    assert (source.opened, source.closed, source.under_way) == (1, 1, 0)


async def test_the_end_can_be_asked_for_again():
    async with scanning(numbered(3)) as scan:
        assert len(await taken(scan)) == 3
        assert await taken(scan) == []
        with pytest.raises(StopAsyncIteration):
            await anext(scan)


async def test_a_bucket_without_objects_is_an_error_in_the_body():
    source = Handing(bucket([]))
    async with scanning(source) as scan:
        with pytest.raises(ObjectNotFoundError):
            await taken(scan)
    assert source.closed == 1


async def test_a_page_that_fails_for_good_names_its_range():
    error = StoreError("memory://scanned/: broken", uri="memory://scanned/")
    source = FailingPage(numbered(100), error, at=4, most=1)
    with pytest.raises(StoreError, match=r"broken \(while the keys behind '[0-9]{6}'( up to '[0-9]+')? were listed\)$"):
        await scanned(source, bounds=["000050"])
