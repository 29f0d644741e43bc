"""Google Cloud Storage."""

from refscan.sources.gcs.source import GCSSource

__all__ = ["GCSSource"]
