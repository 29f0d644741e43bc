"""``refscan gc``: find what no version needs, and remove it."""

from __future__ import annotations

import argparse
import json
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from refscan.cli.sizes import human_size
from refscan.cli.words import full_name
from refscan.errors import ArtifactError
from refscan.settings import registry_directory

if TYPE_CHECKING:
    from refscan.registry.gc import Garbage
    from refscan.registry.records import Record

__all__ = ["add_parser"]

_AGE = re.compile(r"(\d{1,6})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def add_parser(verbs: Any, registry: argparse.ArgumentParser) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "gc",
        parents=[registry],
        help="remove what no version needs",
        description="Find the segments, manifests and stored files that no version needs, and remove them with "
        "--delete. Safe beside runs that log. With --keep-last or --ttl, versions without an alias are deleted first; "
        "an artifact's newest version always stays.",
    )
    parser.add_argument("--delete", action="store_true", help="do it; without it, tell what would be done")
    parser.add_argument(
        "--keep-last", type=_count, metavar="N", help="delete versions without an alias beyond each artifact's newest N"
    )
    parser.add_argument(
        "--ttl", type=_age, metavar="AGE", help="only those older than this: 12h, 30d, 8w; alone, all that are older"
    )
    parser.add_argument("--artifact", type=full_name, metavar="PROJECT/NAME", help="only versions of this artifact")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=_run)


async def _run(arguments: argparse.Namespace) -> int:
    from refscan.registry.deletion import delete_versions  # noqa: PLC0415
    from refscan.registry.gc import collect_garbage  # noqa: PLC0415
    from refscan.registry.registry import Registry  # noqa: PLC0415
    from refscan.registry.retention import expired_versions  # noqa: PLC0415

    name = arguments.artifact
    if name is not None and arguments.keep_last is None and arguments.ttl is None:
        raise ArtifactError("--artifact chooses whose versions go; give --keep-last or --ttl with it")
    async with Registry(registry_directory(arguments.registry)) as registry:
        versions = []
        if arguments.keep_last is not None or arguments.ttl is not None:
            versions = await expired_versions(
                registry,
                keep_last=arguments.keep_last,
                ttl=arguments.ttl,
                project_name=name and name.project,
                name=name and name.name,
            )
        keys = [(record.artifact_id, record.number) for record in versions]
        if arguments.delete:
            done = set(await delete_versions(registry, keys))
            versions = [record for record, key in zip(versions, keys, strict=True) if key in done]
        found = await collect_garbage(registry, delete=arguments.delete, without=() if arguments.delete else keys)
    if arguments.json:
        print(json.dumps(_as_json(found, versions)))
    else:
        _print(found, versions)
    return 0


def _title(record: Record) -> str:
    return f"{record.project}/{record.name}:v{record.number}"


def _as_json(found: Garbage, versions: list[Record]) -> dict[str, Any]:
    return {
        "deleted": found.deleted,
        "versions": [_title(record) for record in versions],
        "garbage": {kind: {"files": tally.files, "bytes": tally.bytes} for kind, tally in found.garbage.items()},
        "kept": {"files": found.kept.files, "bytes": found.kept.bytes},
        "dead_runs": found.dead_runs,
    }


def _print(found: Garbage, versions: list[Record]) -> None:
    verb = "deleted" if found.deleted else "would delete"
    for record in versions:
        print(f"{verb} {_title(record)} ({record.entry_count:,} entries, {record.created_at:%Y-%m-%d %H:%M:%S})")
    total = sum(tally.bytes for tally in found.garbage.values())
    counts = ", ".join(
        f"{tally.files:,} {kind.removesuffix('s') if tally.files == 1 else kind}"
        for kind, tally in found.garbage.items()
    )
    print(f"{verb} {counts}: {human_size(total)}")
    if found.kept.files:
        print(
            f"kept {found.kept.files:,} files, {human_size(found.kept.bytes)}, that runs under way may need; "
            "collect again when they have ended"
        )
    if not found.deleted and (total or versions):
        print("nothing was deleted; `--delete` does it")


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of versions; at least 1 stays")
    return int(text)


def _age(text: str) -> timedelta:
    match = _AGE.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not an age; write it like 12h, 30d or 8w")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})
