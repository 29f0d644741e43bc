"""HTTP servers: single URLs, and directory indexes."""

from refscan.sources.http.source import HTTPSource

__all__ = ["HTTPSource"]
