"""``verify`` on other stores that keep versions, and on an S3 server that others made."""

import pytest
from servers.azure_service import BlobService, error
from servers.scripted import Forward, ScriptedServer, mend_key_marker, s3_error

ENOUGH = 20  # entries that are worth a page


def others(verification):
    return {row["path"]: row["status"] for rows in verification.others() for row in rows.to_pylist()}


class TestMoto:
    """The same on a server that others made."""

    @pytest.fixture
    async def mended(self, s3, aws):
        async with ScriptedServer(mend_key_marker(s3)) as server:
            aws.setenv("AWS_S3_ENDPOINT_URL", server.url)
            yield

    @pytest.mark.usefixtures("mended")
    async def test_versions(self, bucket, log):
        place = bucket()
        pins = {f"{number:02}": place.put(f"d/{number:02}", b"1") for number in range(ENOUGH)}
        place.put("d/50", b"1", StorageClass="GLACIER")
        version = await log(f"{place.uri}d/")
        assert others(await version.verify()) == {"50": "archived"}
        place.put("d/00", b"2")
        place.delete("d/01")
        place.client.delete_object(Bucket=place.name, Key="d/02", VersionId=pins["02"])
        place.delete("d/03")
        place.client.delete_object(Bucket=place.name, Key="d/03", VersionId=pins["03"])
        marker = place.client.delete_object(Bucket=place.name, Key="d/04")["VersionId"]
        expected = {"00": "superseded", "01": "delete_marked", "02": "missing", "03": "missing", "50": "archived"}
        found = await version.verify()
        assert others(found) == expected | {"04": "delete_marked"}
        assert found.checked_by == {"versions": ENOUGH + 1}
        place.client.delete_object(Bucket=place.name, Key="d/04", VersionId=marker)
        place.client.restore_object(Bucket=place.name, Key="d/50", RestoreRequest={"Days": 1})
        del expected["50"]
        assert others(await version.verify()) == expected

    async def test_no_versions(self, bucket, log):
        place = bucket(versioned=False)
        for number in range(ENOUGH):
            place.put(f"d/{number:02}", b"1")
        version = await log(f"{place.uri}d/")
        place.put("d/00", b"2")
        place.delete("d/01")
        found = await version.verify()
        assert others(found) == {"00": "changed", "01": "missing"}
        assert found.checked_by == {"listing": ENOUGH}

    @pytest.mark.usefixtures("mended")
    async def test_what_may_not_be_listed(self, bucket, log, s3, scripted_s3):
        place = bucket()
        for number in range(ENOUGH):
            place.put(f"d/{number:02}", b"1")
        version = await log(f"{place.uri}d/")
        place.put("d/00", b"2")
        place.delete("d/01")

        def script(request):
            return s3_error("AccessDenied") if request.lists_versions or request.lists_objects else Forward(s3)

        async with scripted_s3(script):
            found = await version.verify()
        assert others(found) == {"00": "superseded", "01": "delete_marked"}
        assert found.checked_by == {"request": ENOUGH}


class TestGoogle:
    @pytest.mark.parametrize("count", [3, ENOUGH])
    async def test_generations(self, gcs_bucket, log, count):
        place = gcs_bucket()
        for number in range(count):
            place.put(f"d/{number:02} é?#%", b"1")
        version = await log(f"{place.uri}d/")
        assert others(await version.verify()) == {}
        place.put("d/00 é?#%", b"22")
        place.delete("d/01 é?#%")
        found = await version.verify()
        assert others(found) == {"00 é?#%": "superseded", "01 é?#%": "delete_marked"}
        assert found.checked_by == {"versions" if count > 3 else "request": count}

    @pytest.mark.parametrize("count", [3, ENOUGH])
    async def test_without_object_versioning(self, gcs_bucket, log, count):
        place = gcs_bucket(versioned=False)
        for number in range(count):
            place.put(f"d/{number:02}", b"1")
        version = await log(f"{place.uri}d/")
        place.put("d/00", b"22")
        place.delete("d/01")
        assert others(await version.verify()) == {"00": "changed", "01": "missing"}


