import pytest
from conformance.suite import ConnectionConformance, PinnedConformance, SourceConformance
from servers.scripted import ScriptedServer, Stall, deny_versions, mend_key_marker, versioning

from refscan.sources.s3 import S3Source


class S3Store:
    def __init__(self, bucket) -> None:
        self.bucket = bucket
        self.put = bucket.put
        self.delete = bucket.delete

    def source(self, *, page_size: int = 1_000) -> S3Source:
        return S3Source(self.bucket.name, page_size=page_size)


class TestVersionedBucket(PinnedConformance, SourceConformance):
    @pytest.fixture
    async def store(self, bucket, s3, aws):
        async with ScriptedServer(mend_key_marker(s3)) as server:
            aws.setenv("AWS_S3_ENDPOINT_URL", server.url)
            yield S3Store(bucket())

    @pytest.mark.usefixtures("tree")
    async def test_pages_are_complete(self, source):
        assert (await source.list_page("")).complete
        assert source.requests == 2  # one asks whether there are versions


class TestBucketWithoutVersions(SourceConformance):
    @pytest.fixture
    def store(self, bucket):
        return S3Store(bucket(versioned=False))

    @pytest.mark.usefixtures("tree")
    async def test_pages_are_complete(self, source):
        assert (await source.list_page("")).complete
        assert source.requests == 2


class TestVersionsMayNotBeListed(PinnedConformance, SourceConformance):
    @pytest.fixture
    async def store(self, bucket, s3, aws):
        async with ScriptedServer(deny_versions(s3)) as server:
            aws.setenv("AWS_S3_ENDPOINT_URL", server.url)
            yield S3Store(bucket())

    @pytest.mark.usefixtures("tree")
    async def test_pages_want_a_stat(self, source):
        assert not (await source.list_page("")).complete


@pytest.mark.parametrize("operation", ["list", "probe", "open"])
@pytest.mark.parametrize("status", ["Enabled", None])
class TestS3Connections(ConnectionConformance):
    @pytest.fixture
    async def stalling(self, aws, status):
        def script(request):
            return versioning(status) if request.asks_for_versioning else Stall(b"<ListBucketResult><Name>")

        async with ScriptedServer(script) as server:
            aws.setenv("AWS_S3_ENDPOINT_URL", server.url)
            yield S3Source("bucket"), server
