"""Which schemes fsspec reads here. fsspec is imported when it is first asked for a scheme that is not refscan's own."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from refscan.azure_uri import AZURE_SCHEMES
from refscan.errors import UnsupportedSchemeError

__all__ = ["file_system_class", "hint", "reads"]

# What refscan reads itself, and what others call the same store.
_OWN = frozenset(["file", "http", "https", "s3", "gs", "memory", *AZURE_SCHEMES])
_OTHER_NAMES = {"local": "file", "s3a": "s3", "s3n": "s3", "gcs": "gs"}
# They show files of another store under a name of their own, and some of them as they were some time ago.
_WRAPPERS = frozenset(
    ["async_wrapper", "asyncwrapper", "blockcache", "cached", "dir", "filecache", "generic", "refscan", "simplecache"]
)


def reads(scheme: str) -> bool:
    """Tell whether fsspec is installed with a file system for this scheme that can be imported.

    Never for a scheme that refscan reads itself, nor for fsspec's wrappers of other file systems.
    """
    return _found(scheme) is not None


def hint(scheme: str) -> str | None:
    """Return one line on how this scheme could be read: what to install, or how it is written here."""
    if scheme in _OTHER_NAMES:
        return f"write {_OTHER_NAMES[scheme]}:// in place of {scheme}://"
    if scheme in _OWN or scheme in _WRAPPERS or reads(scheme):
        return None
    try:
        from fsspec.registry import known_implementations  # noqa: PLC0415
    except ImportError:
        return "install refscan[fsspec] to read the file systems of fsspec"
    known = known_implementations.get(scheme)
    if known is None:
        return None
    return " ".join(str(known.get("err") or f"install the package of {known['class']}").split())


def file_system_class(scheme: str, uri: str) -> Any:
    """Return fsspec's class for a scheme.

    Raises:
        UnsupportedSchemeError: There is none; the text says what to install.
    """
    found = _found(scheme)
    if found is None:
        advice = hint(scheme)
        raise UnsupportedSchemeError(
            f"{uri}: no source reads {scheme}://" + (f"; {advice}" if advice else ""), uri=uri
        ) from None
    return found


def _found(scheme: str) -> Any:
    if scheme in _OWN or scheme in _OTHER_NAMES or scheme in _WRAPPERS:
        return None
    try:
        from fsspec.registry import known_implementations, registry  # noqa: PLC0415
    except ImportError:
        return None
    # What is not known now may be registered later, so only imports are remembered, which take their time.
    if scheme in registry:
        return registry[scheme]
    known = known_implementations.get(scheme)
    return None if known is None else _imported(scheme, str(known["class"]))


@lru_cache(maxsize=256)
def _imported(scheme: str, name: str) -> Any:
    del name
    from fsspec import get_filesystem_class  # noqa: PLC0415

    try:
        return get_filesystem_class(scheme)
    except Exception:  # noqa: BLE001  a package of others may fail in any way while it is imported
        return None
