"""Keys of every kind, from a real S3 server and from disk, through put, export and get."""

import json
import os
import uuid

import boto3
import pytest
from botocore.config import Config
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from moto.server import ThreadedMotoServer

from refscan.cli.main import main
from refscan.download.plan import check_paths, target_of
from refscan.errors import InvalidPathError, PathConflictError
from refscan.manifest.schema import manifest_rows

# What URLs, XML, shells, file systems and other tools trip over. The server refuses a line feed in a key.
ALPHABET = [
    "/",
    "?",
    "#",
    "%",
    "%2F",
    " ",
    "+",
    "é",
    "中",
    "😀",
    "'",
    '"',
    "<",
    ">",
    "&",
    "&amp;",
    "\t",
    "\x01",
    "\x7f",
]
ALPHABET += ["a", "b", "0", "=", ":", "\\", "*", "?versionId=1", "..x", "pre", "\u2028", "\ufeff"]
KEYS = st.lists(st.sampled_from(ALPHABET), min_size=1, max_size=12).map("".join)
KEY_SETS = st.lists(KEYS, min_size=1, max_size=6, unique=True)
FEW = settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture(scope="module")
def s3_server():
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(s3_server, monkeypatch, tmp_path):
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_S3_ENDPOINT_URL", s3_server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    client = boto3.client(
        "s3", endpoint_url=s3_server, region_name="us-east-1", config=Config(s3={"addressing_style": "path"})
    )
    yield client
    client.close()


def new_bucket(s3, *, versioned: bool) -> str:
    bucket = f"bucket-{uuid.uuid4().hex}"
    s3.create_bucket(Bucket=bucket)
    if versioned:
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    return bucket


def refscan(tmp_path, *arguments: str) -> int:
    verb, *rest = arguments
    return main(["artifact", verb, "--registry", str(tmp_path / "registry"), *rest])


def export(tmp_path, name: str) -> list[dict]:
    output = tmp_path / f"{uuid.uuid4().hex}.jsonl"
    assert refscan(tmp_path, "export", "--format", "jsonl", "--output", str(output), name) == 0
    return [json.loads(line) for line in output.read_bytes().split(b"\n")[:-1]]


def can_be_files(paths: list[str]) -> bool:
    rows = manifest_rows(path=sorted(paths), digest=["x"] * len(paths))
    try:
        check_paths(lambda: [rows])
    except (InvalidPathError, PathConflictError):
        return False
    return True


def check_download(tmp_path, name: str, contents: dict[str, bytes]) -> None:
    root = tmp_path / uuid.uuid4().hex
    expected = 0 if can_be_files(list(contents)) else 1
    assert refscan(tmp_path, "get", "--root", str(root), name) == expected
    if expected == 0:
        found = {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}
        assert found == {target_of(path): data for path, data in contents.items()}
    else:
        assert not root.exists()


@pytest.mark.parametrize("versioned", [True, False])
@FEW
@given(keys=KEY_SETS)
def test_keys_of_every_kind_round_trip_on_s3(s3, tmp_path, versioned, keys):
    bucket = new_bucket(s3, versioned=versioned)
    contents = {key: b"content of " + key.encode() for key in keys}
    for key, data in contents.items():
        s3.put_object(Bucket=bucket, Key=key, Body=data)
    name = f"demo/{bucket}"

    assert refscan(tmp_path, "put", "--name", name, "--type", "dataset", f"s3://{bucket}") == 0

    rows = export(tmp_path, name)
    assert [row["path"] for row in rows] == sorted(keys)
    assert [row["ref"] for row in rows] == [f"s3://{bucket}/{key}" for key in sorted(keys)]
    assert all(("version_id" in row) == versioned for row in rows)
    check_download(tmp_path, name, contents)


@FEW
@given(keys=KEY_SETS)
def test_pinned_versions_of_every_key_survive_overwriting(s3, tmp_path, keys):
    bucket = new_bucket(s3, versioned=True)
    contents = {key: b"first " + key.encode() for key in keys}
    for key, data in contents.items():
        s3.put_object(Bucket=bucket, Key=key, Body=data)
    name = f"demo/{bucket}"
    assert refscan(tmp_path, "put", "--name", name, "--type", "dataset", f"s3://{bucket}/") == 0
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"second")
    s3.delete_object(Bucket=bucket, Key=keys[0])

    check_download(tmp_path, name, contents)
    assert refscan(tmp_path, "verify", name) == 0


@FEW
@given(key=KEYS)
def test_a_single_object_of_any_key_round_trips(s3, tmp_path, key):
    bucket = new_bucket(s3, versioned=True)
    version_id = s3.put_object(Bucket=bucket, Key=key, Body=b"first")["VersionId"]
    s3.put_object(Bucket=bucket, Key=key, Body=b"second")
    name = f"demo/{bucket}"

    pinned = f"s3://{bucket}/{key}?versionId={version_id}"
    assert refscan(tmp_path, "put", "--name", name, "--type", "dataset", pinned) == 0

    (row,) = export(tmp_path, name)
    assert (row["ref"], row["version_id"]) == (f"s3://{bucket}/{key}", version_id)
    check_download(tmp_path, name, {row["path"]: b"first"})


NAMES = st.lists(st.sampled_from([*ALPHABET, "\n", "\r", "."]), min_size=1, max_size=10).map("".join)


@FEW
@given(names=st.lists(NAMES, min_size=1, max_size=6, unique=True))
def test_names_of_every_kind_round_trip_on_disk(tmp_path, names):
    tree = tmp_path / uuid.uuid4().hex
    contents = {}
    for name in names:
        parts = [part for part in name.split("/") if part not in ("", ".", "..")]
        path = tree.joinpath(*parts)
        if not parts or path.is_dir() or any((tree.joinpath(*parts[:n])).is_file() for n in range(1, len(parts))):
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"content of " + name.encode())
        contents["/".join(parts)] = path.read_bytes()
    if not contents:
        return
    artifact = f"demo/{tree.name}"
    uri = f"file://{tree}"

    assert refscan(tmp_path, "put", "--name", artifact, "--type", "dataset", uri) == 0

    rows = export(tmp_path, artifact)
    assert [row["path"] for row in rows] == sorted(contents)
    check_download(tmp_path, artifact, contents)

    stored = f"{artifact}-stored"
    assert refscan(tmp_path, "put", "--name", stored, "--type", "dataset", str(tree)) == 0
    for path in contents:
        os.unlink(tree / path)
    check_download(tmp_path, stored, contents)
