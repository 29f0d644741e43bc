"""The parts of the W&B SDK that are used, imported when they are first needed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from refscan.errors import ArtifactError, StoreError

if TYPE_CHECKING:
    from wandb.sdk.artifacts.artifact_manifest_entry import ArtifactManifestEntry
    from wandb.sdk.lib.paths import LogicalPath

__all__ = ["entry_class", "load_sdk", "logical_path_class", "translated"]


def load_sdk() -> Any:
    """Return the module ``wandb``.

    Raises:
        ArtifactError: It is not installed.
    """
    try:
        import wandb  # noqa: PLC0415  an extra
    except ImportError:
        raise ArtifactError("the W&B SDK is not installed; pip install 'refscan[wandb]'") from None
    return wandb


def entry_class() -> type[ArtifactManifestEntry]:
    """Return the class of W&B's entries."""
    load_sdk()
    from wandb.sdk.artifacts.artifact_manifest_entry import ArtifactManifestEntry  # noqa: PLC0415

    return ArtifactManifestEntry


def logical_path_class() -> type[LogicalPath]:
    """Return the class of the paths in W&B's entries: a ``str`` whose constructor normalises."""
    load_sdk()
    from wandb.sdk.lib.paths import LogicalPath  # noqa: PLC0415

    return LogicalPath


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Raise what the SDK raises as errors of refscan, in one line.

    Raises:
        ArtifactError: W&B refuses a name, a type, an alias or metadata.
        StoreError: W&B cannot be reached, or fails.
    """
    wandb = load_sdk()
    try:
        yield
    except wandb.errors.UsageError as error:
        raise ArtifactError(f"{what}: W&B refuses it: {_line(error)}") from None
    except wandb.errors.Error as error:
        raise StoreError(f"{what}: W&B answers: {_line(error)}; try again") from None
    except (TypeError, ValueError) as error:
        raise ArtifactError(f"{what}: W&B refuses it: {_line(error)}") from None


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
