"""Every verb with every option: what it prints, as text and as JSON, and what it leaves."""

import csv
import io
import json
import os

import pyarrow.parquet as pq
import pytest

from refscan.manifest.schema import MANIFEST_SCHEMA
from refscan.sources.source import PAGE_SCHEMA

BB = "Ia0L2Da5DQj0z2QLTCmOfA=="  # base64 MD5 of the text bb
PUT = ("artifact", "put", "--name", "demo/data", "--type", "dataset")


def files_below(root):
    return {str(path.relative_to(root)): path.read_text() for path in root.rglob("*") if not path.is_dir()}


def test_put_prints_one_json_object(refscan, tree):
    result = refscan(*PUT, "--json", f"file://{tree}")
    assert (result.code, result.error) == (0, "")
    assert result.output.count("\n") == 1
    put = result.json
    assert {name: put[name] for name in ("project", "name", "version", "entries", "bytes", "created")} == {
        "project": "demo",
        "name": "data",
        "version": "v0",
        "entries": 2,
        "bytes": 3,
        "created": True,
    }
    assert len(put["digest"]) == 32
    again = refscan(*PUT, "--json", f"file://{tree}").json
    assert (again["version"], again["created"], again["digest"]) == ("v0", False, put["digest"])
    (tree / "a").write_text("changed")
    changed = refscan(*PUT, "--json", f"file://{tree}").json
    assert (changed["version"], changed["created"], changed["bytes"]) == ("v1", True, 9)


def test_put_prints_one_line_for_people(refscan, tree):
    result = refscan(*PUT, f"file://{tree}")
    assert (result.code, result.error) == (0, "")
    assert result.output.startswith("demo/data:v0: 2 entries, 3 B, digest ")
    assert "demo/data:v0 (unchanged, no new version)" in refscan(*PUT, f"file://{tree}").output


def test_put_says_what_was_skipped(refscan, tree):
    (tree / "dangling").symlink_to("nothing")
    assert "1 skipped (dangling_link)" in refscan(*PUT, f"file://{tree}").output


def test_put_stores_paths_and_references_uris(refscan, tree, tmp_path, monkeypatch):
    (tmp_path / "single").write_text("single")
    monkeypatch.chdir(tmp_path)
    result = refscan(*PUT, "--json", "tree", "single", f"file://{tree}/deep")
    assert result.json["entries"] == 4
    lines = refscan("artifact", "export", "demo/data", "--format", "jsonl").output.splitlines()
    refs = {row["path"]: row.get("ref") for row in map(json.loads, lines)}
    assert refs == {"a": None, "b": f"file://{tree}/deep/b", "deep/b": None, "single": None}


def test_put_gives_aliases_and_a_description(refscan, tree, tmp_path):
    result = refscan(*PUT, "--alias", "prod", "--alias", "best", "--description", "a tree", "--json", tree)
    assert result.json["aliases"] == ["best", "latest", "prod"]
    assert refscan("artifact", "get", "demo/data:prod", "--root", tmp_path / "root").code == 0
    refused = refscan(*PUT, "--alias", "v1", tree)
    assert (refused.code, refused.output) == (1, "")
    assert "'v1' cannot be an alias" in refused.error


def test_put_refuses_more_than_max_objects(refscan, tree):
    refused = refscan(*PUT, "--max-objects", "1", f"file://{tree}")
    assert (refused.code, refused.output) == (1, "")
    assert f"file://{tree}" in refused.error
    assert "--max-objects none" in refused.error
    assert refscan("artifact", "ls", "--json").json == []
    assert refscan(*PUT, "--max-objects", "2", "--json", f"file://{tree}").json["version"] == "v0"
    assert refscan(*PUT, "--max-objects", "none", "--json", f"file://{tree}").json["created"] is False


def test_put_without_checksums_does_not_read_files(refscan, tree):
    with_checksums = refscan(*PUT, "--json", f"file://{tree}").json
    without = refscan(*PUT, "--no-checksum", "--json", f"file://{tree}").json
    assert without["digest"] != with_checksums["digest"]
    assert without["version"] == "v1"
    (tree / "a").write_text("x")
    assert refscan(*PUT, "--no-checksum", "--json", f"file://{tree}").json["created"] is False


def test_put_refuses_what_is_not_there(refscan, tmp_path):
    for source in (tmp_path / "nothing", f"file://{tmp_path}/nothing", "nothing"):
        refused = refscan(*PUT, source)
        assert (refused.code, refused.output) == (1, "")
        assert str(source) in refused.error
    (tmp_path / "empty").mkdir()
    assert refscan(*PUT, tmp_path / "empty").code == 1


