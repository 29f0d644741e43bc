"""The SDK's client: credentials and endpoint, with listings handed over unparsed and busy answers asked again."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from urllib.parse import quote

import aiohttp
import anyio
from gcloud.aio.auth import Token
from gcloud.aio.storage import Storage
from yarl import URL

from refscan.errors import AccessDeniedError
from refscan.sources.options import GCSOptions
from refscan.sources.proxy import proxy_for
from refscan.sources.retry import BUSY, SILENCE, BusyError, Repeats, retry_after, retrying

__all__ = ["GCSClient", "open_client"]

_ENDPOINT = "https://storage.googleapis.com"
_SCOPES = ["https://www.googleapis.com/auth/devstorage.read_only"]
_TIMEOUT = aiohttp.ClientTimeout(total=None, connect=None, sock_connect=3, sock_read=SILENCE)
_TOKEN_TIMEOUT = 8

_T = TypeVar("_T")


class GCSClient:
    """Requests to one endpoint, each sent again while the store is busy.

    Attributes:
        requests: Requests sent so far, repeated ones too.
        repeats: Those among them that were sent again, and answers that asked to slow down.
        endpoint: Where they are sent, if it is not Google's own.
    """

    def __init__(self, storage: Storage, token: Token | None, root: str, user_project: str | None) -> None:
        self.requests = 0
        self.repeats = Repeats()
        self._storage = storage
        self._token = token
        self._objects = f"{root}/storage/v1/b"
        self.endpoint = None if root == _ENDPOINT else root
        self._payer = {"userProject": user_project} if user_project else {}

    async def list_objects(self, bucket: str, params: Mapping[str, str]) -> bytes:
        """Return the body of one listing."""

        async def attempt() -> bytes:
            await self.authorize()
            body: Any = await self._storage.list_objects(
                quote(bucket, safe=""),
                params={**params, **self._payer},
                timeout=_TIMEOUT,  # type: ignore[arg-type]  # it hands it on to aiohttp
            )
            return bytes(body)  # as _RawResponse gives it

        return await self._send(attempt)

    async def get_metadata(self, bucket: str, key: str, params: Mapping[str, str]) -> bytes:
        """Return the body of one object's metadata."""

        async def attempt() -> bytes:
            response = await self._get(bucket, key, params, {})
            return await response.read()

        return await self._send(attempt)

    @asynccontextmanager
    async def open_object(
        self, bucket: str, key: str, params: Mapping[str, str], headers: Mapping[str, str]
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Open one object; its bytes come as they are stored, compressed ones too."""

        async def attempt() -> aiohttp.ClientResponse:
            # https://cloud.google.com/storage/docs/transcoding: without it, gzip objects come decompressed.
            return await self._get(
                bucket, key, {**params, "alt": "media"}, {**headers, "Accept-Encoding": "gzip"}, decompress=False
            )

        async with await self._send(attempt) as response:
            yield response

    async def _get(
        self, bucket: str, key: str, params: Mapping[str, str], headers: Mapping[str, str], *, decompress: bool = True
    ) -> aiohttp.ClientResponse:
        await self.authorize()
        login = {"Authorization": f"Bearer {await self._token.get()}"} if self._token is not None else {}
        # https://cloud.google.com/storage/docs/request-endpoints#encoding
        url = URL(f"{self._objects}/{quote(bucket, safe='')}/o/{quote(key, safe='')}", encoded=True)
        return await self._storage.session.get(
            url,  # type: ignore[arg-type]  # it hands it on to aiohttp
            headers={**login, **headers},
            params={**params, **self._payer},
            timeout=_TIMEOUT,
            auto_decompress=decompress,
        )

    async def _send(self, attempt: Callable[[], Awaitable[_T]]) -> _T:
        return await _patiently(attempt, self.repeats, on_attempt=self._count)

    def _count(self) -> None:
        self.requests += 1

    async def authorize(self) -> None:
        """Make sure that there is an access token.

        Raises:
            AccessDeniedError: There are no credentials, or they give no token.
        """
        if self._token is None:
            return
        try:
            # The SDK's tasks share one that fetches the token; cancelled with one of them, it would fail them all.
            with anyio.fail_after(_TOKEN_TIMEOUT, shield=True):
                await self._token.get()
        except (aiohttp.ClientError, BusyError, OSError, TimeoutError, LookupError, ValueError) as error:
            raise _no_credentials(error) from error


async def _patiently(
    attempt: Callable[[], Awaitable[_T]], repeats: Repeats, *, on_attempt: Callable[[], None] | None = None
) -> _T:
    """Do what ``attempt`` does, again while the server is busy."""

    async def told() -> _T:
        if on_attempt is not None:
            on_attempt()
        try:
            return await attempt()
        except aiohttp.ClientResponseError as error:
            if error.status in BUSY:
                raise BusyError(error.status, retry_after(error.headers or {})) from error
            raise

    return await retrying(told, repeats)


class _Token(Token):
    """Asks again for a token only where that may help; the SDK's own does it five times, even for a refusal."""

    async def acquire_access_token(self, timeout: int = 10) -> None:  # type: ignore[override]  # noqa: ASYNC109  as there
        await _patiently(lambda: Token.acquire_access_token.__wrapped__(self, timeout), Repeats())


class _RawResponse(aiohttp.ClientResponse):
    """What the SDK would parse comes as it is."""

    async def json(self, **_: object) -> bytes:
        return await self.read()


@asynccontextmanager
async def open_client(options: GCSOptions, environment: Mapping[str, str] = os.environ) -> AsyncIterator[GCSClient]:
    """Open a client, with the credentials that ``options``, or Google's application default credentials, give.

    ``STORAGE_EMULATOR_HOST`` names an emulator, to which none are sent but those of ``service_account_file``.

    Raises:
        AccessDeniedError: There are no credentials.
    """
    emulator = "" if options.endpoint_url else environment.get("STORAGE_EMULATOR_HOST", "")
    root = (options.endpoint_url or emulator or _ENDPOINT).rstrip("/")
    root = root if "://" in root else f"http://{root}"
    explicit = options.service_account_file is not None
    anonymous = options.anonymous or (not explicit and (bool(emulator) or root.startswith("http://")))
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=options.connections),
        headers={"User-Agent": "refscan", "Accept-Encoding": "identity"},
        proxy=proxy_for(root),
        response_class=_RawResponse,
        timeout=_TIMEOUT,
    )
    token: Token | None = None
    async with session:
        try:
            # A session of its own: it parses what it gets.
            token = None if anonymous else _make_token(options)
            shared: Any = session  # its types name another library's session too
            storage = Storage(session=shared, token=token or _NO_TOKEN, api_root=root, api_is_dev=anonymous)
            client = GCSClient(storage, token, root, options.user_project)
            await client.authorize()
            yield client
        finally:
            if token is not None:
                await token.close()


def _make_token(options: GCSOptions) -> Token:
    file = options.service_account_file
    try:
        return _Token(service_file=None if file is None else os.fspath(file), scopes=_SCOPES)
    except (OSError, ValueError, LookupError) as error:
        raise _no_credentials(error) from error


class _NoToken(Token):
    """Stands where the SDK wants a token that it will not ask for; looks for no credentials."""

    def __init__(self) -> None:
        pass


_NO_TOKEN = _NoToken()


def _no_credentials(error: BaseException) -> AccessDeniedError:
    name = getattr(error, "filename", None)
    reason = f"{name} cannot be read" if name else type(error).__name__
    if isinstance(error, aiohttp.ClientResponseError):
        reason = f"the token server answered HTTP {error.status}"
    return AccessDeniedError(
        f"no usable credentials ({reason}); set GOOGLE_APPLICATION_CREDENTIALS to a key file, run 'gcloud auth "
        f"application-default login', or pass GCSOptions(anonymous=True) for a public bucket"
    )
