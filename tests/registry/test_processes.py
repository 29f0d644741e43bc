"""Several processes at one registry: consecutive numbers, and a first opening that all survive."""

import asyncio
import json
import subprocess
import sys

import pytest

from refscan.registry.registry import Registry

LOGGER = """
import asyncio, sys
import refscan

async def main(who, count):
    print("ready", flush=True)
    sys.stdin.readline()
    handles = []
    async with refscan.init(project="demo") as run:
        for index in range(count):
            artifact = refscan.Artifact("shared", type="dataset", metadata={"by": who, "index": index})
            await artifact.add_reference(f"from://{who}/{index}", name="which")
            handles.append(run.log_artifact(artifact))
    print(*[(await handle).number for handle in handles])

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


def log_from(processes, count):
    """Let so many processes log so many versions each, all at once; return the numbers that each got."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", LOGGER, str(who), str(count)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for who in range(processes)
    ]
    for process in started:
        assert process.stdout.readline() == "ready\n"
    for process in started:
        process.stdin.write("go\n")
        process.stdin.flush()
    numbers = []
    for process in started:
        output, error = process.communicate(timeout=90)
        assert (process.returncode, error) == (0, "")
        numbers.append([int(number) for number in output.split()])
    return numbers


def test_two_processes_get_consecutive_numbers_each_in_its_order(catalog):
    numbers = log_from(2, 200)
    assert sorted(numbers[0] + numbers[1]) == list(range(400))
    assert all(own == sorted(own) for own in numbers)
    rows = catalog("SELECT number, metadata FROM version ORDER BY number")
    assert [number for number, _ in rows] == list(range(400))
    for who, own in enumerate(numbers):
        said = [json.loads(metadata) for number, metadata in rows if number in set(own)]
        assert said == [{"by": str(who), "index": index} for index in range(200)]


@pytest.mark.parametrize("attempt", range(2))
def test_many_processes_may_open_a_fresh_registry_at_once(catalog, attempt):
    numbers = log_from(6, 1 + attempt)
    assert sorted(number for own in numbers for number in own) == list(range(6 * (1 + attempt)))
    assert catalog("SELECT count(*) FROM project") == [(1,)]
    assert catalog("SELECT count(*) FROM artifact") == [(1,)]
    assert catalog("SELECT state, count(*) FROM run GROUP BY state") == [("finished", 6)]


async def test_many_registries_of_one_process_may_be_opened_at_once(tmp_path):
    async def open_and_list():
        async with Registry(tmp_path / "fresh") as registry:
            return await registry.catalog.newest(None, None)

    assert await asyncio.gather(*(open_and_list() for _ in range(12))) == [[]] * 12
