"""``refscan artifact diff`` and ``refscan artifact ls`` of folders, and patterns on the command line."""

import json

import pytest

PUT = ("artifact", "put", "--name", "demo/data", "--type", "dataset")


@pytest.fixture
def two(refscan, tree):
    """``demo/data:v0`` and ``:v1``: one path of each kind but repinned, for which files have no pins."""
    assert refscan(*PUT, f"file://{tree}").code == 0
    (tree / "a").write_text("other")
    (tree / "deep" / "b").unlink()
    (tree / "new\nline").write_text("new")
    assert refscan(*PUT, f"file://{tree}").code == 0
    return tree


@pytest.mark.usefixtures("two")
def test_diff_prints_a_line_for_each_path(refscan):
    result = refscan("artifact", "diff", "demo/data:v0", "demo/data")
    assert (result.code, result.error) == (0, "")
    assert result.output.splitlines() == [
        "changed: a",
        "removed: deep/b",
        "added: new\\nline",
        "demo/data:v0 to demo/data:v1: 1 added, 1 removed, 1 changed, 0 repinned",
    ]


@pytest.mark.usefixtures("two")
def test_diff_prints_one_json_object(refscan):
    result = refscan("artifact", "diff", "--json", "demo/data:v0", "demo/data:v1").json
    assert (result["old"], result["new"]) == ("demo/data:v0", "demo/data:v1")
    assert result["summary"] == {"added": 1, "removed": 1, "changed": 1, "repinned": 0}
    assert [(row["change"], row["path"]) for row in result["changes"]] == [
        ("changed", "a"),
        ("removed", "deep/b"),
        ("added", "new\nline"),
    ]
    assert (result["changes"][0]["old_size"], result["changes"][0]["new_size"]) == (1, 5)
    same = refscan("artifact", "diff", "--json", "demo/data:v0", "demo/data:v0").json
    assert (same["changes"], set(same["summary"].values())) == ([], {0})


@pytest.mark.usefixtures("two")
def test_diff_counts_alone(refscan):
    words = ("artifact", "diff", "--summary", "demo/data:v1", "demo/data:v0")
    assert refscan(*words).output == "demo/data:v1 to demo/data:v0: 1 added, 1 removed, 1 changed, 0 repinned\n"
    assert refscan(*words, "--json").json == {
        "old": "demo/data:v1",
        "new": "demo/data:v0",
        "summary": {"added": 1, "removed": 1, "changed": 1, "repinned": 0},
    }


@pytest.mark.usefixtures("two")
@pytest.mark.parametrize("how", [(), ("--json",), ("--summary",)])
def test_diff_tells_by_its_exit_code_if_it_is_asked_to(refscan, how):
    differing, same = ("demo/data:v0", "demo/data:v1"), ("demo/data:v1", "demo/data:v1")
    assert refscan("artifact", "diff", *how, *differing).code == 0
    assert refscan("artifact", "diff", *how, "--exit-code", *differing).code == 3
    assert refscan("artifact", "diff", *how, "--exit-code", *same).code == 0
    missing = refscan("artifact", "diff", *how, "--exit-code", "demo/data:v0", "demo/data:v9")
    assert (missing.code, missing.output) == (1, "")


@pytest.mark.usefixtures("two")
def test_ls_shows_folders_of_a_version(refscan):
    result = refscan("artifact", "ls", "demo/data:v0")
    assert (result.code, result.error) == (0, "")
    assert [line.split() for line in result.output.splitlines()] == [["1", "1", "B", "a"], ["1", "2", "B", "deep/"]]
    assert "new\\nline" in refscan("artifact", "ls", "demo/data").output
    for place in ("demo/data:v0/deep", "demo/data:v0/deep/"):
        assert refscan("artifact", "ls", "--json", place).json == [
            {"name": "b", "is_folder": False, "entries": 1, "size": 2}
        ]
    missing = refscan("artifact", "ls", "demo/data:v0/nothing")
    assert (missing.code, missing.output) == (1, "")
    assert "demo/data:v0/nothing: the version has no such folder" in missing.error
    assert [row["name"] for row in refscan("artifact", "ls", "--json", "demo").json] == ["data"]
    for wrong in ("demo:v0", "/x", "demo/"):
        assert refscan("artifact", "ls", wrong).code == 2


def test_ls_shows_large_folders_in_pages(refscan, tmp_path, monkeypatch):
    monkeypatch.setattr("refscan.cli.artifact_ls._PAGE", 3)
    (tmp_path / "flat").mkdir()
    names = [f"{number:02}" for number in range(10)]
    for name in names:
        (tmp_path / "flat" / name).write_text(name)
    assert refscan(*PUT, f"file://{tmp_path}/flat").code == 0
    assert [row["name"] for row in refscan("artifact", "ls", "--json", "demo/data:latest").json] == names
    assert len(refscan("artifact", "ls", "demo/data:latest").output.splitlines()) == 10


def test_patterns_choose_what_is_recorded(refscan, tree):
    put = refscan(*PUT, "--json", "--include", "**/b", "--include", "x", f"file://{tree}").json
    assert put["entries"] == 1
    assert put["receipts"][0]["include"] == ["**/b", "x"]
    assert put["receipts"][0]["skipped"] == {"excluded": 1}
    assert "1 skipped (excluded)" in refscan(*PUT, "--exclude", "deep/**", f"file://{tree}").output
    refused = refscan(*PUT, "--exclude", "**", f"file://{tree}")
    assert (refused.code, refused.output) == (1, "")
    assert "leaves out all of them" in refused.error
    assert json.loads(refscan("scan", "--json", "--include", "a", f"file://{tree}").output)["objects"] == 1