class TestAzure:
    @pytest.fixture
    async def place(self, azure_env):
        service = BlobService()
        async with ScriptedServer(service) as server:
            key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
            words = f"AccountName=devstoreaccount1;AccountKey={key};BlobEndpoint={server.url}/devstoreaccount1"
            azure_env.setenv("AZURE_STORAGE_CONNECTION_STRING", f"DefaultEndpointsProtocol=http;{words}")
            service.uri = f"{server.url}/devstoreaccount1/c/"
            yield service

    @pytest.mark.parametrize("arrow", ["spoken", "unknown"])
    @pytest.mark.parametrize("page_size", [1, 3, 5_000])
    async def test_versions(self, place, log, arrow, page_size):
        place.arrow = arrow
        paths = [f"{number:02} é?#%" for number in range(ENOUGH)]
        pins = {path: place.put(f"d/{path}", b"1") for path in paths}
        version = await log(f"{place.uri}d/")
        place.page_size = page_size
        assert others(await version.verify()) == {}
        for _ in range(4):
            place.put(f"d/{paths[0]}", b"22")
        place.delete(f"d/{paths[1]}")
        for path in paths[2:4]:
            place.put(f"d/{path}", b"22")
        place.versions = [v for v in place.versions if v.version_id not in (pins[paths[2]], pins[paths[4]])]
        found = await version.verify()
        assert others(found) == {
            paths[0]: "superseded",
            paths[1]: "delete_marked",
            paths[2]: "missing",
            paths[3]: "superseded",
            paths[4]: "missing",
        }
        if page_size == 5_000:
            assert found.checked_by == {"versions": ENOUGH}

    @pytest.mark.parametrize("arrow", ["spoken", "unknown"])
    async def test_archives_and_soft_deletes(self, place, log, arrow):
        place.arrow = arrow
        pins = {f"{number:02}": place.put(f"d/{number:02}", b"1") for number in range(ENOUGH)}
        version = await log(f"{place.uri}d/")
        place.put("d/00", b"22")
        place.change(pins["00"], deleted=True)
        place.change(pins["01"], tier="Archive")
        place.change(pins["02"], tier="Cool")
        assert others(await version.verify()) == {"00": "soft_deleted", "01": "archived"}

    async def test_a_service_that_lists_no_versions(self, place, log):
        pins = {f"{number:02}": place.put(f"d/{number:02}", b"1") for number in range(ENOUGH)}
        version = await log(f"{place.uri}d/")
        place.put("d/00", b"22")
        place.delete("d/01")
        place.versions = [v for v in place.versions if v.version_id != pins["02"]]
        place.refuses_versions = error("AuthorizationPermissionMismatch", 403)
        found = await version.verify()
        assert others(found) == {"00": "superseded", "01": "delete_marked", "02": "missing"}
        assert found.checked_by == {"request": ENOUGH}

    async def test_a_hierarchical_namespace_is_listed_again(self, place, log):
        place.hierarchical = True
        for number in range(ENOUGH):
            place.put(f"d/{number:02}", b"1")
        version = await log(f"{place.uri}d/")
        place.put("d/00", b"22")
        place.delete("d/01")
        found = await version.verify()
        assert others(found) == {"00": "changed", "01": "missing"}
        assert found.checked_by == {"listing": ENOUGH}

    async def test_a_container_without_versions(self, container, log):
        place = container()
        for number in range(ENOUGH):
            place.put(f"d/{number:02}", b"1")
        version = await log(f"{place.uri}d/")
        place.put("d/00", b"2")
        place.delete("d/01")
        found = await version.verify()
        assert others(found) == {"00": "changed", "01": "missing"}
        assert found.checked_by == {"versions": ENOUGH}
