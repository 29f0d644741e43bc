"""``refscan scan URI``: list a URI, to a Parquet file or only to see what is there."""

from __future__ import annotations

import argparse
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from refscan.cli.progress import Progress
from refscan.cli.sizes import human_size
from refscan.cli.stores import add_store_options, store_options
from refscan.cli.words import add_max_objects, add_patterns

if TYPE_CHECKING:
    import pyarrow.parquet as pq

__all__ = ["add_parser"]


def add_parser(verbs: Any, shared: argparse.ArgumentParser) -> None:
    """Add the verb."""
    parser = verbs.add_parser("scan", parents=[shared], help="list the objects of a URI")
    parser.add_argument("uri", metavar="URI", help="s3://…, gs://…, az://…, https://…, file:///…")
    add_max_objects(parser)
    add_patterns(parser)
    parser.add_argument("--output", type=Path, metavar="FILE.parquet", help="write the objects to a Parquet file")
    parser.add_argument(
        "--resume",
        type=Path,
        metavar="DIR",
        help="keep what is listed here, and go on from it after a kill (removed at the end)",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="only guess, from a few requests, how much there is and what it costs"
    )
    parser.add_argument("--json", action="store_true", help="print how the scan went as one JSON object")
    add_store_options(parser)
    parser.set_defaults(run=_run)


async def _run(arguments: argparse.Namespace) -> int:
    from refscan.scan.pipeline import scan  # noqa: PLC0415

    if arguments.dry_run:
        return await _estimate(arguments)
    async with Progress() as progress, _writer(arguments.output) as writer:
        running = scan(
            arguments.uri,
            max_objects=arguments.max_objects,
            include=arguments.include,
            exclude=arguments.exclude,
            resume=arguments.resume,
            options=store_options(arguments),
        )
        progress.watch(running)
        async with running as batches:
            async for batch in batches:
                if writer is not None:
                    writer.write_batch(batch)
    running.discard()
    receipt = running.receipt
    if arguments.json:
        print(json.dumps(receipt.to_json()))
        return 0
    seconds = (receipt.ended - receipt.started).total_seconds()
    skipped = "".join(f", {count} skipped ({reason})" for reason, count in receipt.skipped.items())
    print(
        f"{receipt.objects:,} objects, {human_size(receipt.bytes)}, {receipt.pinned:,} with a version ID{skipped}; "
        f"{receipt.requests:,} requests in {seconds:.1f} s"
    )
    return 0


async def _estimate(arguments: argparse.Namespace) -> int:
    from refscan.scan.estimate import estimate  # noqa: PLC0415

    found = await estimate(
        arguments.uri, include=arguments.include, exclude=arguments.exclude, options=store_options(arguments)
    )
    if arguments.json:
        print(json.dumps(found.to_json()))
        return 0
    objects = f"{found.objects:,} objects" if found.exact else f"about {found.objects:,} objects ({found.seen:,} seen)"
    costs = [f"{found.list_requests:,} list requests" + (f" ({found.list_class})" if found.list_class else "")]
    if found.stat_requests:
        costs.append(f"{found.stat_requests:,} single ones" + (f" ({found.stat_class})" if found.stat_class else ""))
    takes = f"{' and '.join(costs)}, about {max(1, round(found.seconds)):,} s"
    print(f"{objects}; a scan takes {takes}; {found.requests} requests sent")
    return 0


@asynccontextmanager
async def _writer(path: Path | None) -> AsyncIterator[pq.ParquetWriter | None]:
    if path is None:
        yield None
        return
    import pyarrow.parquet as pq  # noqa: PLC0415

    from refscan.cli.outfile import whole_file  # noqa: PLC0415
    from refscan.sources.source import PAGE_SCHEMA  # noqa: PLC0415

    with whole_file(path) as file, pq.ParquetWriter(file, PAGE_SCHEMA, compression="zstd") as writer:
        yield writer
