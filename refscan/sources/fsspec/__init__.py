"""File systems of fsspec, with the extra ``refscan[fsspec]``."""

from refscan.sources.fsspec.source import FsspecSource

__all__ = ["FsspecSource"]
