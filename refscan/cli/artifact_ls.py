"""``refscan artifact ls``: the artifacts of a registry with their newest versions."""

from __future__ import annotations

import argparse
import json
from typing import Any

from refscan.cli.sizes import human_size
from refscan.settings import registry_directory

__all__ = ["add_parser"]


def add_parser(verbs: Any, registry: argparse.ArgumentParser) -> None:
    """Add the verb."""
    parser = verbs.add_parser("ls", parents=[registry], help="list artifacts")
    parser.add_argument("project", nargs="?", metavar="PROJECT")
    parser.add_argument("--type", metavar="T", help="only artifacts of this type")
    parser.add_argument("--json", action="store_true", help="print a JSON array")
    parser.set_defaults(run=_run)


async def _run(arguments: argparse.Namespace) -> int:
    from refscan.registry.registry import Registry  # noqa: PLC0415

    async with Registry(registry_directory(arguments.registry)) as registry:
        records = await registry.catalog.newest(arguments.project, arguments.type)
    if arguments.json:
        rows = [
            {
                "project": record.project,
                "name": record.name,
                "type": record.type,
                "version": f"v{record.number}",
                "aliases": list(record.aliases),
                "digest": record.digest,
                "entries": record.entry_count,
                "bytes": record.size,
                "created_at": record.created_at.isoformat(),
            }
            for record in records
        ]
        print(json.dumps(rows))
        return 0
    if not records:
        print("no artifacts; `refscan artifact put` records one")
        return 0
    table = [("ARTIFACT", "TYPE", "ENTRIES", "SIZE", "CREATED", "ALIASES")] + [
        (
            f"{record.project}/{record.name}:v{record.number}",
            record.type,
            f"{record.entry_count:,}",
            human_size(record.size),
            record.created_at.strftime("%Y-%m-%d %H:%M:%S"),
            ",".join(record.aliases),
        )
        for record in records
    ]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return 0
