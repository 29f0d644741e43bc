"""Directory buckets (S3 Express One Zone), which moto does not have as they are.

The scripted server keeps to the S3 user guide, "Differences for directory buckets", and the S3 API reference,
``ListObjectsV2`` and ``CreateSession``: no order, no ``start-after``, prefixes that end in a slash, no versions, and
credentials of their own.
"""

import pytest
from conformance.suite import read, stat_rows
from servers.s3 import header, signer
from servers.scripted import Answer, listing, s3_error

from refscan.errors import AccessDeniedError, ObjectNotFoundError, StoreError
from refscan.sources.options import S3Options
from refscan.sources.s3 import S3Source

NAME = "data--usw2-az1--x-s3"
KEYS = ["z/9", "dir/2", "dir/10", "a", "dir/1", "dir2/1", "directory", "z/1", "dir/2/x"]
SESSION = """<CreateSessionResult><Credentials><SessionToken>token</SessionToken><SecretAccessKey>s</SecretAccessKey>
<AccessKeyId>ZONALKEY</AccessKeyId><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></CreateSessionResult>"""


def express(keys=KEYS, *, page_size=2):
    def script(request):
        query = request.query
        if "session" in query:
            return Answer(SESSION.encode())
        if signer(request).access_key != "ZONALKEY" or header(request, "x-amz-s3session-token") != "token":
            return s3_error("AccessDenied")
        if not request.lists_objects:
            known = request.method in ("GET", "HEAD") and "versions" not in query and "versioning" not in query
            return (
                Answer(b"data", headers={"ETag": '"f3a1-random"'}) if known else s3_error("NotImplemented", status=501)
            )
        if "start-after" in query or not (query["prefix"] == "" or query["prefix"].endswith("/")):
            return s3_error("InvalidRequest", status=400)
        start = int(query.get("continuation-token", "0"))
        found = [key for key in keys if key.startswith(query["prefix"])]
        stop = start + page_size
        more = stop < len(found)
        return listing(found[start:stop], truncated=more, token=str(stop) if more else None)

    return script


async def listed(source: S3Source, prefix: str) -> list[str]:
    keys: list[str] = []
    page = await source.list_page(prefix)
    while True:
        keys += page.rows.column("key").to_pylist()
        assert page.next_after is None
        if page.token is None:
            return keys
        page = await source.list_page(prefix, token=page.token)


async def test_it_says_what_it_cannot():
    can = S3Source(NAME).capabilities
    assert (can.listed, can.ordered, can.walked, can.ranged, can.pinned) == (True, False, False, False, False)


@pytest.mark.parametrize("page_size", [1, 2, 100])
@pytest.mark.parametrize("prefix", ["", "dir/", "dir", "dir/1", "dir/2/", "z", "nothing", "nothing/"])
async def test_tokens_lead_through_all_pages(scripted_s3, prefix, page_size):
    async with scripted_s3(express(page_size=page_size)) as server, S3Source(NAME) as source:
        assert await listed(source, prefix) == [key for key in KEYS if key.startswith(prefix)]
        assert source.requests == len(server.requests)
    assert not any(request.lists_versions or request.asks_for_versioning for request in server.requests)


async def test_pages_are_complete_and_without_pins(scripted_s3):
    async with scripted_s3(express()), S3Source(NAME) as source:
        page = await source.list_page("")
        assert page.complete
        assert page.rows.column("version_id").null_count == page.rows.num_rows == 2
        # The ETag is no MD5, yet it is what the store identifies the bytes by.
        refs = source.refs(page.rows.column("key"))
        assert (await source.digests(page.rows, refs)).to_pylist() == page.rows.column("e_tag").to_pylist()


async def test_one_session_serves_all_requests(scripted_s3):
    async with scripted_s3(express()) as server, S3Source(NAME) as source:
        await listed(source, "")
        (row,) = await stat_rows(source, ["a"])
        assert (row["e_tag"], row["version_id"]) == ("f3a1-random", None)
        assert await read(source, "a", e_tag="f3a1-random") == b"data"
    assert [signer(request).access_key for request in server.requests].count("testing") == 1
    assert {signer(request).service for request in server.requests} == {"s3express"}


@pytest.mark.parametrize("after", ["", "a", "dir/10", "z/9"])
async def test_probe_finds_the_next_key(scripted_s3, after):
    async with scripted_s3(express()), S3Source(NAME) as source:
        assert await source.probe("", after=after) == min((key for key in KEYS if key > after), default=None)


async def test_amazons_own_host(aws, scripted_s3):
    """The tunnel's target is all that a proxy sees of https."""
    async with scripted_s3(lambda _: Answer(b"", 403)) as server:
        aws.delenv("AWS_S3_ENDPOINT_URL")
        aws.setenv("https_proxy", server.url)
        async with S3Source(NAME, S3Options(region="us-west-2")) as source:
            with pytest.raises(StoreError, match="proxy"):
                await source.list_page("")
    assert {request.target for request in server.requests} == {f"{NAME}.s3express-usw2-az1.us-west-2.amazonaws.com:443"}


async def test_the_region_is_part_of_its_address(aws):
    aws.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(StoreError, match="set AWS_REGION"):
        async with S3Source(NAME):
            pass


async def test_a_session_that_is_denied(scripted_s3):
    async with scripted_s3(lambda _: s3_error("AccessDenied")), S3Source(NAME) as source:
        with pytest.raises(AccessDeniedError, match="s3express:CreateSession"):
            await source.list_page("")
        with pytest.raises(AccessDeniedError, match="s3express:CreateSession"):
            await stat_rows(source, ["a"])


async def test_a_missing_bucket(scripted_s3):
    async with scripted_s3(lambda _: s3_error("NoSuchBucket", status=404)), S3Source(NAME) as source:
        with pytest.raises(ObjectNotFoundError, match="no such bucket"):
            await source.list_page("")


async def test_more_without_a_token_is_an_error(scripted_s3):
    def script(request):
        return listing(["b", "a"], truncated=True) if request.lists_objects else express()(request)

    async with scripted_s3(script), S3Source(NAME) as source:
        with pytest.raises(StoreError, match="there is more, and not where"):
            await source.list_page("")
