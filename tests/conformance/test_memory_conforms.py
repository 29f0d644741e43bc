import uuid

import pytest
from conformance.suite import PinnedConformance, SourceConformance

from refscan.sources.memory import MemorySource


class MemoryStore:
    def __init__(self) -> None:
        self.bucket = MemorySource(f"test-{uuid.uuid4().hex}")
        self.put = self.bucket.put
        self.delete = self.bucket.delete

    def source(self, *, page_size: int = 1_000) -> MemorySource:
        self.bucket.page_size = page_size
        return self.bucket


class TestMemorySource(PinnedConformance, SourceConformance):
    @pytest.fixture
    def store(self):
        return MemoryStore()
