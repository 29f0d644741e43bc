"""Where refscan keeps its own data."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["registry_directory"]


def registry_directory(chosen: str | os.PathLike[str] | None = None) -> Path:
    """Return the registry's directory.

    Args:
        chosen: What the caller asked for; it wins.

    Returns:
        ``chosen``, else the environment's ``REFSCAN_REGISTRY``, else ``registry`` in the user's data
        directory (``~/.local/share/refscan`` on Linux).
    """
    named = chosen or os.environ.get("REFSCAN_REGISTRY")
    if named:
        return Path(named).expanduser().absolute()
    import platformdirs  # noqa: PLC0415  needed only when nothing is named

    return Path(platformdirs.user_data_dir("refscan", appauthor=False)) / "registry"
