"""``refscan artifact push``: log recorded versions to W&B, without scanning again."""

from __future__ import annotations

import argparse
import json
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
from anyio import to_thread

from refscan.cli.lookup import find_version
from refscan.cli.words import artifact_name

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["add_parser"]


def add_parser(verbs: Any, registry: argparse.ArgumentParser) -> None:
    """Add the verb."""
    parser = verbs.add_parser("push", parents=[registry], help="log versions to W&B, in the order given")
    parser.add_argument("--wandb", required=True, type=_project, metavar="ENTITY/PROJECT", help="where to")
    parser.add_argument("--name", metavar="NAME", help="the W&B artifact's name (default: the artifact's own)")
    parser.add_argument("--alias", action="append", metavar="A", help="its aliases (default: the version's own)")
    parser.add_argument("--json", action="store_true", help="print what was logged as one JSON array")
    parser.add_argument("names", nargs="+", type=artifact_name, metavar="PROJECT/NAME[:ALIAS]")
    parser.set_defaults(run=_run)


async def _run(arguments: argparse.Namespace) -> int:
    from refscan.wandb.push import to_wandb  # noqa: PLC0415

    versions = [await find_version(name, arguments.registry) for name in arguments.names]
    entity, project = arguments.wandb
    logged = []
    async with _wandb_run(entity, project) as run:
        for version in versions:
            artifact = await to_wandb(version, run, name=arguments.name, aliases=arguments.alias)
            logged.append(
                {
                    "project": version.project,
                    "name": version.artifact_name,
                    "version": version.version,
                    "wandb": f"{entity}/{project}/{artifact.name}",
                    "digest": artifact.digest,
                    "entries": version.entry_count,
                    "offline": None if not run.offline else str(run.dir).removesuffix("/files"),
                }
            )
    if arguments.json:
        print(json.dumps(logged))
        return 0
    for one in logged:
        where = f"{one['wandb']}" if one["offline"] is None else f"{one['wandb']}, offline in {one['offline']}"
        print(
            f"{one['project']}/{one['name']}:{one['version']} -> {where}: {one['entries']:,} entries, "
            f"digest {one['digest']}"
        )
    return 0


@asynccontextmanager
async def _wandb_run(entity: str, project: str) -> AsyncIterator[Any]:
    """Give a run of W&B's, which is finished at the end: then all is with W&B, or in the run's directory."""
    from refscan.wandb.sdk import load_sdk, translated  # noqa: PLC0415

    wandb = load_sdk()
    settings = wandb.Settings(silent=True, console="off")
    with translated(f"{entity}/{project}"):
        run = await to_thread.run_sync(
            partial(wandb.init, entity=entity, project=project, job_type="refscan-push", settings=settings)
        )
    code = 1
    try:
        yield run
        code = 0
    finally:
        with anyio.CancelScope(shield=True), translated(f"{entity}/{project}"):
            await to_thread.run_sync(partial(run.finish, exit_code=code))
            if wandb.run is None:
                # The service process may still be writing an offline run; this waits for its end.
                await to_thread.run_sync(partial(wandb.teardown, exit_code=code))


def _project(text: str) -> tuple[str, str]:
    entity, slash, project = text.partition("/")
    if not (slash and entity and project) or "/" in project or ":" in text:
        raise argparse.ArgumentTypeError(f"{text!r} is not ENTITY/PROJECT")
    return entity, project
