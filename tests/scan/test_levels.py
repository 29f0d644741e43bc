"""Sorted runs become few: nothing is lost, what is on disk is removed, and memory does not grow with their number."""

import random

import pytest
from nameless_files import nameless_files

from refscan import PathConflictError
from refscan.manifest.schema import MANIFEST_SCHEMA, manifest_rows
from refscan.scan.levels import Levels
from refscan.scan.spool import Spool


def run_of(paths, digest="d") -> Spool:
    run = Spool(MANIFEST_SCHEMA, "path")
    run.append(
        manifest_rows(
            path=sorted(paths), ref=[f"memory://m/{path}" for path in sorted(paths)], digest=[digest] * len(paths)
        )
    )
    run.seal()
    return run


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 300])
def test_all_come_out_once_and_sorted(count):
    paths = [f"{number:05}" for number in range(count * 3)]
    shuffled = random.Random(1).sample(paths, len(paths))
    levels = Levels()
    for start in range(0, len(paths), 3):
        levels.add(run_of(shuffled[start : start + 3]))
    assert [path for batch in levels.merged() for path in batch.column("path").to_pylist()] == paths


def test_what_is_held_in_memory_is_bounded():
    before = nameless_files()
    levels = Levels()
    for number in range(200):
        levels.add(run_of([f"{number:05}"]))
        assert sum(len(run._held) for level in levels._levels for run in level) < 16
    assert nameless_files() - before
    assert levels.merged().rows == 200
    assert nameless_files() == before


def test_a_path_with_two_digests_is_a_conflict():
    levels = Levels()
    levels.add(run_of(["a", "b"]))
    levels.add(run_of(["b", "c"], digest="other"))
    with pytest.raises(PathConflictError, match="'b'"):
        levels.merged()
