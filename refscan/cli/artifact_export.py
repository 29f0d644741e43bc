"""``refscan artifact export``: a version's manifest in another format."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from anyio import to_thread

from refscan.cli.lookup import find_version
from refscan.cli.outfile import whole_file
from refscan.cli.words import artifact_name

__all__ = ["add_parser"]


def add_parser(verbs: Any, registry: argparse.ArgumentParser) -> None:
    """Add the verb."""
    parser = verbs.add_parser("export", parents=[registry], help="write a version's manifest")
    parser.add_argument("--format", required=True, choices=("wandb", "jsonl", "csv", "parquet"))
    parser.add_argument("--output", default="-", metavar="FILE|-", help="where to (default: -, standard output)")
    parser.add_argument("name", type=artifact_name, metavar="PROJECT/NAME[:ALIAS]")
    parser.set_defaults(run=_run)


async def _run(arguments: argparse.Namespace) -> int:
    from refscan.manifest.export import FORMATS  # noqa: PLC0415

    version = await find_version(arguments.name, arguments.registry)
    write = FORMATS[arguments.format]
    if arguments.output == "-":
        await to_thread.run_sync(write, version.batches(), sys.stdout.buffer)
        sys.stdout.buffer.flush()
        return 0
    with whole_file(Path(arguments.output)) as file:
        await to_thread.run_sync(write, version.batches(), file)
    return 0
