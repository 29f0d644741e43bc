"""The queue by itself, against a model: whatever is ready first, tickets are committed in the order of the puts."""

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refscan import ArtifactError
from refscan.registry.queue import LogQueue

GOOD, FAILS_PREPARING, FAILS_COMMITTING = range(3)
FATES = st.lists(st.sampled_from([GOOD, GOOD, GOOD, FAILS_PREPARING, FAILS_COMMITTING]), max_size=20)


class Log:
    """Commits tickets into a list; each is prepared once its gate is open."""

    def __init__(self, fates):
        self.fates = fates
        self.gates = [anyio.Event() for _ in fates]
        self.prepared = []
        self.committed = []
        self.queue = LogQueue(self.prepare, self.commit, size=4)

    async def prepare(self, ticket):
        await self.gates[ticket].wait()
        self.prepared.append(ticket)
        if self.fates[ticket] == FAILS_PREPARING:
            raise ValueError(ticket)
        return ticket

    async def commit(self, tickets):
        outcomes = []
        for ticket in tickets:
            if self.fates[ticket] == FAILS_COMMITTING:
                outcomes.append(ValueError(ticket))
            else:
                self.committed.append(ticket)
                outcomes.append(f"v{len(self.committed) - 1}")
        return outcomes


@settings(max_examples=25)
@given(FATES, st.randoms(use_true_random=False))
def test_numbers_follow_the_puts_in_whatever_order_tickets_become_ready(fates, random):
    async def scenario():
        log = Log(fates)
        order = list(range(len(fates)))
        random.shuffle(order)
        async with anyio.create_task_group() as tasks:
            log.queue.start(tasks)
            handles = [log.queue.put(ticket) for ticket in range(len(fates))]
            for ticket in order:
                log.gates[ticket].set()
                if random.random() < 0.3:
                    await anyio.wait_all_tasks_blocked()
            log.queue.end()
        number = 0
        for ticket, (fate, handle) in enumerate(zip(fates, handles, strict=True)):
            assert handle.done
            if fate == GOOD:
                assert await handle == f"v{number}"
                number += 1
            else:
                with pytest.raises(ValueError, match=f"^{ticket}$"):
                    await handle
        assert log.committed == [ticket for ticket, fate in enumerate(fates) if fate == GOOD]

    anyio.run(scenario)


async def test_those_behind_an_unready_ticket_wait_for_it():
    log = Log([GOOD] * 3)
    async with anyio.create_task_group() as tasks:
        log.queue.start(tasks)
        handles = [log.queue.put(ticket) for ticket in range(3)]
        log.gates[1].set()
        log.gates[2].set()
        await anyio.wait_all_tasks_blocked()
        assert log.prepared == [1, 2]
        assert log.committed == []
        assert not any(handle.done for handle in handles)
        log.gates[0].set()
        assert [await handle for handle in handles] == ["v0", "v1", "v2"]
        log.queue.end()


async def test_a_ticket_that_is_ready_does_not_wait_for_slow_ones_behind_it():
    log = Log([GOOD, GOOD])
    async with anyio.create_task_group() as tasks:
        log.queue.start(tasks)
        first, second = log.queue.put(0), log.queue.put(1)
        log.gates[0].set()
        assert await first == "v0"
        assert not second.done
        log.gates[1].set()
        assert await second == "v1"
        log.queue.end()


async def test_producers_wait_for_room_and_go_on_when_there_is_some():
    log = Log([GOOD] * 5)
    entered = []

    async def produce():
        await log.queue.room()
        entered.append(True)

    async with anyio.create_task_group() as tasks:
        log.queue.start(tasks)
        for ticket in range(3):
            log.queue.put(ticket)
        await log.queue.room()
        handle = log.queue.put(3)
        tasks.start_soon(produce)
        await anyio.wait_all_tasks_blocked()
        assert entered == []
        log.gates[0].set()
        await anyio.wait_all_tasks_blocked()
        log.gates[1].set()
        log.gates[2].set()
        log.gates[3].set()
        await handle
        await anyio.wait_all_tasks_blocked()
        assert entered == [True]
        log.queue.end()


