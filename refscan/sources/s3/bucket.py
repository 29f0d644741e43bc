"""What can stand in a bucket's place, and what each kind lacks: told by the name alone."""

from __future__ import annotations

import re
from enum import Enum

__all__ = ["BucketKind", "kind_of"]

_ALIAS = re.compile(r".+-(?:s3alias|-ol-s3)")


class BucketKind(Enum):
    """Kinds of what S3 lets stand as ``Bucket``."""

    BUCKET = "a general purpose bucket"
    ACCESS_POINT = "an access point, which knows nothing of its bucket's settings"
    DIRECTORY = "a directory bucket: unordered listings by token, prefixes that end in a slash, no versions"


def kind_of(bucket: str) -> BucketKind:
    """Tell the kind of a bucket by its name.

    Sources: the S3 user guide, "Access point compatibility" (``GetBucketVersioning`` is not among the operations),
    "Access point aliases", "Differences for directory buckets" and "Directory bucket naming rules".
    """
    if bucket.endswith(("--x-s3", "--xa-s3")):
        return BucketKind.DIRECTORY
    if bucket.startswith("arn:") or _ALIAS.fullmatch(bucket):
        return BucketKind.ACCESS_POINT
    return BucketKind.BUCKET
