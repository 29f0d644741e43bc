"""Files of this machine: disks, NFS and whatever else is mounted."""

from refscan.sources.local.source import LocalSource

__all__ = ["LocalSource"]