async def test_what_fails_as_a_whole_fails_each_of_its_tickets_and_none_behind():
    attempts = []

    async def prepare(ticket):
        return ticket

    async def commit(tickets):
        attempts.append(list(tickets))
        if len(attempts) == 1:
            raise OSError("the disk is full")
        return [f"v{ticket}" for ticket in tickets]

    queue = LogQueue(prepare, commit, size=4)
    async with anyio.create_task_group() as tasks:
        queue.start(tasks)
        with pytest.raises(OSError, match="the disk is full"):
            await queue.put(0)
        assert await queue.put(1) == "v1"
        queue.end()
    assert queue.unseen_errors() == []


async def test_an_end_lets_everything_through_and_nothing_more_in():
    log = Log([GOOD] * 10)
    async with anyio.create_task_group() as tasks:
        log.queue.start(tasks)
        handles = [log.queue.put(ticket) for ticket in range(10)]
        log.queue.end()
        with pytest.raises(ArtifactError, match="closed"):
            log.queue.put(10)
        for gate in log.gates:
            gate.set()
    assert [await handle for handle in handles] == [f"v{number}" for number in range(10)]


async def test_what_is_abandoned_is_settled_with_an_error():
    log = Log([GOOD] * 3)
    async with anyio.create_task_group() as tasks:
        log.queue.start(tasks)
        handles = [log.queue.put(ticket) for ticket in range(3)]
        log.gates[0].set()
        assert await handles[0] == "v0"
        tasks.cancel_scope.cancel()
    log.queue.abandon()
    assert await handles[0] == "v0"
    for handle in handles[1:]:
        with pytest.raises(ArtifactError, match="cancelled"):
            await handle
    assert len(log.queue) == 0
    await log.queue.room()


async def test_a_commit_that_is_cancelled_is_ended_and_its_handles_say_so():
    committing, go_on = anyio.Event(), anyio.Event()

    async def prepare(ticket):
        return ticket

    async def commit(tickets):
        committing.set()
        await go_on.wait()
        return [f"v{ticket}" for ticket in tickets]

    queue = LogQueue(prepare, commit, size=4)
    async with anyio.create_task_group() as tasks, anyio.create_task_group() as cancelled:

        async def cancel():
            await committing.wait()
            cancelled.cancel_scope.cancel()
            await anyio.wait_all_tasks_blocked()
            go_on.set()

        tasks.start_soon(cancel)
        queue.start(cancelled)
        handle = queue.put(0)
    queue.abandon()
    assert await handle == "v0"


async def test_an_error_is_unseen_until_it_is_awaited():
    log = Log([FAILS_PREPARING, FAILS_COMMITTING])
    for gate in log.gates:
        gate.set()
    async with anyio.create_task_group() as tasks:
        log.queue.start(tasks)
        handles = [log.queue.put(ticket) for ticket in range(2)]
        log.queue.end()
    assert [str(error) for error in log.queue.unseen_errors()] == ["0", "1"]
    with pytest.raises(ValueError, match="0"):
        await handles[0]
    assert [str(error) for error in log.queue.unseen_errors()] == ["1"]


async def test_a_handle_may_be_awaited_by_many_tasks_and_waiting_may_be_given_up():
    log = Log([GOOD])
    seen = []

    async def wait(handle):
        seen.append(await handle)

    async with anyio.create_task_group() as tasks:
        log.queue.start(tasks)
        handle = log.queue.put(0)
        async with anyio.create_task_group() as impatient:
            impatient.start_soon(wait, handle)
            await anyio.wait_all_tasks_blocked()
            impatient.cancel_scope.cancel()
        async with anyio.create_task_group() as waiting:
            for _ in range(5):
                waiting.start_soon(wait, handle)
            await anyio.wait_all_tasks_blocked()
            log.gates[0].set()
        log.queue.end()
    assert seen == ["v0"] * 5
    assert await handle == "v0"
