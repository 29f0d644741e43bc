"""Requests sent without the SDK, once it has shown the way: the same ones, for a tenth of the work.

The SDK keeps credentials, endpoints, regions, TLS and proxies: all are taken from it. It judges, too: whatever is
not answered with 200 is asked again through it, so that retries, redirects and errors are its own.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any
from urllib.parse import quote, urlsplit

import aiohttp
from aiobotocore.httpsession import AIOHTTPSession
from botocore.exceptions import BotoCoreError, ClientError
from botocore.httpsession import ProxyConfiguration, create_urllib3_context, get_cert_path

from refscan.sources.s3.answer import Answer
from refscan.sources.s3.attempts import THROTTLED, Attempts
from refscan.sources.s3.pool import Pool
from refscan.sources.s3.proxied import Proxied
from refscan.sources.s3.route import Route, quoted_key, read_route
from refscan.sources.s3.signature import Signer

__all__ = ["Answer", "Direct"]

_OK = 200
_MOST_MISSES = 5
# What the SDK tells its connector of its own accord.
_KNOWN_ARGUMENTS = frozenset(["keepalive_timeout"])
_FIXED = {"Accept-Encoding": "identity", "User-Agent": "refscan"}
# Seconds without a byte, after which a connection is taken for dead and the SDK asks over another one. Listings and
# facts come at once; the SDK's own timeout is one for downloads.
_LONGEST_SILENCE = 20.0
# What goes out through the SDK in this task.
_SENT: ContextVar[list[Any] | None] = ContextVar("sent", default=None)


class Direct:
    """Requests to one bucket.

    Args:
        attempts: Counts the requests, and says how long to wait for a store that is busy.
        anonymous: Requests are not signed.
        payer: What ``x-amz-request-payer`` says.
    """

    def __init__(self, attempts: Attempts, *, anonymous: bool, payer: str | None) -> None:
        self._attempts = attempts
        self._anonymous = anonymous
        self._payer = payer
        self._settings: dict[str, Any] = {}
        self._find_credentials: Callable[[], Awaitable[Any]] | None = None
        self._credentials: Any = None
        # By where they lead; a bucket that moves is followed.
        self._wires: dict[str, Pool | Proxied] = {}
        self._wire: Pool | Proxied | None = None
        self._route: Route | None = None
        self._signer: Signer | None = None
        self._missed = False
        self._misses = 0

    def http_session(self, **settings: Any) -> Any:
        """Make the HTTP session of the SDK's client, and remember how: to be given as ``http_session_cls``."""
        self._settings = settings
        return AIOHTTPSession(**settings)

    @asynccontextmanager
    async def opened(self, client: Any, find_credentials: Callable[[], Awaitable[Any]]) -> AsyncIterator[None]:
        """Send requests as this client does, which must have been made with ``http_session``.

        Args:
            client: The SDK's client.
            find_credentials: Returns its credentials.
        """
        client.meta.events.register("before-send.s3", _remember)
        self._find_credentials = find_credentials
        try:
            yield
        finally:
            for wire in self._wires.values():
                await wire.close()

    @contextmanager
    def learning(self, key: str | None) -> Iterator[None]:
        """Learn the route from what the SDK sends inside, if it succeeds.

        Args:
            key: The object it is about; ``None``: it is about the bucket.
        """
        sent: list[Any] = []
        before = _SENT.set(sent)
        try:
            yield
        finally:
            _SENT.reset(before)
        if not sent:
            return
        # What the SDK is answered and this is not, may never be answered to this.
        self._misses += self._missed
        self._missed = False
        if self._misses >= _MOST_MISSES:
            self._route = None
            return
        route = read_route(sent[-1].url, sent[-1].headers, key, anonymous=self._anonymous)
        if route != self._route:
            self._set_out(route)

    def _set_out(self, route: Route | None) -> None:
        """Make all that this route needs; certificates of one's own, and proxies that need any, are the SDK's."""
        self._signer = None
        self._route = None
        settings = self._settings
        if route is None or not settings or settings.get("client_cert") or settings.get("proxies_config"):
            return
        if route.origin not in self._wires:
            self._wires[route.origin] = _wire(settings, route.origin)
        self._wire = self._wires[route.origin]
        self._route = route

    async def head(self, key: str, parameters: Mapping[str, str]) -> Answer | None:
        """Ask for an object's facts; ``None``: the SDK must be asked."""
        return await self._ask("HEAD", "/" + quoted_key(key), parameters)

    async def list(self, parameters: Mapping[str, str]) -> Answer | None:
        """Ask for a listing; ``None``: the SDK must be asked."""
        return await self._ask("GET", "", parameters)

    def miss(self) -> None:
        """Take an answer for none after all: the SDK must be asked."""
        self._attempts.retries += 1
        self._missed = True

    async def _ask(self, method: str, path: str, parameters: Mapping[str, str]) -> Answer | None:
        route, wire = self._route, self._wire
        if route is None or wire is None:
            return None
        path = route.base + path or "/"
        query = "&".join([f"{name}={_quoted(value)}" for name, value in sorted(parameters.items())])
        try:
            headers = await self._headers(route, method, path, query)
            target = f"{path}?{query}" if query else path
            answer = await wire.ask(method, route.host, target, headers, self._attempts.count)
        except (aiohttp.ClientError, BotoCoreError, ClientError, OSError, RuntimeError, TimeoutError, ValueError):
            # The SDK's own attempt says what is wrong.
            self.miss()
            return None
        if answer.status == _OK:
            self._misses, self._missed = 0, False
            return answer
        if answer.status in THROTTLED:
            self._attempts.retries += 1
            await self._attempts.wait_for_busy(answer.headers)
        else:
            self.miss()
        return None

    async def _headers(self, route: Route, method: str, path: str, query: str) -> dict[str, str]:
        if route.scope is None:
            return _FIXED | ({"x-amz-request-payer": self._payer} if self._payer else {})
        if self._credentials is None and self._find_credentials is not None:
            self._credentials = await self._find_credentials()
        found = await self._credentials.get_frozen_credentials()
        keys = found.access_key, found.secret_key, found.token
        if self._signer is None or not self._signer.has(*keys):
            self._signer = Signer(*keys, region=route.scope[0], service=route.scope[1])
        return _FIXED | self._signer.sign(method, route.host, path, query, payer=self._payer)


