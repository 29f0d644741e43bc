"""What a location is: an object, a folder, a bucket, a pinned version, or nothing."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scan_adversaries import Handing, bucket, scanned, truth

import refscan
from refscan.errors import AccessDeniedError, ObjectNotFoundError
from refscan.sources.source import Capabilities, Page, page_rows

KEYS = ["pre", "pre.txt", "pre/", "pre/a", "pre/b/c", "pre0", "pre2/d", "prefix", "q/r", "q2/s", "w//x", "/", "//y"]


def keys_of(rows) -> list[object]:
    return [row["key"] for row in rows]


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("pre", ["pre"]),
        ("pre/", ["pre/", "pre/a", "pre/b/c"]),
        ("pre/b", ["pre/b/c"]),
        ("pre/a", ["pre/a"]),
        ("q", ["q/r"]),
        ("q/", ["q/r"]),
        ("q2", ["q2/s"]),
        ("w", ["w//x"]),
        ("w/", ["w//x"]),
        ("w//", ["w//x"]),
        ("/", ["/", "//y"]),
        ("//", ["//y"]),
        ("", sorted(KEYS)),
    ],
)
async def test_an_object_or_else_the_folder(key, expected):
    rows, _ = await scanned(bucket(KEYS), key)
    assert keys_of(rows) == expected


@given(key=st.text(st.sampled_from("ab/."), max_size=5), keys=st.sets(st.text(st.sampled_from("ab/."), min_size=1)))
@settings(max_examples=100)
async def test_the_rule_for_any_keys(key, keys):
    source = bucket(keys)
    if key and not key.endswith("/") and key in keys:
        expected = {key}
    else:
        prefix = key if not key or key.endswith("/") else key + "/"
        expected = {one for one in keys if one.startswith(prefix)}
    if expected:
        rows, scan = await scanned(source, key)
        assert keys_of(rows) == sorted(expected)
        assert rows == [row for row in truth(source) if row["key"] in expected]
        assert scan.receipt.prefix == (None if scan.found.rows is not None else scan.found.prefix)
    else:
        with pytest.raises(ObjectNotFoundError, match="nothing to reference: memory://scanned/"):
            await scanned(source, key)


async def test_an_object_is_not_listed_for():
    source = Handing(bucket(KEYS))
    _, scan = await scanned(source, "pre")
    assert (source.stats, source.listings) == (1, 0)
    assert (scan.receipt.prefix, scan.receipt.ranges, scan.receipt.objects) == (None, (), 1)


async def test_a_folder_is_not_asked_for_as_an_object():
    source = Handing(bucket(KEYS))
    _, scan = await scanned(source, "pre/")
    assert (source.stats, source.listings) == (0, 1)
    assert scan.receipt.prefix == "pre/"


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("none", r"memory://scanned/none is neither an object nor a folder with objects \('none/'\)"),
        ("none/", r"memory://scanned/none/ holds no objects"),
        ("pr", r"memory://scanned/pr is neither an object nor a folder with objects \('pr/'\)"),
        ("pre/a/", r"memory://scanned/pre/a/ holds no objects"),
    ],
)
async def test_where_nothing_is_the_error_says_so(key, says):
    with pytest.raises(FileNotFoundError, match=rf"^nothing to reference: {says}$") as caught:
        await scanned(bucket(KEYS), key)
    assert type(caught.value) is ObjectNotFoundError
    assert caught.value.uri == f"memory://scanned/{key}"


async def test_an_empty_bucket_says_so():
    with pytest.raises(ObjectNotFoundError, match=r"^nothing to reference: memory://scanned/ holds no objects$"):
        await scanned(bucket([]))


async def test_a_pin_gives_the_version_it_names():
    source = bucket([])
    first, second = source.put("k", b"one"), source.put("k", b"second")
    for pin, size in ((first, 3), (second, 6)):
        async with refscan.scan(f"memory://scanned/k?versionId={pin}") as scan:
            rows = [row for batch in [batch async for batch in scan] for row in batch.to_pylist()]
        assert [(row["key"], row["size"], row["version_id"]) for row in rows] == [("k", size, pin)]
        assert scan.receipt.version_id == pin
        assert scan.receipt.pinned == 1


async def test_a_pin_reads_an_object_that_is_deleted():
    source = bucket([])
    pin = source.put("k", b"one")
    source.delete("k")
    assert keys_of((await scanned(source, "k", pin=pin))[0]) == ["k"]
    with pytest.raises(ObjectNotFoundError):
        await scanned(source, "k")


async def test_a_pin_of_a_key_that_ends_in_a_slash_is_no_folder():
    source = bucket(["f/a"])
    pin = source.put("f/", b"content")
    assert keys_of((await scanned(source, "f/", pin=pin))[0]) == ["f/"]


async def test_a_pin_that_is_not_there_is_named():
    source = bucket(["k", "k/folder"])
    with pytest.raises(ObjectNotFoundError, match=r"^memory://scanned/k has no version '77'$") as caught:
        await scanned(source, "k", pin="77")
    assert caught.value.uri == "memory://scanned/k"


async def test_without_listings_it_is_one_object_or_nothing():
    source = Handing(bucket(["pre/", "pre/a"]), capabilities=Capabilities(listed=False))
    assert keys_of((await scanned(source, "pre/"))[0]) == ["pre/"]
    for missing in ("pre", "pre/b/"):
        with pytest.raises(ObjectNotFoundError, match="not found; check the URL"):
            await scanned(source, missing)
    assert source.listings == 0


class Unreadable(Handing):
    """Its objects may be listed and not be read."""

    async def _stat(self, keys, version_id):  # noqa: ARG002
        raise AccessDeniedError("memory://scanned/: no", uri="memory://scanned/")


@pytest.mark.parametrize(
    ("key", "prefix", "expected"),
    [("pre", None, ["pre"]), ("q", "q/", ["q/r"]), ("pre/b", "pre/b/", ["pre/b/c"]), ("w", "w/", ["w//x"])],
)
async def test_where_objects_may_only_be_listed_the_listing_tells(key, prefix, expected):
    rows, scan = await scanned(Unreadable(bucket(KEYS)), key)
    assert keys_of(rows) == expected
    assert scan.receipt.prefix == prefix


async def test_where_objects_may_only_be_listed_a_pin_is_denied():
    with pytest.raises(AccessDeniedError):
        await scanned(Unreadable(bucket(KEYS)), "pre", pin="1")


async def test_where_objects_may_only_be_listed_an_unordered_listing_does_not_tell():
    with pytest.raises(AccessDeniedError):
        await scanned(Unreadable(bucket(KEYS), capabilities=Capabilities(ordered=False)), "pre")


async def test_an_object_that_is_skipped_is_looked_for_as_a_folder():
    class Marker(Handing):
        async def _stat(self, keys, version_id):  # noqa: ARG002
            return Page(page_rows(key=[]), skipped={"folder_marker": 1})

    assert keys_of((await scanned(Marker(bucket(KEYS)), "pre"))[0]) == ["pre/", "pre/a", "pre/b/c"]
