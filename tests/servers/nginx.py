"""A real nginx on free loopback ports, which serves one directory with an HTML index, a JSON index, and none."""

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from servers.required import find_program

Flavour = Literal["html", "json", "none"]

_FLAVOURS: dict[Flavour, str] = {
    "html": "autoindex on;",
    "json": "autoindex on; autoindex_format json;",
    "none": "",
}
_TRIES = 5


class Nginx:
    """One directory, served.

    Attributes:
        root: The directory.
        flavour: The index that ``url`` offers; to be set.
    """

    def __init__(self, root: Path, ports: dict[Flavour, int]) -> None:
        self.root = root
        self.flavour: Flavour = "html"
        self._ports = ports

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._ports[self.flavour]}/"


@contextmanager
def serve_nginx(home: Path) -> Iterator[Nginx]:
    """Run a server with all that is its own below ``home``."""
    program = find_program("nginx", install="apt-get install nginx-light")
    root = home / "root"
    for folder in (root, home / "logs"):
        folder.mkdir(parents=True)
    # Another program may take a port between its choice and its use.
    for _ in range(_TRIES):
        ports = _free_ports()
        (home / "nginx.conf").write_text(_configuration(root, ports))
        words = [program, "-p", str(home), "-e", "logs/error.log", "-c", str(home / "nginx.conf")]
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        if _listens(process, ports):
            break
        process.communicate()
    else:
        raise AssertionError(f"nginx does not start: {(home / 'logs' / 'error.log').read_text()}")
    try:
        yield Nginx(root, ports)
    finally:
        process.terminate()
        process.communicate(timeout=30)


def _free_ports() -> dict[Flavour, int]:
    chosen = {flavour: socket.create_server(("127.0.0.1", 0)) for flavour in _FLAVOURS}
    try:
        return {flavour: server.getsockname()[1] for flavour, server in chosen.items()}
    finally:
        for server in chosen.values():
            server.close()


def _listens(process: subprocess.Popen, ports: dict[Flavour, int]) -> bool:
    until = time.monotonic() + 30
    for port in ports.values():
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=5).close()
                break
            except OSError:
                if process.poll() is not None:
                    return False
                assert time.monotonic() < until, "nginx does not answer"
                time.sleep(0.005)
    return process.poll() is None


def _configuration(root: Path, ports: dict[Flavour, int]) -> str:
    # One process, of the user who runs the tests: nobody else may read what pytest's directories hold.
    temporary = "".join(
        f"{kind}_temp_path temporary;\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    servers = "".join(
        f"server {{ listen 127.0.0.1:{port}; root {root}; merge_slashes off; {_FLAVOURS[flavour]} }}\n"
        for flavour, port in ports.items()
    )
    return (
        f"daemon off;\nmaster_process off;\npid nginx.pid;\nerror_log logs/error.log;\nevents {{ }}\n"
        f"http {{\naccess_log off;\nkeepalive_requests 100000;\n{temporary}{servers}}}\n"
    )
