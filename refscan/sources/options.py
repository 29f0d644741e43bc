"""How a store is reached, where its environment does not say so: one small class for each kind of store.

They are given with one reference or with a run; nothing is global. Secrets in them are no part of ``repr``, and none
is ever recorded, logged or shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from os import PathLike
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

from refscan.uri import StoreName

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

__all__ = [
    "AzureOptions",
    "FsspecOptions",
    "GCSOptions",
    "HTTPOptions",
    "S3Options",
    "StoreOptions",
    "as_options",
    "chosen",
    "with_defaults",
]


def _check_positive(number: int, name: str) -> None:
    if number < 1:
        raise ValueError(f"{name} must be at least 1, not {number}")


def _check_endpoint(url: str | None) -> None:
    """Refuse an endpoint with secrets, which are no part of it and would be shown with it."""
    place = "" if url is None else url.partition("://")[2]
    if "?" in place or "@" in place.partition("/")[0]:
        raise ValueError("endpoint_url= takes neither a login nor a signature; other options take credentials")


@dataclass(frozen=True, kw_only=True, slots=True)
class S3Options:
    """How S3, and what speaks its protocol, is reached. What is not given, the AWS SDK's own chain decides.

    Attributes:
        profile: A profile of the shared configuration (static keys, SSO, assumed roles, web identity).
        region: The bucket's region.
        endpoint_url: The endpoint; wins over the environment's.
        addressing_style: ``virtual`` puts the bucket into the host name, ``path`` into the path.
        anonymous: Sends requests unsigned, for public buckets.
        requester_pays: Agrees to pay for the requests.
        session: An ``aioboto3.Session`` to take credentials from; wins over ``profile``.
        connections: Connections at once.
    """

    store: ClassVar[StoreName] = "s3"
    profile: str | None = None
    region: str | None = None
    endpoint_url: str | None = None
    addressing_style: Literal["virtual", "path"] | None = None
    anonymous: bool = False
    requester_pays: bool = False
    session: Any = field(default=None, repr=False)
    connections: int = 64

    def __post_init__(self) -> None:
        _check_endpoint(self.endpoint_url)
        _check_positive(self.connections, "connections")


@dataclass(frozen=True, kw_only=True, slots=True)
class GCSOptions:
    """How Google Cloud Storage is reached. What is not given, application default credentials decide.

    Attributes:
        service_account_file: The key file of a service account, or another credentials file of Google's.
        anonymous: Sends requests without credentials, for public buckets.
        endpoint_url: The endpoint; wins over ``STORAGE_EMULATOR_HOST``.
        user_project: The project that pays for the requests (requester pays).
        connections: Connections at once.
    """

    store: ClassVar[StoreName] = "gcs"
    service_account_file: str | PathLike[str] | None = None
    anonymous: bool = False
    endpoint_url: str | None = None
    user_project: str | None = None
    connections: int = 64

    def __post_init__(self) -> None:
        _check_endpoint(self.endpoint_url)
        _check_positive(self.connections, "connections")


@dataclass(frozen=True, kw_only=True, slots=True)
class AzureOptions:
    """How Azure Blob Storage is reached. What is not given, the environment and ``DefaultAzureCredential`` decide.

    Attributes:
        account: The storage account of ``az://CONTAINER/…``.
        endpoint_url: The account's blob endpoint, such as ``http://127.0.0.1:10000/devstoreaccount1``.
        connection_string: As the portal shows it.
        account_key: The account's key.
        sas_token: A shared access signature, for the account or the container.
        credential: An ``azure.core`` asynchronous token credential.
        anonymous: Sends requests without credentials, for public containers.
        hierarchical_namespace: Whether the account has one; ``None`` asks the account.
        connections: Connections at once.
    """

    store: ClassVar[StoreName] = "azure"
    account: str | None = None
    endpoint_url: str | None = None
    connection_string: str | None = field(default=None, repr=False)
    account_key: str | None = field(default=None, repr=False)
    sas_token: str | None = field(default=None, repr=False)
    credential: AsyncTokenCredential | None = field(default=None, repr=False)
    anonymous: bool = False
    hierarchical_namespace: bool | None = None
    connections: int = 64

    def __post_init__(self) -> None:
        _check_endpoint(self.endpoint_url)
        _check_positive(self.connections, "connections")


@dataclass(frozen=True, kw_only=True, slots=True)
class HTTPOptions:
    """How HTTP servers are reached. Logins and proxies are the environment's (``~/.netrc``, ``HTTPS_PROXY``).

    Attributes:
        headers: Sent with each request to the host of the URL, and not to where it redirects.
        index: Walk a URL that ends in ``/`` where the server offers a directory index.
        connections: Connections to one host at once.
    """

    store: ClassVar[StoreName] = "http"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    index: bool = True
    connections: int = 64

    def __post_init__(self) -> None:
        _check_positive(self.connections, "connections")


@dataclass(frozen=True, kw_only=True, slots=True)
class FsspecOptions:
    """How an fsspec file system is made; needs ``refscan[fsspec]``.

    Attributes:
        storage_options: What the file system's class takes (``fsspec.filesystem(SCHEME, **storage_options)``).
        concurrency: Calls at once.
    """

    store: ClassVar[StoreName] = "fsspec"
    storage_options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    concurrency: int = 16

    def __post_init__(self) -> None:
        _check_positive(self.concurrency, "concurrency")


StoreOptions = S3Options | GCSOptions | AzureOptions | HTTPOptions | FsspecOptions
"""Options of one kind of store."""

_O = TypeVar("_O", S3Options, GCSOptions, AzureOptions, HTTPOptions, FsspecOptions)


def as_options(options: StoreOptions | Iterable[StoreOptions] | None) -> tuple[StoreOptions, ...]:
    """Return options, one or several, as a tuple.

    Raises:
        TypeError: Something is no options class.
        ValueError: Two are for the same kind of store.
    """
    given = () if options is None else (options,) if isinstance(options, StoreOptions) else tuple(options)
    for option in given:
        if not isinstance(option, StoreOptions):
            raise TypeError(f"options are S3Options, GCSOptions and the like, not {type(option).__name__}")
    if len({option.store for option in given}) < len(given):
        raise ValueError("two options are for the same kind of store; give one of each")
    return given


def with_defaults(options: tuple[StoreOptions, ...], defaults: Iterable[StoreOptions]) -> tuple[StoreOptions, ...]:
    """Return ``options``, and ``defaults`` for the kinds of store that they leave out."""
    kinds = {option.store for option in options}
    return (*options, *(option for option in defaults if option.store not in kinds))


def chosen(kind: type[_O], options: Iterable[StoreOptions]) -> _O:
    """Return the options of one kind, or its defaults."""
    return next((option for option in options if isinstance(option, kind)), kind())
