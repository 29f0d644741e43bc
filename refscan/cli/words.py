"""What several verbs read in the same way: limits, and names of artifacts."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from refscan.scan.limits import DEFAULT_MAX_OBJECTS

__all__ = ["ArtifactName", "add_max_objects", "artifact_name", "full_name"]


@dataclass(frozen=True, slots=True)
class ArtifactName:
    """``PROJECT/NAME[:ALIAS]``."""

    project: str
    name: str
    alias: str = "latest"

    def __str__(self) -> str:
        return f"{self.project}/{self.name}"


def artifact_name(text: str) -> ArtifactName:
    """Read ``PROJECT/NAME[:ALIAS]``."""
    project, slash, rest = text.partition("/")
    name, colon, alias = rest.partition(":")
    if not (slash and project and name) or "/" in rest or (colon and not alias):
        raise argparse.ArgumentTypeError(f"{text!r} is not PROJECT/NAME or PROJECT/NAME:ALIAS")
    return ArtifactName(project, name, alias or "latest")


def full_name(text: str) -> ArtifactName:
    """Read ``PROJECT/NAME``."""
    if ":" in text:
        raise argparse.ArgumentTypeError(f"{text!r} is not PROJECT/NAME; versions get their numbers by themselves")
    return artifact_name(text)


def add_max_objects(parser: argparse.ArgumentParser) -> None:
    """Add ``--max-objects N|none``."""
    parser.add_argument(
        "--max-objects",
        type=_limit,
        default=DEFAULT_MAX_OBJECTS,
        metavar="N|none",
        help=f"refuse references with more objects (default: {DEFAULT_MAX_OBJECTS}; none: no limit)",
    )


def _limit(text: str) -> int | None:
    if text.lower() == "none":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a positive number nor none")
    return int(text)
