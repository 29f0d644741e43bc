"""S3 and everything that speaks its protocol."""

from refscan.sources.s3.source import S3Source

__all__ = ["S3Source"]
