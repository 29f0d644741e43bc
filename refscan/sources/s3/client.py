"""The SDK's client: endpoint, region, addressing, retries, and listings handed over unparsed."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import aioboto3
from botocore.config import Config

__all__ = ["BODY", "open_client"]

BODY = "refscan:body"
"""Where a response holds the raw body of a listing."""

_ENDPOINT_VARIABLES = ("AWS_S3_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
_LISTINGS = {"ListObjectsV2": b"ListBucketResult", "ListObjectVersions": b"ListVersionsResult"}


@asynccontextmanager
async def open_client(*, connections: int, environment: Mapping[str, str] = os.environ) -> AsyncIterator[Any]:
    """Return a client of the SDK's default credential chain, to be entered with ``async with``.

    ``AWS_S3_ENDPOINT_URL`` (as the W&B SDK has it) wins over the SDK's own endpoint variables; ``AWS_REGION`` wins
    over the SDK's ``AWS_DEFAULT_REGION``. Its ``ListObjectsV2`` and ``ListObjectVersions`` answer a complete,
    successful listing with the raw body under ``BODY`` and nothing parsed; all else is the SDK's as ever.
    """
    endpoint = next((environment[name] for name in _ENDPOINT_VARIABLES if environment.get(name)), None)
    config = Config(
        connect_timeout=5,
        max_pool_connections=connections,
        read_timeout=60,
        retries={"mode": "standard", "total_max_attempts": 5},
        s3={"addressing_style": "virtual"} if endpoint and _is_coreweave(endpoint) else None,
        user_agent_extra="refscan",
    )
    opening = aioboto3.Session().client(
        "s3",
        config=config,
        endpoint_url=environment.get("AWS_S3_ENDPOINT_URL") or None,
        region_name=environment.get("AWS_REGION") or None,
    )
    async with opening as client:
        for operation in _LISTINGS:
            # The "*" is what makes botocore call it ahead of its own handlers on `before-parse.s3`, which would
            # parse the whole body a first time to look for an error in it. A test pins this order.
            client.meta.events.register(f"before-parse.*.{operation}", _keep_body)
        yield client


def _keep_body(
    operation_model: Any, response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: object
) -> None:
    body: bytes = response_dict["body"]
    root = _LISTINGS[operation_model.name]
    if response_dict["status_code"] == 200 and _is_whole(body, root):  # noqa: PLR2004  HTTP OK
        customized_response_dict[BODY] = body
        response_dict["body"] = b"<R/>"


def _is_whole(body: bytes, root: bytes) -> bool:
    return body.find(b"<" + root, 0, 256) >= 0 and body.rstrip().endswith(b"</" + root + b">")


def _is_coreweave(endpoint: str) -> bool:
    """Tell whether an endpoint is CoreWeave's, which wants the bucket in the host name."""
    host = urlsplit(endpoint if "//" in endpoint else "//" + endpoint).hostname or ""
    if host in ("cwobject.com", "cwlota.com") or host.endswith((".cwobject.com", ".cwlota.com")):
        return True
    return host.endswith(".coreweave.com") and host.startswith(("object.", "accel-object."))
