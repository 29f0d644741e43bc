"""``refscan artifact verify``: do the references still resolve to what was recorded?"""

from __future__ import annotations

import argparse
import json
from typing import Any

from refscan.cli.lookup import find_version
from refscan.cli.stores import add_store_options, store_options
from refscan.cli.words import artifact_name

__all__ = ["add_parser"]

_MOST_SHOWN = 100


def add_parser(verbs: Any, registry: argparse.ArgumentParser) -> None:
    """Add the verb."""
    parser = verbs.add_parser("verify", parents=[registry], help="check that what was recorded can still be had")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    parser.add_argument("name", type=artifact_name, metavar="PROJECT/NAME[:ALIAS]")
    add_store_options(parser)
    parser.set_defaults(run=_run)


async def _run(arguments: argparse.Namespace) -> int:
    version = await find_version(arguments.name, arguments.registry)
    result = await version.verify(options=store_options(arguments))
    problems = result.problems.to_pylist()
    code = 0 if result.ok else 1
    if arguments.json:
        print(
            json.dumps(
                {
                    "project": version.project,
                    "name": version.artifact_name,
                    "version": version.version,
                    "ok": result.ok,
                    "checked": result.checked,
                    "problems": problems,
                }
            )
        )
        return code
    for problem in problems[:_MOST_SHOWN]:
        print(f"{problem['status']}: {problem['path']} ({problem['ref'] or 'a stored file'})")
    if len(problems) > _MOST_SHOWN:
        print(f"… and {len(problems) - _MOST_SHOWN:,} more; --json shows all")
    print(f"{version.project}/{version.name}: {result.checked:,} entries checked, {len(problems):,} with a problem")
    return code
