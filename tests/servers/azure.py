"""A real Azure Blob server: Azurite on a free loopback port, and containers in it."""

import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from azure.storage.blob import ContainerClient
from servers.required import find_program

# The emulator's well-known account: https://learn.microsoft.com/azure/storage/common/storage-connect-azurite
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
_START_SECONDS = 60


@contextmanager
def serve_azure() -> Iterator[str]:
    """Run a server and give its blob endpoint, the account's name included."""
    program = find_program("azurite-blob", install="npm install -g azurite")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    arguments = ["--silent", "--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry"]
    command = [program, *arguments, "--blobHost", "127.0.0.1", "--blobPort", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            _wait_until_it_listens(port, server)
            yield f"http://127.0.0.1:{port}/{ACCOUNT}"
        finally:
            server.terminate()


def _wait_until_it_listens(port: int, server: subprocess.Popen) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert server.poll() is None, "azurite-blob has ended"
            assert time.monotonic() < deadline, "azurite-blob does not listen"
            time.sleep(0.05)  # there is nothing else to wait for
        else:
            return


def connection_string(endpoint: str) -> str:
    """Return the connection string of the emulator's account."""
    return f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={endpoint};"


class Container:
    """A fresh container, filled with the plain SDK.

    Attributes:
        uri: Its URL, ending in ``/``.
    """

    def __init__(self, endpoint: str) -> None:
        self.name = f"container-{uuid.uuid4().hex}"
        self.uri = f"{endpoint}/{self.name}/"
        self.client = ContainerClient(
            endpoint, self.name, credential={"account_name": ACCOUNT, "account_key": KEY}, retry_total=0
        )
        self.client.create_container()

    def put(self, key: str, data: bytes, **options) -> str | None:
        """Store a blob and return its version ID, if it has one."""
        return self.client.upload_blob(key, data, overwrite=True, **options).version_id

    def delete(self, key: str) -> None:
        self.client.delete_blob(key)

    def close(self) -> None:
        self.client.close()
