"""File systems of fsspec through the whole house: recorded, downloaded, verified, and nowhere a password."""

import os
from urllib.parse import quote

import pytest
from servers import ftp, sftp

import refscan
from refscan import Artifact, DigestMismatchError, FsspecOptions, MaxObjectsExceededError, ObjectNotFoundError

FILES = {"a.txt": b"one", "a/b c": b"two", "a/deep/odd?x=1#%20": b"three", "a2/x": b"", "z": b"four"}
LOGIN = f"{sftp.USER}:{quote(sftp.PASSWORD, safe='')}"


@pytest.fixture(params=["ftp", "sftp"])
def server(request, tmp_path, monkeypatch):
    """A real server with ``FILES``, and its scheme."""
    monkeypatch.setenv("HOME", str(tmp_path))
    root = tmp_path / "root"
    for number, (key, data) in enumerate(FILES.items()):
        path = root / "data" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        os.utime(path, (1_700_000_000 + number,) * 2)
    with {"ftp": ftp, "sftp": sftp}[request.param].Served(root) as served:
        served.scheme = request.param
        yield served


async def rows_of(scanned) -> list[dict]:
    return [row async for batch in scanned for row in batch.to_pylist()]


async def test_a_scan_gives_all_keys_in_order(server):
    uri = f"{server.scheme}://{LOGIN}@127.0.0.1:{server.port}/data"
    async with refscan.scan(uri) as scan:
        rows = await rows_of(scan)
        assert {row["key"]: row["size"] for row in rows} == {f"data/{key}": len(FILES[key]) for key in FILES}
        assert [row["key"] for row in rows] == sorted(row["key"] for row in rows)
        assert scan.receipt.objects == len(FILES)
        assert scan.receipt.uri == f"{server.scheme}://ada@127.0.0.1:{server.port}/data"
        assert not any(secret in repr(scan.receipt) for secret in (sftp.PASSWORD, LOGIN))
    async with refscan.scan(f"{uri}/a/b c") as scan:
        assert [row["key"] for row in await rows_of(scan)] == ["data/a/b c"]


async def test_more_than_allowed_is_refused(server):
    uri = f"{server.scheme}://{LOGIN}@127.0.0.1:{server.port}/data"
    with pytest.raises(MaxObjectsExceededError):
        async with refscan.scan(uri, max_objects=3) as scan:
            await rows_of(scan)


async def test_what_is_not_there_is_an_error_without_the_password(server):
    uri = f"{server.scheme}://{LOGIN}@127.0.0.1:{server.port}/missing"
    with pytest.raises(ObjectNotFoundError) as caught:
        async with refscan.scan(uri) as scan:
            await rows_of(scan)
    assert not any(secret in str(caught.value) for secret in (sftp.PASSWORD, LOGIN))


async def test_what_is_recorded_is_downloaded_and_verified(server, tmp_path):
    options = FsspecOptions(storage_options={"password": sftp.PASSWORD})
    async with refscan.init(project="demo", options=options) as run:
        artifact = Artifact("data", type="dataset")
        await artifact.add_reference(f"{server.scheme}://{LOGIN}@127.0.0.1:{server.port}/data", options=options)
        version = await run.log_artifact(artifact)
        assert (await version.verify()).ok
        await version.download(tmp_path / "out")
        found = {key: (tmp_path / "out" / key).read_bytes() for key in FILES}
        assert found == FILES
        os.utime(server.root / "data" / "z", (1, 1))
        (tmp_path / "root" / "data" / "a2" / "x").unlink()
        problems = (await version.verify()).problems.to_pylist()
        assert {row["path"]: row["status"] for row in problems} == {"z": "changed", "a2/x": "missing"}
    assert os.stat(server.root / "data" / "z").st_size == len(FILES["z"])
    with pytest.raises(DigestMismatchError, match="/z"):
        await version.download(tmp_path / "again", path_prefix="z", options=options)
    recorded = b"".join(path.read_bytes() for path in (tmp_path / "registry").rglob("*") if path.is_file())
    assert b"ada@127.0.0.1" in recorded
    assert sftp.PASSWORD.encode() not in recorded
    assert LOGIN.encode() not in recorded
