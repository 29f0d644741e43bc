"""How stores are reached, on the command line: what no environment variable says."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from refscan.sources.options import StoreOptions

__all__ = ["add_store_options", "store_options"]


def add_store_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--anonymous``, ``--profile``, ``--requester-pays`` and ``--billing-project``."""
    stores = parser.add_argument_group("stores")
    stores.add_argument(
        "--anonymous", action="store_true", help="send no credentials, for public buckets (S3, GCS, Azure)"
    )
    stores.add_argument("--profile", metavar="NAME", help="a profile of the AWS configuration")
    stores.add_argument("--requester-pays", action="store_true", help="agree to pay for requests to S3")
    stores.add_argument("--billing-project", metavar="ID", help="the Google project that pays for requests to GCS")


def store_options(arguments: argparse.Namespace) -> tuple[StoreOptions, ...]:
    """Return the options that the arguments make."""
    from refscan.sources.options import AzureOptions, GCSOptions, S3Options  # noqa: PLC0415  --help needs none

    anonymous = arguments.anonymous
    return (
        S3Options(profile=arguments.profile, anonymous=anonymous, requester_pays=arguments.requester_pays),
        GCSOptions(anonymous=anonymous, user_project=arguments.billing_project),
        AzureOptions(anonymous=anonymous),
    )
