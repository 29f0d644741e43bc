import base64
import hashlib

import pytest
from conformance.suite import ConnectionConformance, PinnedConformance, SourceConformance
from servers.scripted import ScriptedServer, Stall

from refscan.sources.gcs import GCSSource


class GCSStore:
    def __init__(self, bucket) -> None:
        self.bucket = bucket
        self.put = bucket.put
        self.delete = bucket.delete

    def source(self, *, page_size: int = 1_000) -> GCSSource:
        return GCSSource(self.bucket.name, page_size=page_size)


class TestGCSBucket(PinnedConformance, SourceConformance):
    @pytest.fixture
    def store(self, gcs_bucket):
        return GCSStore(gcs_bucket())

    def digest_of(self, data: bytes) -> str:
        # The ETag, which is the MD5 here; Google's own tells nothing of the content.
        return base64.b64encode(hashlib.md5(data).digest()).decode()

    @pytest.mark.usefixtures("tree")
    async def test_pages_are_complete(self, source):
        page = await source.list_page("")
        assert page.complete
        assert page.rows.column("checksum").null_count == 0
        assert source.requests == 1


@pytest.mark.parametrize("operation", ["list", "probe", "open"])
class TestGCSConnections(ConnectionConformance):
    @pytest.fixture
    async def stalling(self, gcs_env):
        async with ScriptedServer(lambda _: Stall(b'{"kind":"storage#objects"')) as server:
            gcs_env.setenv("STORAGE_EMULATOR_HOST", server.url)
            yield GCSSource("bucket"), server
