"""``refscan artifact ls``: the artifacts of a registry with their newest versions, and the folders of a version."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from refscan.cli.lookup import find_version
from refscan.cli.sizes import human_size
from refscan.cli.words import place_name, printable
from refscan.settings import registry_directory

if TYPE_CHECKING:
    from refscan.registry.version import Version

__all__ = ["add_parser"]

_PAGE = 10_000


def add_parser(verbs: Any, registry: argparse.ArgumentParser) -> None:
    """Add the verb."""
    parser = verbs.add_parser("ls", parents=[registry], help="list artifacts, or a folder of a version")
    parser.add_argument(
        "place",
        nargs="?",
        type=place_name,
        default=(None, ""),
        metavar="WHERE",
        help="PROJECT: only its artifacts; PROJECT/NAME[:ALIAS][/FOLDER]: what lies directly in this folder",
    )
    parser.add_argument("--type", metavar="T", help="only artifacts of this type")
    parser.add_argument("--json", action="store_true", help="print a JSON array")
    parser.set_defaults(run=_run)


async def _run(arguments: argparse.Namespace) -> int:
    name, rest = arguments.place
    if name is not None:
        version = await find_version(name, arguments.registry, type_name=arguments.type)
        return await _list_folder(version, rest, as_json=arguments.json)
    return await _list_artifacts(arguments, rest or None)


async def _list_folder(version: Version, folder: str, *, as_json: bool) -> int:
    """Print a folder page by page: a flat one may hold everything."""
    after: str | None = None
    separator = "["
    while (page := await version.ls(folder, after=after, limit=_PAGE)).num_rows:
        rows = page.to_pylist()
        after = rows[-1]["name"]
        for row in rows:
            size = "" if row["size"] is None else human_size(row["size"])
            line = f"{row['entries']:>12,}  {size:>10}  {printable(row['name'])}"
            print(separator + json.dumps(row) if as_json else line, end="" if as_json else "\n")
            separator = ", "
    if as_json:
        print("[]" if after is None else "]")
    return 0


async def _list_artifacts(arguments: argparse.Namespace, project: str | None) -> int:
    from refscan.registry.registry import Registry  # noqa: PLC0415

    async with Registry(registry_directory(arguments.registry)) as registry:
        records = await registry.catalog.newest(project, arguments.type)
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
