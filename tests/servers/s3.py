"""A real S3 server: moto over HTTP on a free loopback port, and buckets in it."""

import logging
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import boto3
from botocore.config import Config
from moto.server import ThreadedMotoServer
from servers.scripted import Request

REGION = "us-east-1"


@contextmanager
def serve_s3() -> Iterator[str]:
    """Run a server and give its endpoint."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for each request otherwise
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


@contextmanager
def s3_client(endpoint: str) -> Iterator:
    """Give the plain SDK's client, which fills buckets without refscan's code."""
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        config=Config(s3={"addressing_style": "path"}),
    )
    try:
        yield client
    finally:
        client.close()


@dataclass(frozen=True)
class Signed:
    """Who signed a request, and for which region and service (signature version 4)."""

    access_key: str
    region: str
    service: str


def signer(request: Request) -> Signed | None:
    """Read a request's signature; ``None``: it has none."""
    found = re.search(rb"\r\nauthorization: [^\r]*Credential=([^/]+)/\d+/([^/]+)/([^/]+)/", request.head, re.IGNORECASE)
    return Signed(*(part.decode() for part in found.groups())) if found else None


def header(request: Request, name: str) -> str | None:
    """Return a header of a request."""
    found = re.search(rf"\r\n{name}: ?([^\r]*)".encode(), request.head, re.IGNORECASE)
    return found[1].decode() if found else None


class Bucket:
    """A fresh bucket."""

    def __init__(self, client, *, versioned: bool) -> None:
        self.client = client
        self.name = f"bucket-{uuid.uuid4().hex}"
        self.uri = f"s3://{self.name}/"
        client.create_bucket(Bucket=self.name)
        if versioned:
            self.set_versioning("Enabled")

    def set_versioning(self, status: str) -> None:
        self.client.put_bucket_versioning(Bucket=self.name, VersioningConfiguration={"Status": status})

    def put(self, key: str, data: bytes, **options: str) -> str | None:
        """Store an object and return its version ID, if it has one."""
        return self.client.put_object(Bucket=self.name, Key=key, Body=data, **options).get("VersionId")

    def delete(self, key: str) -> None:
        self.client.delete_object(Bucket=self.name, Key=key)
