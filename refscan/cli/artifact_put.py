"""``refscan artifact put``: record URIs as references and paths as stored files, as one new version."""

from __future__ import annotations

import argparse
import json
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from refscan.cli.progress import Progress
from refscan.cli.sizes import human_size
from refscan.cli.stores import add_store_options, store_options
from refscan.cli.words import add_max_objects, add_patterns, full_name
from refscan.errors import ArtifactError, ObjectNotFoundError
from refscan.redact import redact

if TYPE_CHECKING:
    from refscan.registry.artifact import Artifact

__all__ = ["add_parser"]

_HAS_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def add_parser(verbs: Any, registry: argparse.ArgumentParser) -> None:
    """Add the verb."""
    parser = verbs.add_parser("put", parents=[registry], help="record references and files as a new version")
    parser.add_argument("--name", required=True, type=full_name, metavar="PROJECT/NAME")
    parser.add_argument("--type", required=True, metavar="TYPE", help="such as dataset or model")
    parser.add_argument("--alias", action="append", default=[], metavar="A", help="also call the version this")
    parser.add_argument("--description", metavar="T")
    add_max_objects(parser)
    add_patterns(parser)
    parser.add_argument("--no-checksum", action="store_true", help="do not read local files for their MD5")
    parser.add_argument("--json", action="store_true", help="print the version as one JSON object")
    parser.add_argument("sources", nargs="+", metavar="PATH_OR_URI", help="a path is stored, a URI is referenced")
    parser.add_argument(
        "--resume",
        type=Path,
        metavar="DIR",
        help="keep what is listed here, and go on from it after a kill (removed at the end)",
    )
    add_store_options(parser)
    parser.set_defaults(run=_run)


async def _run(arguments: argparse.Namespace) -> int:
    from refscan.registry.artifact import Artifact  # noqa: PLC0415
    from refscan.registry.run import check_aliases, init  # noqa: PLC0415

    name = arguments.name
    check_aliases(arguments.alias)
    options = store_options(arguments)
    async with init(project=name.project, job_type="put", registry=arguments.registry, options=options) as run:
        standing = await run.registry.catalog.type_of(name.project, name.name)
        if standing not in (None, arguments.type):
            raise ArtifactError(f"{name} has the type {standing!r}, and a name keeps its type; use another name")
        async with Progress() as progress:
            run.on_scan = progress.watch
            artifact = Artifact(name.name, arguments.type, description=arguments.description)
            for number, source in enumerate(arguments.sources):
                await _add(artifact, source, arguments, number)
            version = await run.log_artifact(artifact, aliases=arguments.alias)
    if arguments.resume is not None:
        # Each reference's own directory is gone; the user may have put something beside them.
        with suppress(OSError):
            arguments.resume.rmdir()
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
                    "receipts": [receipt.to_json() for receipt in version.receipts],
                }
            )
        )
        return 0
    unchanged = "" if version.created else " (unchanged, no new version)"
    print(
        f"{version.project}/{version.name}{unchanged}: {version.entry_count:,} entries, {human_size(version.size)}, "
        f"digest {version.digest}"
    )
    for receipt in version.receipts:
        for reason, count in receipt.skipped.items():
            print(f"  {receipt.uri}: {count:,} skipped ({reason})")
    return 0


async def _add(artifact: Artifact, source: str, arguments: argparse.Namespace, number: int) -> None:
    if _HAS_SCHEME.match(source):
        await artifact.add_reference(
            source,
            checksum=not arguments.no_checksum,
            max_objects=arguments.max_objects,
            include=arguments.include,
            exclude=arguments.exclude,
            resume=None if arguments.resume is None else arguments.resume / str(number),
        )
    elif Path(source).is_dir():
        await artifact.add_dir(source)
    elif Path(source).exists():
        await artifact.add_file(source)
    else:
        raise ObjectNotFoundError(
            f"{redact(source)}: no such file or directory, and no URI (those begin with s3://, file://, …)"
        )