@lru_cache(maxsize=1_024)
def _quoted(value: str) -> str:
    return quote(value, safe="")


def _remember(request: Any, **_: object) -> None:
    sent = _SENT.get()
    if sent is not None:
        sent.append(request)


def _wire(settings: Mapping[str, Any], origin: str) -> Pool | Proxied:
    """Make what sends requests, with the connections, timeouts, certificates and proxies of the SDK's."""
    connect, _ = settings["timeout"]
    place = urlsplit(origin)
    tls = _certificates(settings["verify"]) if place.scheme == "https" else None
    limit = settings["max_pool_connections"]
    proxy = ProxyConfiguration(proxies=settings["proxies"], proxies_settings=None).proxy_url_for(origin)
    arguments = settings.get("connector_args") or {}
    if proxy or not _KNOWN_ARGUMENTS.issuperset(arguments):
        return Proxied(
            origin,
            proxy,
            tls=tls,
            limit=limit,
            connect_timeout=connect,
            silence=_LONGEST_SILENCE,
            arguments=arguments,
        )
    port = place.port or (80 if tls is None else 443)
    return Pool(place.hostname or "", port, tls=tls, limit=limit, connect_timeout=connect, silence=_LONGEST_SILENCE)


def _certificates(verify: bool | str) -> ssl.SSLContext:  # noqa: FBT001  as the SDK has it
    context: ssl.SSLContext = create_urllib3_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    bundle = get_cert_path(verify)
    if bundle:
        context.load_verify_locations(bundle)
    return context