def test_put_keeps_a_names_type(refscan, recorded):
    refused = refscan("artifact", "put", "--name", "demo/data", "--type", "model", f"file://{recorded}")
    assert (refused.code, refused.output) == (1, "")
    assert "demo/data has the type 'dataset'" in refused.error


def test_put_adds_nothing_when_one_of_several_fails(refscan, tree, tmp_path):
    assert refscan(*PUT, tree, f"file://{tmp_path}/nothing").code == 1
    assert refscan("artifact", "ls", "--json").json == []


@pytest.mark.usefixtures("recorded")
def test_get_writes_the_recorded_files(refscan, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = refscan("artifact", "get", "demo/data")
    assert (result.code, result.error) == (0, "")
    assert result.output == "artifacts/data:v0: 2 files fetched (3 B), 0 kept\n"
    assert files_below(tmp_path / "artifacts" / "data:v0") == {"a": "a", "deep/b": "bb"}
    assert "0 files fetched (0 B), 2 kept" in refscan("artifact", "get", "demo/data:v0").output
    assert refscan("artifact", "get", "--root", "else", "--path-prefix", "deep/", "demo/data:latest").code == 0
    assert files_below(tmp_path / "else") == {"deep/b": "bb"}
    refused = refscan("artifact", "get", "--path-prefix", "dep/", "demo/data:latest")
    assert (refused.code, refused.output) == (1, "")
    assert refused.error == "refscan: no path of demo/data:v0 begins with 'dep/'; nothing was fetched\n"


@pytest.mark.usefixtures("recorded")
def test_get_checks_the_type(refscan, tmp_path):
    refused = refscan("artifact", "get", "--root", tmp_path / "root", "--type", "model", "demo/data")
    assert (refused.code, refused.output) == (1, "")
    assert "'dataset', not 'model'" in refused.error
    assert not (tmp_path / "root").exists()
    assert refscan("artifact", "get", "--root", tmp_path / "root", "--type", "dataset", "demo/data").code == 0


def test_get_may_leave_out_what_is_missing(refscan, recorded, tmp_path):
    (recorded / "a").unlink()
    refused = refscan("artifact", "get", "--root", tmp_path / "strict", "demo/data")
    assert refused.code == 1
    assert f"file://{recorded}/a" in refused.error
    result = refscan("artifact", "get", "--root", tmp_path / "lax", "--allow-missing", "demo/data")
    assert result.code == 0
    assert result.output.endswith("1 files fetched (2 B), 0 kept, 1 missing\n")
    assert files_below(tmp_path / "lax") == {"deep/b": "bb"}


def test_get_refuses_what_was_overwritten(refscan, recorded, tmp_path):
    (recorded / "a").write_text("x")
    refused = refscan("artifact", "get", "--root", tmp_path / "root", "demo/data")
    assert refused.code == 1
    assert f"file://{recorded}/a was overwritten" in refused.error
    assert "a" not in files_below(tmp_path / "root")


@pytest.mark.usefixtures("recorded")
@pytest.mark.parametrize("name", ["demo/data:v1", "demo/data:nope", "demo/other", "other/data", f"demo/data:v{10**30}"])
@pytest.mark.parametrize("verb", [("get",), ("verify",), ("export", "--format", "csv")])
def test_what_is_not_there_is_an_error_for_every_verb(refscan, name, verb):
    refused = refscan("artifact", *verb, name)
    assert (refused.code, refused.output) == (1, "")
    assert refused.error.count("\n") == 1
    assert "refscan artifact ls" in refused.error or "its aliases are: latest" in refused.error


def test_ls_lists_the_newest_versions(refscan, recorded):
    (recorded / "a").write_text("changed")
    assert refscan(*PUT, "--alias", "prod", f"file://{recorded}").code == 0
    assert refscan("artifact", "put", "--name", "demo/model", "--type", "model", recorded).code == 0
    assert refscan("artifact", "put", "--name", "other/data", "--type", "dataset", recorded).code == 0
    rows = refscan("artifact", "ls", "--json").json
    assert [(row["project"], row["name"], row["version"], row["type"]) for row in rows] == [
        ("demo", "data", "v1", "dataset"),
        ("demo", "model", "v0", "model"),
        ("other", "data", "v0", "dataset"),
    ]
    assert rows[0]["aliases"] == ["latest", "prod"]
    assert (rows[0]["entries"], rows[0]["bytes"]) == (2, 9)
    assert {"digest", "created_at"} <= set(rows[0])
    assert [row["name"] for row in refscan("artifact", "ls", "demo", "--json").json] == ["data", "model"]
    assert [row["project"] for row in refscan("artifact", "ls", "--type", "dataset", "--json").json] == [
        "demo",
        "other",
    ]
    assert refscan("artifact", "ls", "other", "--type", "model", "--json").json == []
    lines = refscan("artifact", "ls").output.splitlines()
    assert lines[0].split() == ["ARTIFACT", "TYPE", "ENTRIES", "SIZE", "CREATED", "ALIASES"]
    assert [line.split()[0] for line in lines[1:]] == ["demo/data:v1", "demo/model:v0", "other/data:v0"]
    assert lines[1].split()[-1] == "latest,prod"


def test_ls_of_nothing(refscan):
    assert refscan("artifact", "ls", "--json").json == []
    result = refscan("artifact", "ls")
    assert (result.code, result.error) == (0, "")
    assert "no artifacts" in result.output


def test_verify_tells_what_differs(refscan, recorded):
    result = refscan("artifact", "verify", "demo/data")
    line = "demo/data:v0: 2 entries checked (2 present), 0 with a problem (checked: 2 by listing)\n"
    assert (result.code, result.output) == (0, line)
    fine = refscan("artifact", "verify", "demo/data", "--json").json
    assert fine == {
        "project": "demo",
        "name": "data",
        "version": "v0",
        "ok": True,
        "checked": 2,
        "counts": {"present": 2},
        "checked_by": {"listing": 2},
        "problem_count": 0,
        "problems": [],
    }
    (recorded / "a").write_text("changed")
    (recorded / "deep" / "b").unlink()
    result = refscan("artifact", "verify", "demo/data:v0")
    assert result.code == 3
    assert result.output.splitlines() == [
        f"changed: a (file://{recorded}/a)",
        f"missing: deep/b (file://{recorded}/deep/b)",
        "demo/data:v0: 2 entries checked (1 changed, 1 missing), 2 with a problem (checked: 2 by listing)",
    ]
    result = refscan("artifact", "verify", "demo/data", "--json")
    assert result.code == 3
    assert (result.json["ok"], result.json["checked"], result.json["problem_count"]) == (False, 2, 2)
    assert result.json["problems"] == [
        {"path": "a", "ref": f"file://{recorded}/a", "version_id": None, "status": "changed"},
        {"path": "deep/b", "ref": f"file://{recorded}/deep/b", "version_id": None, "status": "missing"},
    ]


def test_verify_shows_a_hundred_problems_and_counts_the_rest(refscan, tmp_path):
    (tmp_path / "many").mkdir()
    for number in range(120):
        (tmp_path / "many" / f"{number:03}").write_text("x")
    assert refscan(*PUT, f"file://{tmp_path}/many").code == 0
    for number in range(120):
        (tmp_path / "many" / f"{number:03}").write_text("y")
    lines = refscan("artifact", "verify", "demo/data").output.splitlines()
    assert len(lines) == 102
    assert "20 more" in lines[100]
    found = refscan("artifact", "verify", "demo/data", "--json", "--problems", "110").json
    assert (len(found["problems"]), found["problem_count"]) == (110, 120)
    assert refscan("artifact", "verify", "demo/data", "--problems", "0").output.startswith("… and 120 more;")


def export(refscan, kind, tmp_path, *, to_file):
    if not to_file:
        return refscan("artifact", "export", "demo/data", "--format", kind, "--output", "-").output
    result = refscan("artifact", "export", "demo/data", "--format", kind, "--output", tmp_path / "out")
    assert (result.code, result.output, result.error) == (0, "", "")
    return (tmp_path / "out").read_text()


@pytest.mark.parametrize("to_file", [False, True])
def test_export_for_wandb(refscan, recorded, tmp_path, to_file):
    assert refscan(*PUT, f"file://{recorded}", recorded / "deep" / "b").code == 0
    manifest = json.loads(export(refscan, "wandb", tmp_path, to_file=to_file))
    assert set(manifest) == {"version", "storagePolicy", "storagePolicyConfig", "contents"}
    assert manifest["version"] == 1
    assert manifest["contents"] == {
        "a": {"digest": "DMF1ucDxtqgxw5niaXcmYQ==", "ref": f"file://{recorded}/a", "size": 1},
        "b": {"digest": BB, "size": 2},
        "deep/b": {"digest": BB, "ref": f"file://{recorded}/deep/b", "size": 2},
    }


def test_export_for_wandb_has_the_pins_of_a_bucket(refscan, bucket):
    store = bucket()
    pin = store.put("d/a", b"1")
    assert refscan(*PUT, f"s3://{store.name}/d").code == 0
    contents = refscan("artifact", "export", "demo/data", "--format", "wandb").json["contents"]
    assert contents == {
        "a": {
            "digest": "c4ca4238a0b923820dcc509a6f75849b",
            "ref": f"s3://{store.name}/d/a",
            "size": 1,
            "extra": {"etag": "c4ca4238a0b923820dcc509a6f75849b", "versionID": contents["a"]["extra"]["versionID"]},
        }
    }
    assert pin in (None, contents["a"]["extra"]["versionID"])


@pytest.mark.usefixtures("recorded")
@pytest.mark.parametrize("to_file", [False, True])
def test_export_as_json_lines(refscan, tmp_path, to_file):
    rows = [json.loads(line) for line in export(refscan, "jsonl", tmp_path, to_file=to_file).splitlines()]
    assert [row["path"] for row in rows] == ["a", "deep/b"]
    assert rows[0]["digest"] == "DMF1ucDxtqgxw5niaXcmYQ=="
    assert set(rows[0]) <= set(MANIFEST_SCHEMA.names)
    assert None not in rows[0].values()


@pytest.mark.usefixtures("recorded")
@pytest.mark.parametrize("to_file", [False, True])
def test_export_as_csv(refscan, tmp_path, to_file):
    rows = list(csv.DictReader(io.StringIO(export(refscan, "csv", tmp_path, to_file=to_file))))
    assert list(rows[0]) == MANIFEST_SCHEMA.names
    assert [(row["path"], row["size"]) for row in rows] == [("a", "1"), ("deep/b", "2")]


@pytest.mark.usefixtures("recorded")
def test_export_as_parquet(refscan, tmp_path):
    out = tmp_path / "out.parquet"
    out.write_text("what was there before")
    assert refscan("artifact", "export", "demo/data", "--format", "parquet", "--output", out).code == 0
    table = pq.read_table(out)
    assert table.schema.equals(MANIFEST_SCHEMA)
    assert table.column("path").to_pylist() == ["a", "deep/b"]
    umask = os.umask(0)
    os.umask(umask)
    assert out.stat().st_mode & 0o777 == 0o666 & ~umask
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.usefixtures("recorded")
def test_export_that_fails_leaves_the_file_as_it_was(refscan, tmp_path):
    (tmp_path / "out").write_text("before")
    for segment in (tmp_path / "registry" / "segments").rglob("*"):
        if segment.is_file():
            segment.write_bytes(b"damaged")
    refused = refscan("artifact", "export", "demo/data", "--format", "csv", "--output", tmp_path / "out")
    assert refused.code == 1
    assert refused.error.count("\n") == 1
    assert (tmp_path / "out").read_text() == "before"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_file_in_a_folder_that_is_not_there_cannot_be_written(refscan, recorded, tmp_path):
    for words in (
        ("artifact", "export", "demo/data", "--format", "csv"),
        ("scan", f"file://{recorded}"),
    ):
        refused = refscan(*words, "--output", tmp_path / "nothing" / "out")
        assert (refused.code, refused.output) == (1, "")
        assert f"{tmp_path}/nothing is not a directory" in refused.error


def test_scan_counts_what_is_there(refscan, tree):
    result = refscan("scan", f"file://{tree}")
    assert (result.code, result.error) == (0, "")
    assert result.output.startswith("2 objects, 3 B, 0 with a version ID")
    receipt = refscan("scan", f"file://{tree}", "--json").json
    assert (receipt["uri"], receipt["objects"], receipt["bytes"]) == (f"file://{tree}", 2, 3)
    assert {"requests", "skipped", "ranges", "started", "ended"} <= set(receipt)


def test_scan_writes_a_parquet_file(refscan, tree, tmp_path):
    out = tmp_path / "objects.parquet"
    assert refscan("scan", f"file://{tree}", "--output", out).code == 0
    table = pq.read_table(out)
    assert table.schema.equals(PAGE_SCHEMA)
    assert table.column("key").to_pylist() == [f"{tree}/a"[1:], f"{tree}/deep/b"[1:]]
    assert table.column("size").to_pylist() == [1, 2]


def test_scan_refuses_more_than_max_objects_and_writes_nothing(refscan, tree, tmp_path):
    refused = refscan("scan", f"file://{tree}", "--max-objects", "1", "--output", tmp_path / "out.parquet")
    assert (refused.code, refused.output) == (1, "")
    assert "--max-objects none" in refused.error
    assert [path.name for path in tmp_path.iterdir() if "out" in path.name] == []
    assert refscan("scan", f"file://{tree}", "--max-objects", "none").code == 0


def test_scan_needs_no_registry(refscan, tree, tmp_path):
    assert refscan("scan", f"file://{tree}").code == 0
    assert not (tmp_path / "registry").exists()
