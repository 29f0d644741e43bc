"""A listing server in a process of its own, fast enough never to be the limit.

``python benchmarks/server.py s3 --objects 100000`` prints its port and serves until stopped. It answers for any
bucket or container name.
"""

from __future__ import annotations

import argparse
import asyncio

from bucket import Bucket
from faults import Faults
from keys import LAYOUTS
from s3_store import S3Store, slow_down
from wire import Server, Store

__all__ = ["KINDS"]

KINDS = ("s3", "gcs", "azure", "azure-xml", "urls")


def _store(kind: str, bucket: Bucket, *, denied: bool) -> Store:
    match kind:
        case "gcs":
            from gcs_store import GCSStore

            return GCSStore(bucket)
        case "azure" | "azure-xml":
            from azure_store import AzureStore

            return AzureStore(bucket, arrow=kind == "azure")
        case "urls":
            from url_store import URLStore

            return URLStore(bucket)
        case _:
            return S3Store(bucket, denied=denied)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--objects", type=int, default=100_000)
    parser.add_argument("--layout", choices=LAYOUTS, default="flat")
    parser.add_argument("--versions", action="store_true", help="the bucket is versioned")
    parser.add_argument("--delay-ms", type=float, default=0.0, help="wait so long before each answer")
    parser.add_argument(
        "--faults", type=float, default=0.0, help="share of answers that are 503, or a reset connection"
    )
    parser.add_argument("--truncated", type=float, default=0.0, help="share of answers that break off")
    parser.add_argument("--seed", type=int, default=0, help="of the faults")
    parser.add_argument("--deny-versions", action="store_true", help="ListObjectVersions is not permitted")
    options = parser.parse_args()
    bucket = Bucket(options.objects, options.layout, versions=options.versions)
    store = _store(options.kind, bucket, denied=options.deny_versions)
    faults = Faults(options.faults, options.truncated, options.seed)
    asyncio.run(Server(store, options.delay_ms / 1_000, faults, slow_down).serve())


if __name__ == "__main__":
    main()
