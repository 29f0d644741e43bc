"""Keys of every kind, from a real S3 server and from disk, through put, export and get."""

import json
import os
import uuid

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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
def test_keys_of_every_kind_round_trip_on_s3(bucket, tmp_path, versioned, keys):
    fresh = bucket(versioned=versioned)
    contents = {key: b"content of " + key.encode() for key in keys}
    for key, data in contents.items():
        fresh.put(key, data)
    name = f"demo/{fresh.name}"

    assert refscan(tmp_path, "put", "--name", name, "--type", "dataset", f"s3://{fresh.name}") == 0

    rows = export(tmp_path, name)
    assert [row["path"] for row in rows] == sorted(keys)
    assert [row["ref"] for row in rows] == [f"s3://{fresh.name}/{key}" for key in sorted(keys)]
    assert all(("version_id" in row) == versioned for row in rows)
    check_download(tmp_path, name, contents)


@FEW
@given(keys=KEY_SETS)
def test_pinned_versions_of_every_key_survive_overwriting(bucket, tmp_path, keys):
    fresh = bucket()
    contents = {key: b"first " + key.encode() for key in keys}
    for key, data in contents.items():
        fresh.put(key, data)
    name = f"demo/{fresh.name}"
    assert refscan(tmp_path, "put", "--name", name, "--type", "dataset", f"s3://{fresh.name}/") == 0
    for key in keys:
        fresh.put(key, b"second")
    fresh.delete(keys[0])

    check_download(tmp_path, name, contents)
    assert refscan(tmp_path, "verify", name) == 0


@FEW
@given(key=KEYS)
def test_a_single_object_of_any_key_round_trips(bucket, tmp_path, key):
    fresh = bucket()
    version_id = fresh.put(key, b"first")
    fresh.put(key, b"second")
    name = f"demo/{fresh.name}"

    pinned = f"s3://{fresh.name}/{key}?versionId={version_id}"
    assert refscan(tmp_path, "put", "--name", name, "--type", "dataset", pinned) == 0

    (row,) = export(tmp_path, name)
    assert (row["ref"], row["version_id"]) == (f"s3://{fresh.name}/{key}", version_id)
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
