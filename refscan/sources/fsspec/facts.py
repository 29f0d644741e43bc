"""What an fsspec file system tells of a file, in refscan's words. Nothing is invented: unknown is ``None``.

The ``info`` of every file system has ``name``, ``size`` and ``type``
(https://filesystem-spec.readthedocs.io/en/latest/api.html, ``AbstractFileSystem.info``); all else has a name of its
own in each.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

import pyarrow as pa

from refscan.sources.source import page_rows

__all__ = ["Facts", "facts_of", "is_folder", "is_link", "is_plain_file", "rows_of"]


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Facts(NamedTuple):
    """Facts of one file, as in ``PAGE_SCHEMA``."""

    size: int | None
    e_tag: str | None
    checksum: str | None
    last_modified: datetime | None

    @property
    def digest(self) -> str | None:
        """Identity of the content, as well as it is told: the ETag, else the checksum, else ``SIZE-TIME``.

        The time is that of the last change, in microseconds since 1970.
        """
        if self.e_tag is not None or self.checksum is not None:
            return self.e_tag or self.checksum
        if self.size is None or self.last_modified is None:
            return None
        return f"{self.size}-{(self.last_modified - _EPOCH) // timedelta(microseconds=1)}"


# The last ones are names that Git gives to a content: Hugging Face, GitHub.
_E_TAGS = ("ETag", "etag", "e_tag", "eTag", "Etag", "blob_id", "sha")
# The best first: name, algorithm, bytes.
_CHECKSUMS = (
    ("sha256", "sha256", 32),
    ("SHA256", "sha256", 32),
    ("md5", "md5", 16),
    ("MD5", "md5", 16),
    ("md5Hash", "md5", 16),
    ("md5Checksum", "md5", 16),
    ("md5_hash", "md5", 16),
    ("content_md5", "md5", 16),
    ("Content-MD5", "md5", 16),
    ("sha1", "sha1", 20),
    ("crc32c", "crc32c", 4),
    ("CRC", "crc32", 4),  # of zip
)
# ``modify`` is FTP's (RFC 3659, section 7.5.3), ``modificationTime`` is in milliseconds and WebHDFS's
# (https://hadoop.apache.org/docs/stable/hadoop-project-dist/hadoop-hdfs/WebHDFS.html#FileStatus_Properties).
_TIMES = (
    "mtime",
    "last_modified",
    "LastModified",
    "Last-Modified",
    "lastModified",
    "modified",
    "modifiedTime",
    "updated",
    "modify",
    "modificationTime",
)
_FTP_TIME = re.compile(r"(\d{14})(?:\.(\d{1,6})\d*)?")
_HEX = re.compile(r"[0-9A-Fa-f]+")


def facts_of(info: Mapping[str, Any]) -> Facts:
    """Return the facts of one file."""
    return Facts(_size(info.get("size")), _e_tag(info), _checksum(info), _last_modified(info))


def is_folder(info: Mapping[str, Any]) -> bool:
    """Tell whether it is a folder, and no link to one."""
    return str(info.get("type")) in ("directory", "dir") and not is_link(info)


def is_link(info: Mapping[str, Any]) -> bool:
    """Tell whether it is a symbolic link that the listing has not followed."""
    # Listings of the ``ls -l`` kind name a link a file.
    return info.get("type") == "link" or info.get("islink") is True or str(info.get("unix.mode", ""))[:1] == "l"


def is_plain_file(info: Mapping[str, Any]) -> bool:
    """Tell whether it is a file, and nothing like a socket or a device."""
    return info.get("type") == "file" and str(info.get("unix.mode", "-"))[:1] not in ("l", "b", "c", "p", "s")


def rows_of(keys: Iterable[str], facts: Iterable[Facts]) -> pa.RecordBatch:
    """Return rows of ``PAGE_SCHEMA``."""
    found = list(facts)
    return page_rows(
        key=list(keys),
        size=[one.size for one in found],
        e_tag=[one.e_tag for one in found],
        checksum=[one.checksum for one in found],
        last_modified=[one.last_modified for one in found],
    )


def _size(value: object) -> int | None:
    if isinstance(value, str) and value.isdecimal():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _e_tag(info: Mapping[str, Any]) -> str | None:
    for name in _E_TAGS:
        value = info.get(name)
        if isinstance(value, str) and value.strip('"'):
            return value[1:-1] if value[0] == value[-1] == '"' else value
    return None


def _checksum(info: Mapping[str, Any]) -> str | None:
    large = info.get("lfs")  # Hugging Face keeps the SHA-256 of large files there
    for name, algorithm, length in _CHECKSUMS:
        value = info.get(name)
        if value is None and isinstance(large, Mapping):
            value = large.get(name)
        if (raw := _raw(value, length)) is not None:
            return f"{algorithm}:{base64.b64encode(raw).decode()}"
    return None


def _raw(value: object, length: int) -> bytes | None:
    """Return the checksum's bytes: given as such, as a number, in hexadecimal or in base64."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 8 * length:
        return value.to_bytes(length, "big")
    if isinstance(value, str):
        if len(value) == 2 * length and _HEX.fullmatch(value):
            return bytes.fromhex(value)
        try:
            value = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            return None
    return bytes(value) if isinstance(value, (bytes, bytearray)) and len(value) == length else None


def _last_modified(info: Mapping[str, Any]) -> datetime | None:
    for name in _TIMES:
        value = info.get(name)
        if value is not None and (time := _time(name, value)) is not None:
            return time
    return None


def _time(name: str, value: object) -> datetime | None:
    try:
        if name == "modify":
            return _ftp_time(str(value))
        if isinstance(value, str):
            return _utc(datetime.fromisoformat(value) if value[:1].isdecimal() else parsedate_to_datetime(value))
        if isinstance(value, datetime):
            return _utc(value)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return _EPOCH + timedelta(seconds=value / 1_000 if name == "modificationTime" else value)
    except (ValueError, OverflowError):
        pass  # a text of another form, or a time that no calendar has
    return None


def _ftp_time(text: str) -> datetime | None:
    match = _FTP_TIME.fullmatch(text)
    if match is None:
        return None  # what ``ls -l`` shows knows no zone, and no year or no minute
    return datetime.strptime(match[1], "%Y%m%d%H%M%S").replace(
        microsecond=int((match[2] or "0").ljust(6, "0")), tzinfo=UTC
    )


def _utc(time: datetime) -> datetime:
    """Return an aware time; one without a zone is taken for UTC, which stores mean by it."""
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
