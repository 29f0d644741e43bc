"""The W&B SDK: ``Artifact.add_reference``, offline, nothing logged."""

from __future__ import annotations

import boto3  # noqa: F401  what the SDK imports for s3:// is imported before the clock starts, as for the others
import wandb

__all__ = ["run"]

_NO_LIMIT = 10**9


async def run(uri: str, *, versions: bool) -> int:
    """Return the number of objects recorded."""
    del versions  # it asks each object
    artifact = wandb.Artifact("bench", "dataset")
    return len(artifact.add_reference(uri, max_objects=_NO_LIMIT))
