"""``refscan artifact get``: download the very versions that were recorded."""

from __future__ import annotations

import argparse
from typing import Any

from refscan.cli.lookup import find_version
from refscan.cli.progress import Progress
from refscan.cli.sizes import human_size
from refscan.cli.stores import add_store_options, store_options
from refscan.cli.words import artifact_name
from refscan.errors import RegistryError

__all__ = ["add_parser"]


def add_parser(verbs: Any, registry: argparse.ArgumentParser) -> None:
    """Add the verb."""
    parser = verbs.add_parser("get", parents=[registry], help="download a version")
    parser.add_argument("--root", metavar="DIR", help="where to (default: artifacts/NAME:vN)")
    parser.add_argument("--path-prefix", metavar="P", help="only entries whose path begins so")
    parser.add_argument("--type", metavar="T", help="the type it must have")
    parser.add_argument("--allow-missing", action="store_true", help="leave out objects that are not there any more")
    parser.add_argument("name", type=artifact_name, metavar="PROJECT/NAME[:ALIAS]")
    add_store_options(parser)
    parser.set_defaults(run=_run)


async def _run(arguments: argparse.Namespace) -> int:
    version = await find_version(arguments.name, arguments.registry, type_name=arguments.type)
    async with Progress() as progress:
        report = await version.fetch(
            arguments.root,
            path_prefix=arguments.path_prefix,
            allow_missing_references=arguments.allow_missing,
            options=store_options(arguments),
            on_start=progress.watch_download,
        )
    if arguments.path_prefix and not report.fetched + report.kept + report.missing:
        raise RegistryError(
            f"no path of {version.project}/{version.name} begins with {arguments.path_prefix!r}; nothing was fetched"
        )
    missing = f", {report.missing:,} missing" if report.missing else ""
    print(
        f"{report.directory}: {report.fetched:,} files fetched ({human_size(report.bytes)}), "
        f"{report.kept:,} kept{missing}"
    )
    return 0
