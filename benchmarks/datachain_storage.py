"""datachain: ``read_storage`` into its SQLite database, in a directory of its own that goes away with the work."""

from __future__ import annotations

import logging
import os
import tempfile

import datachain

__all__ = ["client_config", "run"]

logging.getLogger("datachain").setLevel(logging.WARNING)


def client_config() -> dict[str, object]:
    """Return how the server is reached."""
    return {
        "aws_endpoint_url": os.environ["AWS_S3_ENDPOINT_URL"],
        "aws_key": os.environ["AWS_ACCESS_KEY_ID"],
        "aws_secret": os.environ["AWS_SECRET_ACCESS_KEY"],
    }


async def run(uri: str, *, versions: bool) -> int:
    """Return the number of objects recorded."""
    with tempfile.TemporaryDirectory(prefix="refscan-bench-") as root:
        os.environ["DATACHAIN_ROOT_DIR"] = root
        chain = datachain.read_storage(uri, versions=versions, update=True, client_config=client_config())
        return chain.count()
