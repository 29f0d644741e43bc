"""A local tree of small files, 1,000 to a folder, the same for the same number."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["make", "temporary", "warm"]

_FOLDER = 1_000
_SMALLEST, _LARGEST = 100, 4_096


def make(root: Path, count: int) -> None:
    """Write ``count`` files of 100 bytes to 4 KiB, no two alike."""
    choice = random.Random(count)
    for first in range(0, count, _FOLDER):
        folder = root / f"part-{first // _FOLDER:05}"
        folder.mkdir(parents=True)
        for index in range(first, min(count, first + _FOLDER)):
            data = choice.randbytes(choice.randint(_SMALLEST, _LARGEST))
            (folder / f"sample-{index:08}.bin").write_bytes(data)


def warm(root: Path) -> int:
    """Read every file once, so that each contender finds them in the page cache; return the bytes read."""
    return sum(len(path.read_bytes()) for path in root.rglob("*.bin"))


@contextmanager
def temporary(count: int) -> Iterator[Path]:
    """Make a tree, read it once, and remove it at the end."""
    with tempfile.TemporaryDirectory(prefix="refscan-bench-") as name:
        root = Path(name) / "tree"
        make(root, count)
        warm(root)
        yield root
