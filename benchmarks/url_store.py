"""What a web server answers to HEAD and GET of its files."""

from __future__ import annotations

from urllib.parse import unquote

from bucket import Bucket
from wire import response

__all__ = ["URLStore"]

_HTTP_DATE = "%a, %d %b %Y %H:%M:%S GMT"
_LARGEST = 4_096


class URLStore:
    """Every key of the bucket as a path; files of at most 4 KiB of zeros."""

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket

    def answer(self, method: str, target: str, head: bytes) -> bytes:
        """See ``Store.answer``."""
        del head
        key = unquote(target.partition("?")[0][1:])
        index = self.bucket.find(key)
        if index is None:
            return response("404 Not Found", kind="text/plain")
        row = self.bucket.row(index)
        size = row.size % _LARGEST
        more = (
            f'ETag: "{row.digest}"\r\nLast-Modified: {row.last_modified.strftime(_HTTP_DATE)}\r\n'
            "Accept-Ranges: bytes\r\nServer: nginx\r\n"
        )
        body = b"" if method == "HEAD" else bytes(size)
        return response("200 OK", body, kind="application/octet-stream", length=size, more=more)
