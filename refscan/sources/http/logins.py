"""Logins for HTTP servers: the URL's own, or the netrc file's."""

from __future__ import annotations

import base64
import netrc
import os
from pathlib import Path
from urllib.parse import unquote

__all__ = ["basic", "login_of", "read_netrc"]


def basic(user: str, password: str) -> str:
    """Return the ``Authorization`` header of a login, in UTF-8 (RFC 7617)."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def login_of(userinfo: str) -> str:
    """Return the ``Authorization`` header of a URL's ``user:password``."""
    user, _, password = userinfo.partition(":")
    return basic(unquote(user), unquote(password))


def read_netrc() -> dict[str, str]:
    """Return the ``Authorization`` header of each machine in the netrc file; ``default`` is one of them.

    ``NETRC`` names the file, else it is ``~/.netrc``. What cannot be read holds no logins, as for other tools: it
    may have been written for another one.
    """
    try:
        path = os.environ.get("NETRC") or Path.home() / ".netrc"
        hosts = netrc.netrc(str(path)).hosts
    except (netrc.NetrcParseError, OSError, RuntimeError, ValueError):
        return {}
    return {host: basic(login or "", password or "") for host, (login, _, password) in hosts.items()}
