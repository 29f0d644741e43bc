"""Certificates: checked, named in errors, and taken from the environment."""

import asyncio
import os
import ssl
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import anyio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from refscan.errors import StoreError
from refscan.sources.http import HTTPSource

SCRIPT = """
import asyncio, sys
from refscan.sources.http import HTTPSource

async def main():
    async with HTTPSource(sys.argv[1]) as source:
        print((await source.stat(["a"])).rows.column("size")[0])

asyncio.run(main())
"""


@pytest.fixture
def certificate(tmp_path):
    """A file with a key, and a certificate of localhost that only itself vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(1), now + timedelta(1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    path = tmp_path / "server.pem"
    path.write_bytes(
        key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(encoding)
    )
    return path


@pytest.fixture
async def tls_port(certificate):
    """The port of a server with that certificate, where everything has seven bytes."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_a_certificate_that_nobody_vouches_for_is_told_at_once(tls_port):
    async with HTTPSource(f"https://localhost:{tls_port}/") as source:
        with (
            anyio.fail_after(10),
            pytest.raises(StoreError, match=r"TLS failed: self-signed .*SSL_CERT_FILE") as caught,
        ):
            await source.stat(["a"])
        assert source.requests == 1
    assert "\n" not in str(caught.value)


async def test_the_environment_names_authorities(tls_port, certificate):
    environment = os.environ | {"SSL_CERT_FILE": str(certificate)}
    words = [sys.executable, "-c", SCRIPT, f"https://localhost:{tls_port}/"]
    done = await anyio.run_process(words, env=environment, stderr=subprocess.STDOUT, check=False)
    assert done.stdout.decode() == "7\n"


async def test_a_server_that_speaks_no_tls_is_told_at_once(web_server):
    async with HTTPSource(web_server.base.replace("http:", "https:")) as source:
        with anyio.fail_after(10), pytest.raises(StoreError, match=r"TLS failed|cannot be reached"):
            await source.stat(["a"])
        assert source.requests == 1
