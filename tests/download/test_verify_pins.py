"""``verify`` of S3 buckets that keep versions: every pin by listings of all of these, or by requests where they pay."""

import random

import pytest
from conformance.keys import ODD_KEYS
from servers.s3_service import S3Service
from servers.scripted import s3_error

from refscan import AccessDeniedError
from refscan.download.cost import HEADS_FOR_A_PAGE
from refscan.download.stretch import MOST_ENTRIES

ENOUGH = HEADS_FOR_A_PAGE + 10  # entries that are worth a page


def others(verification):
    return {row["path"]: row["status"] for rows in verification.others() for row in rows.to_pylist()}


def problems(verification):
    return {row["path"]: row["status"] for row in verification.problems.to_pylist()}


@pytest.fixture
async def service(scripted_s3):
    service = S3Service()
    async with scripted_s3(service):
        yield service


async def log_bucket(service, log, uri="s3://b/d/"):
    version = await log(uri, max_objects=None)
    service.asked.clear()
    return version


def fill(service, count, prefix="d/", first=0):
    return {f"{number:05}": service.put(f"{prefix}{number:05}", b"1") for number in range(first, first + count)}


class TestS3:
    async def test_each_status(self, service, log):
        pins = fill(service, ENOUGH)
        version = await log_bucket(service, log)
        service.put("d/00000", b"22")
        service.put("d/00001", None)
        service.remove("d/00002", pins["00002"])
        service.put("d/00003", b"3")
        service.remove("d/00003", pins["00003"])
        service.put("d/00004", None)
        service.remove("d/00004", pins["00004"])
        for number, storage_class in enumerate(["GLACIER", "DEEP_ARCHIVE", "GLACIER_IR", "STANDARD_IA"], 5):
            service.change(f"d/{number:05}", pins[f"{number:05}"], storage_class=storage_class)
        service.put("d/new", b"new")
        found = await version.verify()
        assert others(found) == {
            "00000": "superseded",
            "00001": "delete_marked",
            "00002": "missing",
            "00003": "missing",
            "00004": "missing",
            "00005": "archived",
            "00006": "archived",
        }
        assert problems(found) == {path: status for path, status in others(found).items() if path > "00001"}
        assert not found.ok
        assert found.counts == {
            "present": ENOUGH - 7,
            "superseded": 1,
            "delete_marked": 1,
            "archived": 2,
            "missing": 3,
        }
        assert (found.checked, found.checked_by) == (ENOUGH, {"versions": ENOUGH})
        assert sorted(service.asked) == ["head", "head", "versioning", "versions"], "one HEAD for each archived one"

    @pytest.mark.parametrize("count", [1, ENOUGH])
    async def test_requests_say_the_same_as_a_listing(self, service, log, count):
        """A lone entry is asked for; among many it is listed."""
        pins = fill(service, count)
        version = await log_bucket(service, log)
        pin = pins["00000"]
        expected = "request" if count == 1 else "versions"

        async def status():
            found = await version.verify()
            assert found.checked_by == {expected: count}
            return others(found).get("00000", "present")

        assert await status() == "present"
        service.change("d/00000", pin, storage_class="GLACIER")
        assert await status() == "archived"
        service.change("d/00000", pin, restore='ongoing-request="true"')
        assert await status() == "archived"
        service.change("d/00000", pin, restore='ongoing-request="false", expiry-date="Fri, 21 Dec 2035 00:00:00 GMT"')
        assert await status() == "present"
        newer = service.put("d/00000", b"2")
        assert await status() == "superseded"
        marker = service.put("d/00000", None)
        assert await status() == "delete_marked"
        service.remove("d/00000", marker)
        assert await status() == "superseded"
        service.remove("d/00000", newer)
        assert await status() == "present"
        service.remove("d/00000", pin)
        assert await status() == "missing"

    async def test_ten_thousand_take_ten_pages(self, service, log):
        pins = fill(service, 10_000)
        version = await log_bucket(service, log)
        for number in range(0, 10_000, 100):
            service.put(f"d/{number:05}", b"22")
        service.remove("d/00777", pins["00777"])
        found = await version.verify()
        assert (found.checked, found.counts) == (10_000, {"present": 9_899, "superseded": 100, "missing": 1})
        assert service.asked.count("versions") <= 11
        assert len(service.asked) <= 11 + 1 + 20, "what stands across a page's end is asked for"

    async def test_many_stretches(self, service, log):
        fill(service, 2 * MOST_ENTRIES + 500, first=MOST_ENTRIES // 2)
        version = await log_bucket(service, log)
        found = await version.verify()
        assert (found.ok, found.counts) == (True, {"present": 20_500})
        assert service.asked.count("versions") <= 21
        assert set(service.asked) == {"versions", "versioning"}

    @pytest.mark.parametrize("page_size", [1, 2, 3, 7, 100])
    async def test_wherever_pages_end(self, service, log, page_size):
        chance = random.Random(page_size)
        pins = fill(service, 60)
        version = await log_bucket(service, log)
        expected = {}
        for path, pin in pins.items():
            change = chance.choice(["", "superseded", "delete_marked", "missing", "missing"])
            for _ in range(chance.randrange(1, 4) if change else 0):
                service.put(f"d/{path}", b"22")
            if change == "delete_marked":
                service.put(f"d/{path}", None)
            if change == "missing":
                service.remove(f"d/{path}", pin)
            expected |= {path: change} if change else {}
        service.page_size = page_size
        assert others(await version.verify()) == expected

    async def test_odd_keys(self, service, log):
        keys = [key for key in ODD_KEYS if key and not key.endswith("/")]
        assert len(keys) > ENOUGH
        pins = {key: service.put(f"d/{key}", key.encode()) for key in keys}
        version = await log_bucket(service, log)
        assert others(await version.verify()) == {}
        for key in keys[::2]:
            service.put(f"d/{key}", b"other")
        for key in keys[::3]:
            service.remove(f"d/{key}", pins[key])
        found = await version.verify()
        gone = dict.fromkeys(keys[::3], "missing")
        assert others(found) == dict.fromkeys(keys[::2], "superseded") | gone
        assert found.checked_by == {"versions": len(keys)}

    async def test_few_entries_among_many_objects_are_asked_for(self, service, log):
        fill(service, 12_000)
        version = await log(*((f"s3://b/d/{number:05}", f"{number}") for number in range(0, 12_000, 600)))
        service.asked.clear()
        found = await version.verify()
        assert (found.ok, found.checked) == (True, 20)
        assert service.asked.count("versions") <= 2, "the first pages show that there is too much between them"
        assert found.checked_by["request"] > 10

    async def test_many_single_references_are_listed(self, service, log):
        fill(service, 100)
        version = await log(*(f"s3://b/d/{number:05}" for number in range(100)))
        service.asked.clear()
        found = await version.verify()
        assert (found.ok, found.checked_by) == (True, {"versions": 100})
        assert sorted(service.asked) == ["versioning", "versions"]

    async def test_old_versions_by_the_thousand_are_no_reason_to_list_on(self, service, log):
        fill(service, 200)
        version = await log_bucket(service, log)
        for number in range(200):
            for _ in range(100):
                service.put(f"d/{number:05}", b"22")
        service.page_size = 100
        found = await version.verify()
        assert found.counts == {"superseded": 200}
        assert service.asked.count("versions") < 200
        assert len(service.asked) < 650

    async def test_versions_that_may_not_be_listed(self, service, log):
        pins = fill(service, ENOUGH)
        version = await log_bucket(service, log)
        service.put("d/00000", b"22")
        service.remove("d/00001", pins["00001"])
        service.denies_versions = True
        found = await version.verify()
        assert others(found) == {"00000": "superseded", "00001": "missing"}
        assert found.checked_by == {"request": ENOUGH}
        assert service.asked.count("versions") <= 2, "the SDK asks once more"

    async def test_a_refusal_is_remembered(self, service, log):
        for folder in range(60):
            fill(service, HEADS_FOR_A_PAGE, f"d{folder:02}/")
        version = await log(*((f"s3://b/d{folder:02}/", f"{folder}") for folder in range(60)))
        service.asked.clear()
        service.denies_versions = True
        assert (await version.verify()).checked_by == {"request": 600}
        assert service.asked.count("versions") < 60, "no more than were under way when the first was refused"

    async def test_a_bucket_that_was_never_versioned(self, service, log):
        service.status = None
        fill(service, ENOUGH)
        version = await log_bucket(service, log)
        service.put("d/00000", b"22")
        service.put("d/00001", b"2")
        del service.keys["d/00002"]
        found = await version.verify()
        assert others(found) == {"00000": "changed", "00001": "changed", "00002": "missing"}
        assert found.checked_by == {"listing": ENOUGH}
        assert service.asked.count("objects") == 1

    async def test_a_bucket_that_became_versioned(self, service, log):
        """What has no pin is read without one: only what is current counts."""
        service.status = None
        fill(service, ENOUGH)
        version = await log_bucket(service, log)
        service.status = "Enabled"
        service.put("d/00000", b"22")
        service.put("d/00001", None)
        found = await version.verify()
        assert others(found) == {"00000": "changed", "00001": "missing"}
        assert found.checked_by == {"versions": ENOUGH}

    async def test_a_version_overwritten_in_place(self, service, log):
        """The version ``null`` of a bucket whose versioning was suspended."""
        fill(service, ENOUGH)
        service.keys["d/00000"] = [service.keys["d/00000"][0].__class__("null", b"first")]
        version = await log_bucket(service, log)
        service.keys["d/00000"] = [service.keys["d/00000"][0].__class__("null", b"again")]
        assert others(await version.verify()) == {"00000": "changed"}

    async def test_a_bucket_that_went(self, service, log, scripted_s3):
        fill(service, ENOUGH)
        version = await log_bucket(service, log)
        async with scripted_s3(lambda _: s3_error("NoSuchBucket", status=404)):
            found = await version.verify()
        assert found.counts == {"missing": ENOUGH}

    async def test_nothing_may_be_read(self, service, log, scripted_s3):
        fill(service, ENOUGH)
        version = await log_bucket(service, log)
        async with scripted_s3(lambda _: s3_error("AccessDenied")):
            with pytest.raises(AccessDeniedError, match="s3://b/d/"):
                await version.verify()

    async def test_a_store_without_order_is_asked(self, service, log):
        pins = fill(service, ENOUGH)
        version = await log_bucket(service, log)
        service.remove("d/00003", pins["00003"])
        listed = service._rows
        service._rows = lambda *place, **kind: reversed(list(listed(*place, **kind)))
        found = await version.verify()
        assert (others(found), found.checked_by) == ({"00003": "missing"}, {"request": ENOUGH})

    async def test_the_same_folder_twice_and_its_parent(self, service, log):
        pins = fill(service, ENOUGH)
        version = await log(("s3://b/d/", "x"), ("s3://b/d/", "y"), ("s3://b", "all"), ("s3://b/d/00001", "one"))
        service.remove("d/00001", pins["00001"])
        found = await version.verify()
        assert others(found) == dict.fromkeys(["all/d/00001", "one", "x/00001", "y/00001"], "missing")
        assert found.checked == 3 * ENOUGH + 1

    async def test_rows_beside_what_is_present(self, service, log):
        pins = fill(service, ENOUGH)
        version = await log_bucket(service, log)
        rows = next(version.batches())
        assert (await version.verify()).statuses(rows).to_pylist() == ["present"] * ENOUGH
        service.remove("d/00001", pins["00001"])
        found = await version.verify()
        assert found.statuses(rows).to_pylist()[:3] == ["present", "missing", "present"]
        assert found.first_problems(0).num_rows == 0
        assert found.first_problems(5).to_pylist() == [
            {"path": "00001", "ref": "s3://b/d/00001", "version_id": pins["00001"], "status": "missing"}
        ]
