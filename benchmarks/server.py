"""A listing server in a process of its own, fast enough never to be the limit.

``python benchmarks/server.py s3 --objects 100000`` prints its port and serves until stopped. It answers for any
bucket or container name.
"""

from __future__ import annotations

import argparse
import asyncio

from bucket import LAYOUTS, Bucket
from wire import Server, Store

__all__ = ["KINDS"]

KINDS = ("s3", "gcs", "azure", "azure-xml", "urls")


def _store(kind: str, bucket: Bucket) -> Store:
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
            from s3_store import S3Store

            return S3Store(bucket)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--objects", type=int, default=100_000)
    parser.add_argument("--layout", choices=LAYOUTS, default="flat")
    parser.add_argument("--versions", action="store_true", help="the bucket is versioned")
    parser.add_argument("--delay-ms", type=float, default=0.0, help="wait so long before each answer")
    options = parser.parse_args()
    bucket = Bucket(options.objects, options.layout, versions=options.versions)
    asyncio.run(Server(_store(options.kind, bucket), options.delay_ms / 1_000).serve())


if __name__ == "__main__":
    main()
