"""``refscan``: reads the words of the command line, runs one verb, and turns errors into one line."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence

from refscan.errors import RefscanError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    That is 0, 1 after an error, 2 after wrong usage, 130 after Ctrl-C, or what a verb says it means, such as 3 of
    ``artifact verify``.
    """
    debug = False
    try:
        try:
            chosen = _parser().parse_args(arguments)
            debug = chosen.debug
            # SDKs log what they retry; the user gets one line instead.
            logging.getLogger().addHandler(logging.NullHandler())
            import anyio  # noqa: PLC0415  wrong usage and --help need no more than the parser

            return int(anyio.run(chosen.run, chosen))
        finally:
            # Here, where a reader that has gone away can still be answered.
            sys.stdout.flush()
    except KeyboardInterrupt:
        print("refscan: interrupted; nothing half-done was kept", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Whoever read the output has enough of it; the interpreter must not try to flush it again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (RefscanError, OSError, ValueError) as error:
        if debug:
            raise
        print(f"refscan: {' '.join(str(error).split())}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    from refscan.cli import (  # noqa: PLC0415  # noqa: PLC0415
        artifact_delete,
        artifact_diff,
        artifact_export,
        artifact_get,
        artifact_ls,
        artifact_pull,
        artifact_push,
        artifact_put,
        artifact_verify,
        gc,
    )
    from refscan.cli import scan as scan_verb  # noqa: PLC0415

    parser = argparse.ArgumentParser(
        prog="refscan",
        description="Versioned manifests of files that stay in buckets, on HTTP servers and on disk.",
    )
    parser.add_argument("--version", action="version", version=f"refscan {_version()}")
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--debug", action="store_true", help="show the traceback of an error")
    registry = argparse.ArgumentParser(add_help=False, parents=[shared])
    registry.add_argument(
        "--registry",
        metavar="DIR",
        help="the registry's directory (default: REFSCAN_REGISTRY, else the user's data)",
    )
    verbs = parser.add_subparsers(metavar="COMMAND", required=True)
    scan_verb.add_parser(verbs, shared)
    artifact = verbs.add_parser("artifact", help="record, list, check, export and download artifacts")
    nouns = artifact.add_subparsers(metavar="COMMAND", required=True)
    for module in (artifact_put, artifact_get, artifact_ls, artifact_diff, artifact_verify, artifact_export):
        module.add_parser(nouns, registry)
    for module in (artifact_push, artifact_pull):
        module.add_parser(nouns, registry)
    artifact_delete.add_parser(nouns, registry)
    gc.add_parser(verbs, registry)
    return parser


def _version() -> str:
    from importlib.metadata import version  # noqa: PLC0415

    return version("refscan")


if __name__ == "__main__":
    sys.exit(main())
