"""``refscan artifact delete``: delete a version, or an alias."""

from __future__ import annotations

import argparse
import json
from typing import Any

from refscan.cli.words import artifact_name
from refscan.settings import registry_directory

__all__ = ["add_parser"]


def add_parser(verbs: Any, registry: argparse.ArgumentParser) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "delete",
        parents=[registry],
        help="delete a version or an alias",
        description="Delete a version. Its number is never given again; `refscan gc` frees what it alone needed.",
    )
    parser.add_argument("--alias", action="store_true", help="delete the alias only; its version stays")
    parser.add_argument("--delete-aliases", action="store_true", help="delete a version that has aliases, with these")
    parser.add_argument("--force", action="store_true", help="delete a version although entries of others refer to it")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("artifact", type=_chosen, metavar="PROJECT/NAME:ALIAS_OR_VERSION")
    parser.set_defaults(run=_run)


def _chosen(text: str) -> Any:
    if ":" not in text:
        raise argparse.ArgumentTypeError(f"{text!r} does not say which version; write PROJECT/NAME:ALIAS_OR_VERSION")
    return artifact_name(text)


async def _run(arguments: argparse.Namespace) -> int:
    from refscan.registry.deletion import delete_alias, delete_version  # noqa: PLC0415
    from refscan.registry.registry import Registry  # noqa: PLC0415

    name = arguments.artifact
    async with Registry(registry_directory(arguments.registry)) as registry:
        if arguments.alias:
            await delete_alias(registry, name.project, name.name, name.alias)
            deleted = {"alias": f"{name}:{name.alias}"}
        else:
            record = await delete_version(
                registry,
                name.project,
                name.name,
                name.alias,
                delete_aliases=arguments.delete_aliases,
                force=arguments.force,
            )
            deleted = {"version": f"{name}:v{record.number}"}
    if arguments.json:
        print(json.dumps({"deleted": deleted}))
        return 0
    for kind, text in deleted.items():
        print(f"deleted the {kind} {text}")
    return 0
