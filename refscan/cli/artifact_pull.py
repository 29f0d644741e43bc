"""``refscan artifact pull``: record a W&B manifest as a version."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from refscan.cli.sizes import human_size
from refscan.cli.words import full_name

__all__ = ["add_parser"]


def add_parser(verbs: Any, registry: argparse.ArgumentParser) -> None:
    """Add the verb."""
    parser = verbs.add_parser("pull", parents=[registry], help="record a W&B manifest as a version")
    parser.add_argument("--wandb-manifest", required=True, type=Path, metavar="FILE", help="wandb_manifest.json")
    parser.add_argument(
        "--name",
        type=full_name,
        metavar="PROJECT/NAME",
        help="what to record it as (default: wandb/ and the file's name)",
    )
    parser.add_argument("--type", default="dataset", metavar="TYPE", help="its type (default: dataset)")
    parser.add_argument("--alias", action="append", default=[], metavar="A", help="also call the version this")
    parser.add_argument("--files", type=Path, metavar="DIR", help="a folder with the files that W&B has itself")
    parser.add_argument("--digest", metavar="MD5", help="refuse a manifest with another digest (W&B shows it)")
    parser.add_argument("--json", action="store_true", help="print the version as one JSON object")
    parser.set_defaults(run=_run)


async def _run(arguments: argparse.Namespace) -> int:
    from refscan.registry.run import init  # noqa: PLC0415
    from refscan.wandb.pull import from_wandb  # noqa: PLC0415

    name = arguments.name
    async with init(project=name.project if name else "wandb", job_type="pull", registry=arguments.registry) as run:
        version = await from_wandb(
            arguments.wandb_manifest,
            name=name.name if name else None,
            type=arguments.type,
            aliases=arguments.alias,
            files=arguments.files,
            digest=arguments.digest,
            run=run,
        )
    if arguments.json:
        print(
            json.dumps(
                {
                    "project": version.project,
                    "name": version.artifact_name,
                    "version": version.version,
                    "digest": version.digest,
                    "entries": version.entry_count,
                    "bytes": version.size,
                    "created": version.created,
                    "aliases": list(version.aliases),
                }
            )
        )
        return 0
    unchanged = "" if version.created else " (unchanged, no new version)"
    print(
        f"{version.project}/{version.name}{unchanged}: {version.entry_count:,} entries, {human_size(version.size)}, "
        f"digest {version.digest}"
    )
    return 0
