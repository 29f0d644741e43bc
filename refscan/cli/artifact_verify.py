"""``refscan artifact verify``: can everything be had as it was recorded?"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from refscan.cli.lookup import find_version
from refscan.cli.outfile import whole_file
from refscan.cli.stores import add_store_options, store_options
from refscan.cli.words import artifact_name

if TYPE_CHECKING:
    from refscan.download.verify import Verification
    from refscan.registry.version import Version

__all__ = ["add_parser"]

_PROBLEMS = 3
_MOST_SHOWN = 100


def add_parser(verbs: Any, registry: argparse.ArgumentParser) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "verify",
        parents=[registry],
        help="check that what was recorded can still be had",
        epilog="exit codes: 0 all can be had as recorded, 3 something cannot, 1 it could not be checked",
    )
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    parser.add_argument(
        "--problems", type=_count, metavar="N", default=_MOST_SHOWN, help="show so many problems (default: 100)"
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="write all that is not simply present, as Parquet")
    parser.add_argument("--all", action="store_true", help="have --output hold what is present, too")
    parser.add_argument("name", type=artifact_name, metavar="PROJECT/NAME[:ALIAS]")
    add_store_options(parser)
    parser.set_defaults(run=_run)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of problems")
    return int(text)


async def _run(arguments: argparse.Namespace) -> int:
    if arguments.all and arguments.output is None:
        raise ValueError("--all says what --output FILE holds; give that, too")
    version = await find_version(arguments.name, arguments.registry)
    result = await version.verify(options=store_options(arguments))
    if arguments.output is not None:
        _write(arguments.output, version, result, everything=arguments.all)
    problems = result.first_problems(arguments.problems).to_pylist()
    count = result.problem_count
    if arguments.json:
        print(
            json.dumps(
                {
                    "project": version.project,
                    "name": version.artifact_name,
                    "version": version.version,
                    "ok": result.ok,
                    "checked": result.checked,
                    "counts": dict(result.counts),
                    "checked_by": dict(result.checked_by),
                    "problem_count": count,
                    "problems": problems,
                }
            )
        )
        return 0 if result.ok else _PROBLEMS
    for problem in problems:
        print(f"{problem['status']}: {problem['path']} ({problem['ref'] or 'a stored file'})")
    if count > len(problems):
        print(f"… and {count - len(problems):,} more; --output FILE.parquet has all")
    told = f"{result.checked:,} entries checked{_shown(result.counts)}, {count:,} with a problem"
    by = ", ".join(f"{number:,} by {way}" for way, number in result.checked_by.items())
    print(f"{version.project}/{version.name}: {told}{f' (checked: {by})' if by else ''}")
    return 0 if result.ok else _PROBLEMS


def _shown(counts: Mapping[str, int]) -> str:
    return f" ({', '.join(f'{number:,} {status}' for status, number in counts.items())})" if counts else ""


def _write(path: Path, version: Version, result: Verification, *, everything: bool) -> None:
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    from refscan.download.findings import FINDING_SCHEMA  # noqa: PLC0415

    with whole_file(path) as file, pq.ParquetWriter(file, FINDING_SCHEMA, compression="zstd") as writer:
        if not everything:
            for rows in result.others():
                writer.write_batch(rows)
            return
        for rows in version.batches():
            columns = [*(rows.column(name) for name in ("path", "ref", "version_id")), result.statuses(rows)]
            writer.write_batch(pa.record_batch(columns, schema=FINDING_SCHEMA))
