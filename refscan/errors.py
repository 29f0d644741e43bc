"""Everything refscan raises.

RefscanError
├── InvalidURIError (ValueError)            the text of a reference cannot be read
├── UnsupportedSchemeError (ValueError)     no source for this scheme
├── ObjectNotFoundError (FileNotFoundError) no object, bucket, file or version there
├── AccessDeniedError (PermissionError)     the store refuses, or no credentials were found
├── StoreError (OSError)                    the store cannot be reached or answers wrongly
│   └── ListingOrderError                   a listing broke the order it promises
├── MaxObjectsExceededError (ValueError)    more objects than ``max_objects`` allows
├── InvalidPathError (ValueError)           a path that cannot stand in an artifact or on disk
├── PathConflictError (ValueError)          two entries for one path
├── DigestMismatchError (ValueError)        the recorded bytes can no longer be had
├── ArtifactError (ValueError)              a draft is used against its rules
├── ResumeError (ValueError)                a directory does not hold the scan that is to go on
└── RegistryError (LookupError)             no such project, artifact, version or alias

Each error carries the URI it is about in ``uri`` (``None`` where there is none), without secrets.
"""

from __future__ import annotations

import re

__all__ = [
    "AccessDeniedError",
    "ArtifactError",
    "DigestMismatchError",
    "InvalidPathError",
    "InvalidURIError",
    "ListingOrderError",
    "MaxObjectsExceededError",
    "ObjectNotFoundError",
    "PathConflictError",
    "RefscanError",
    "RegistryError",
    "ResumeError",
    "StoreError",
    "UnsupportedSchemeError",
]


# A key may hold them, and then they would break the line, or steer the terminal that shows it.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class RefscanError(Exception):
    """Root of all errors that refscan raises on purpose.

    Args:
        message: One line that says what happened and what to do; control characters in it are escaped.
        uri: The URI it is about, already free of secrets.
    """

    def __init__(self, message: str, *, uri: str | None = None) -> None:
        super().__init__(_CONTROL.sub(lambda match: ascii(match[0])[1:-1], message))
        self.uri = uri


class InvalidURIError(RefscanError, ValueError):
    """The text of a reference cannot be read as a URI."""


class UnsupportedSchemeError(RefscanError, ValueError):
    """No source reads this scheme."""


class ObjectNotFoundError(RefscanError, FileNotFoundError):
    """There is no such object, bucket, file or version."""


class AccessDeniedError(RefscanError, PermissionError):
    """The store refuses the request, or no credentials were found."""


class StoreError(RefscanError, OSError):
    """The store cannot be reached, or answers what it should not."""


class ListingOrderError(StoreError):
    """A listing is not in the ascending key order that its source promises."""


class MaxObjectsExceededError(RefscanError, ValueError):
    """A reference holds more objects than ``max_objects`` allows."""


class InvalidPathError(RefscanError, ValueError):
    """A path cannot be an entry's path, or cannot be a file below a download root."""


class PathConflictError(RefscanError, ValueError):
    """Two entries claim one path, or one file."""


class DigestMismatchError(RefscanError, ValueError):
    """What is there now is not what was recorded, and the recorded bytes cannot be had."""


class ArtifactError(RefscanError, ValueError):
    """An artifact is used against its rules: another type, sealed, still being filled."""


class ResumeError(RefscanError, ValueError):
    """A scan cannot go on from this directory."""


class RegistryError(RefscanError, LookupError):
    """The registry has no such project, artifact, version or alias."""
