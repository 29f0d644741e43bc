"""``refscan artifact diff``: what leads from one version to another."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from refscan.cli.lookup import find_version
from refscan.cli.words import artifact_name, printable

if TYPE_CHECKING:
    from refscan.registry.diff import Diff

__all__ = ["add_parser"]

_DIFFERENT = 3  # not 1, which is an error's


def add_parser(verbs: Any, registry: argparse.ArgumentParser) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "diff",
        parents=[registry],
        help="tell what differs between two versions",
        description="Tell which paths were added, removed, changed (other content), or repinned (the same content from "
        "another object version or URI).",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--summary", action="store_true", help="print only how many paths of each kind there are")
    parser.add_argument(
        "--exit-code", action="store_true", help=f"exit with {_DIFFERENT} if there are differences (otherwise with 0)"
    )
    parser.add_argument("old", type=artifact_name, metavar="OLD", help="PROJECT/NAME[:ALIAS]")
    parser.add_argument("new", type=artifact_name, metavar="NEW", help="PROJECT/NAME[:ALIAS]")
    parser.set_defaults(run=_run)


async def _run(arguments: argparse.Namespace) -> int:
    old, new = [await find_version(name, arguments.registry) for name in (arguments.old, arguments.new)]
    diff = await old.diff(new)
    print_changes = _print_json if arguments.json else _print_lines
    counts = await diff.summary() if arguments.summary else await print_changes(diff)
    names = [f"{version.project}/{version.name}" for version in (old, new)]
    if arguments.json and arguments.summary:
        print(json.dumps({"old": names[0], "new": names[1], "summary": counts}))
    elif arguments.json:
        print(f'], "old": {json.dumps(names[0])}, "new": {json.dumps(names[1])}, "summary": {json.dumps(counts)}}}')
    else:
        print(f"{names[0]} to {names[1]}: " + ", ".join(f"{count:,} {change}" for change, count in counts.items()))
    return _DIFFERENT if arguments.exit_code and any(counts.values()) else 0


async def _print_lines(diff: Diff) -> dict[str, int]:
    """Print a line for each path, and return the counts."""
    counts = _zeros()
    async for batch in diff:
        changes = batch.column("change").to_pylist()
        counts.update(changes)
        for change, path in zip(changes, batch.column("path").to_pylist(), strict=True):
            print(f"{change}: {printable(path)}")
    return dict(counts)


async def _print_json(diff: Diff) -> dict[str, int]:
    """Print the beginning of the object, with all paths, and return the counts."""
    counts = _zeros()
    separator = '{"changes": ['
    async for batch in diff:
        counts.update(batch.column("change").to_pylist())
        for row in batch.to_pylist():
            print(separator + json.dumps(row), end="")
            separator = ", "
    if not any(counts.values()):
        print(separator, end="")
    return dict(counts)


def _zeros() -> Counter[str]:
    from refscan.manifest.diff import CHANGES  # noqa: PLC0415

    return Counter(dict.fromkeys(CHANGES, 0))
