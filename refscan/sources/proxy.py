"""The proxy that the environment names for an endpoint."""

from __future__ import annotations

from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

__all__ = ["proxy_for"]


def proxy_for(url: str) -> str | None:
    """Return the proxy's URL (``HTTPS_PROXY``, ``HTTP_PROXY``, ``NO_PROXY``, in lower case too), or ``None``.

    For stores with credentials of their own: a session that trusts the environment would take logins from
    ``~/.netrc`` too, and send them in place of a token.
    """
    place = urlsplit(url)
    if place.hostname is None or proxy_bypass(place.netloc):
        return None
    return getproxies().get(place.scheme)
