"""What several verbs read in the same way: limits, and names of artifacts."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass

from refscan.scan.limits import DEFAULT_MAX_OBJECTS

__all__ = ["ArtifactName", "add_max_objects", "add_patterns", "artifact_name", "full_name", "place_name", "printable"]


_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


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


def place_name(text: str) -> tuple[ArtifactName | None, str]:
    """Read ``PROJECT`` or ``PROJECT/NAME[:ALIAS][/FOLDER]``: the version, if one is named, and the rest."""
    match = re.fullmatch(r"([^/:]+/[^/:]+(?::[^/:]+)?)(?:/(.*))?", text, re.DOTALL)
    if match is not None:
        return artifact_name(match[1]), match[2] or ""
    if not text or "/" in text or ":" in text:
        raise argparse.ArgumentTypeError(f"{text!r} is neither PROJECT nor PROJECT/NAME[:ALIAS][/FOLDER]")
    return None, text


def printable(path: str) -> str:
    """Return a path as a line of a terminal can show it: what would break or steer it is escaped."""
    return _CONTROL.sub(lambda match: ascii(match[0])[1:-1], path)


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


def add_patterns(parser: argparse.ArgumentParser) -> None:
    """Add ``--include GLOB`` and ``--exclude GLOB``, each any number of times."""
    what = "whose path below the URI matches (**/*.png: at any depth); may be repeated"
    parser.add_argument("--include", action="append", metavar="GLOB", help=f"take only objects {what}")
    parser.add_argument("--exclude", action="append", metavar="GLOB", help=f"leave out objects {what}")


def _limit(text: str) -> int | None:
    if text.lower() == "none":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a positive number nor none")
    return int(text)
