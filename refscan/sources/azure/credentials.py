"""Which credential a container is read with, so that none goes to an account that is not its own."""

from __future__ import annotations

import inspect
import logging
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import anyio
from azure.core.credentials import AccessToken, AzureNamedKeyCredential, AzureSasCredential

from refscan.errors import AccessDeniedError, RefscanError
from refscan.sources.azure.endpoint import (
    ACCOUNT_VARIABLES,
    CONNECTION_STRING,
    EMULATOR_ACCOUNT,
    Account,
    account_of,
    connection_settings,
    endpoint_of_connection,
    endpoints_of_environment,
    endpoints_of_options,
)
from refscan.sources.options import AzureOptions

__all__ = ["Credential", "choose_credential"]

_KEY_VARIABLES = ("AZURE_STORAGE_KEY", "AZURE_STORAGE_ACCOUNT_KEY")
_SAS_VARIABLE = "AZURE_STORAGE_SAS_TOKEN"
# The emulator's well-known key, no secret:
# https://learn.microsoft.com/azure/storage/common/storage-connect-azurite#well-known-storage-account-and-key
_EMULATOR_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
_TOKEN_SECONDS = 9
_NO_CREDENTIALS = (
    "no usable credentials; set AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT with AZURE_STORAGE_KEY or "
    "AZURE_STORAGE_SAS_TOKEN, or log in with `az login`; a public container wants AzureOptions(anonymous=True)"
)


@dataclass(frozen=True, slots=True)
class Credential:
    """What signs the requests to one account.

    Attributes:
        kind: What it is; ``default`` is the SDK's own chain.
        secret: An SDK credential, or ``None``.
    """

    kind: Literal["token", "key", "sas", "anonymous", "default"]
    secret: Any = field(default=None, repr=False)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Any]:
        """Return the credential as the SDK's client takes it; the SDK's own chain is closed at the end."""
        if self.kind == "token":
            yield _Tokens(self.secret, "the credential of AzureOptions(credential=…) gives no token; renew it")
        elif self.kind == "default":
            # The chain logs each failed step as a warning, and prints it where nobody listens to logs.
            logging.getLogger("azure").addHandler(_SILENCE)
            from azure.identity.aio import DefaultAzureCredential  # noqa: PLC0415  slow, and often not needed

            try:
                chain = DefaultAzureCredential(process_timeout=_TOKEN_SECONDS)
            except ValueError as error:
                raise AccessDeniedError(_NO_CREDENTIALS) from error
            async with chain:
                yield _Tokens(chain, _NO_CREDENTIALS)
        else:
            yield self.secret


_SILENCE = logging.NullHandler()


class _Tokens:
    """A token credential whose failures are told in one line, and in time."""

    def __init__(self, inner: Any, hint: str) -> None:
        self._inner = inner
        self._hint = hint

    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        try:
            with anyio.fail_after(_TOKEN_SECONDS):
                token = self._inner.get_token(*scopes, **options)
                answer: AccessToken = await token if inspect.isawaitable(token) else token
                return answer
        except RefscanError:
            raise
        except Exception as error:
            raise AccessDeniedError(self._hint) from error

    async def close(self) -> None:
        """Whoever made the inner credential closes it."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None: ...


def choose_credential(
    base: str, options: AzureOptions, sas: str | None, environment: Mapping[str, str] = os.environ
) -> Credential:
    """Return the credential for a container: that of the URI or the options, else the environment's.

    Keys and tokens that belong to a named account are not used for another: what the options hold goes with
    ``account``, ``endpoint_url`` or the connection string where they are given, what the environment holds with the
    account that it names.

    Args:
        base: The container's URL.
        options: How it is reached.
        sas: The URI's shared access signature.
        environment: The variables.

    Raises:
        InvalidURIError: A connection string cannot be read.
        AccessDeniedError: An account key cannot be used.
    """
    account = account_of(base, options)
    own = endpoints_of_options(options)
    at_home = not own or account.is_one_of(own)
    if options.credential is not None:
        return Credential("token", options.credential)
    if options.account_key and at_home:
        return _key(account, options.account_key)
    if sas:
        return _sas(sas)
    if options.sas_token and at_home:
        return _sas(options.sas_token)
    if (found := _of_connection(account, options.connection_string)) is not None:
        return found
    if options.anonymous:
        return Credential("anonymous")
    if (found := _of_connection(account, environment.get(CONNECTION_STRING))) is not None:
        return found
    named = account.is_one_of(endpoints_of_environment(environment))
    key = next((environment[name] for name in _KEY_VARIABLES if environment.get(name)), None)
    # A key signs and is not sent, so an account of that name in another cloud may have it; a SAS is sent as it is.
    if key and (named or account.name in {environment.get(name) for name in ACCOUNT_VARIABLES}):
        return _key(account, key)
    if named and environment.get(_SAS_VARIABLE):
        return _sas(environment[_SAS_VARIABLE])
    return Credential("default")


def _of_connection(account: Account, text: str | None) -> Credential | None:
    if not text or not account.is_one_of([endpoint_of_connection(text)]):
        return None
    settings = connection_settings(text)
    if settings.get("usedevelopmentstorage", "").lower() == "true":
        return _key(Account(account.endpoint, EMULATOR_ACCOUNT), _EMULATOR_KEY)
    if "accountkey" in settings:
        name = settings.get("accountname", account.name)
        return _key(Account(account.endpoint, name), settings["accountkey"])
    if "sharedaccesssignature" in settings:
        return _sas(settings["sharedaccesssignature"])
    return None


def _key(account: Account, key: str) -> Credential:
    return Credential("key", AzureNamedKeyCredential(account.name, key.strip()))


def _sas(token: str) -> Credential:
    return Credential("sas", AzureSasCredential(token.strip().lstrip("?")))
