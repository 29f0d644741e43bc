"""The SDK's client: credentials, endpoint, region, and listings handed over unparsed."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any

import aioboto3
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore import UNSIGNED
from botocore.loaders import Loader, create_loader

from refscan.errors import StoreError
from refscan.sources.options import S3Options
from refscan.sources.s3.attempts import CONNECT_TIMEOUT, Attempts
from refscan.sources.s3.direct import Direct
from refscan.sources.s3.endpoint import address, check_endpoint, given_endpoint
from refscan.sources.s3.errors import NOT_S3

__all__ = ["BODY", "is_whole", "open_client"]

BODY = "refscan:body"
"""Where a response holds the raw body of a listing."""

_LISTINGS = {"ListObjectsV2": b"ListBucketResult", "ListObjectVersions": b"ListVersionsResult"}
# A web page, or what does not even begin as XML does (in UTF-8 or UTF-16); nothing at all may be a broken answer.
_FOREIGN = re.compile(
    rb"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.{0,200}?-->\s*)?<(?:!doctype\s+html|html)\b|\s*[^\s<\xef\xfe\xff]",
    re.IGNORECASE | re.DOTALL,
)


@asynccontextmanager
async def open_client(
    options: S3Options,
    attempts: Attempts,
    direct: Direct | None = None,
    *,
    zonal: bool = False,
    environment: Mapping[str, str] = os.environ,
) -> AsyncIterator[Any]:
    """Return a client, to be entered with ``async with``.

    Options win over the environment, and that over the shared configuration. ``AWS_S3_ENDPOINT_URL`` (as the W&B SDK
    has it) wins over the SDK's own endpoint variables; ``AWS_REGION`` wins over the SDK's ``AWS_DEFAULT_REGION``.
    All else is the SDK's default chain. Its ``ListObjectsV2`` and ``ListObjectVersions`` answer a complete,
    successful listing with the raw body under ``BODY`` and nothing parsed.

    Args:
        options: How the store is reached.
        attempts: What its requests go through.
        direct: Sends requests as this client does; opened and closed with it.
        zonal: Directory buckets are asked for, whose region is part of their address.
        environment: The variables to look at.

    Raises:
        StoreError: The endpoint is none, or the region is missing; later, from the client: what answers is no S3.
        botocore.exceptions.BotoCoreError: As the SDK has it: no such profile, no valid region.
    """
    endpoint = given_endpoint(options, environment)
    session = options.session or _session(options.profile)
    # A session is set up on purpose, so its region is an option too.
    region = options.region or (options.session and options.session.region_name) or environment.get("AWS_REGION")
    if zonal and not (endpoint or region or session.region_name):
        raise StoreError("a directory bucket's region is part of its address; set AWS_REGION")
    direct = direct or Direct(attempts, anonymous=True, payer=None)
    config = AioConfig(
        connect_timeout=CONNECT_TIMEOUT,
        http_session_cls=direct.http_session,
        max_pool_connections=options.connections,
        read_timeout=60,
        retries={"mode": "standard", "total_max_attempts": 1},
        s3={"addressing_style": options.addressing_style} if options.addressing_style else None,
        signature_version=UNSIGNED if options.anonymous else None,
        user_agent_extra="refscan",
    )
    opening = session.client("s3", config=config, endpoint_url=endpoint, region_name=region or None)
    async with opening as client:
        check_endpoint(client.meta.endpoint_url, "endpoint_url of the shared configuration")
        events = client.meta.events
        for operation in (*_LISTINGS, "GetBucketVersioning"):
            # The "*" is what makes botocore call it ahead of its own handlers on `before-parse.s3`, which would
            # parse the whole body a first time to look for an error in it. A test pins this order.
            events.register(f"before-parse.*.{operation}", _keep_body)
        if options.addressing_style is None:
            events.register("before-endpoint-resolution.s3", address)
        attempts.attach(client)
        async with direct.opened(client, session.get_credentials):
            yield client


def _session(profile: str | None) -> aioboto3.Session:
    """Make a session that reads the SDK's descriptions of services once in a process, which takes most of its time."""
    core = get_session()
    session = aioboto3.Session(botocore_session=core, profile_name=profile)
    core.register_component("data_loader", _loader(core.get_config_variable("data_path")))
    return session


@lru_cache(maxsize=4)
def _loader(data_path: str | None) -> Loader:
    return create_loader(data_path)


def _keep_body(
    operation_model: Any, response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: object
) -> None:
    if response_dict["status_code"] != 200:  # noqa: PLR2004  HTTP OK
        return
    body: bytes = response_dict["body"]
    if operation_model.name in _LISTINGS and is_whole(body, operation_model.name):
        customized_response_dict[BODY] = body
        response_dict["body"] = b"<R/>"
    elif _FOREIGN.match(body):
        # The SDK would take it for a fault of the store, and try again.
        raise StoreError(NOT_S3)


def is_whole(body: bytes, operation: str) -> bool:
    """Tell whether this is a listing from its first tag to its last, whatever prefix its names have.

    Args:
        body: The body of an answer.
        operation: ``ListObjectsV2`` or ``ListObjectVersions``.
    """
    root = _LISTINGS[operation]
    found = body.find(root, 0, 512)
    if found < 1:
        return False
    prefix = body[body.rfind(b"<", 0, found) + 1 : found]
    return (not prefix or prefix.endswith(b":")) and body[-256:].rstrip().endswith(b"</" + prefix + root + b">")
