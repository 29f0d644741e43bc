import base64
import hashlib
import os
from pathlib import Path

import pytest
from conformance.suite import SourceConformance

from refscan.sources.local import LocalSource
from refscan.uri import parse


class Folder:
    def __init__(self, root) -> None:
        self.root = str(root)

    def put(self, key: str, data: bytes) -> None:
        path = f"{self.root}/{key}"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)

    def delete(self, key: str) -> None:
        os.unlink(f"{self.root}/{key}")

    def source(self, *, page_size: int = 1_000) -> LocalSource:
        return LocalSource(root=self.root, page_size=page_size)


class TestLocalSource(SourceConformance):
    @pytest.fixture
    def store(self, tmp_path):
        (tmp_path / "100% of it").mkdir()
        return Folder(tmp_path / "100% of it")

    def allows(self, key: str) -> bool:
        names = key.split("/")
        return all(0 < len(name.encode()) < 256 and name not in (".", "..") for name in names)

    def digest_of(self, data: bytes) -> str:
        return base64.b64encode(hashlib.md5(data).digest()).decode()

    def uri_digest_of(self, ref: str) -> str:
        return self.digest_of(Path("/" + parse(ref).key).resolve().as_uri().encode())
