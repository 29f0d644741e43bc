"""``refscan gc`` and ``refscan artifact delete``: what they print, and what they refuse."""

import pytest


@pytest.fixture
def versions(refscan, tree):
    """``demo/data``: v0, v1 and v2, each with a file of its own."""
    for text in ("zero", "one", "two"):
        (tree / "a").write_text(text)
        assert refscan("artifact", "put", "--name", "demo/data", "--type", "t", tree).code == 0


@pytest.mark.usefixtures("versions")
def test_a_version_is_deleted_and_its_files_collected(refscan, tmp_path):
    result = refscan("artifact", "delete", "demo/data:v1")
    assert (result.code, result.output) == (0, "deleted the version demo/data:v1\n")
    dry = refscan("gc")
    assert "would delete 1 segment, 1 manifest, 1 file: " in dry.output
    assert "`--delete` does it" in dry.output
    assert refscan("gc", "--json").json["garbage"]["files"] == {"files": 1, "bytes": 3}
    done = refscan("gc", "--delete", "--json").json
    assert (done["deleted"], done["garbage"]["files"], done["dead_runs"]) == (True, {"files": 1, "bytes": 3}, 0)
    assert "deleted 0 segments, 0 manifests, 0 files: 0 B" in refscan("gc", "--delete").output
    assert refscan("artifact", "get", "--root", tmp_path / "out", "demo/data:v0").code == 0
    assert (tmp_path / "out" / "a").read_text() == "zero"


@pytest.mark.usefixtures("versions")
def test_a_rule_deletes_versions_and_what_they_needed(refscan):
    dry = refscan("gc", "--keep-last", 1, "--json").json
    assert dry["versions"] == ["demo/data:v0", "demo/data:v1"]
    assert "would delete demo/data:v0 (2 entries" in refscan("gc", "--keep-last", 1).output
    for age in ("30d", "999999w"):
        assert refscan("gc", "--keep-last", 1, "--ttl", age, "--json").json["versions"] == []
    done = refscan("gc", "--keep-last", 1, "--artifact", "demo/data", "--delete", "--json").json
    assert (done["versions"], done["garbage"]) == (dry["versions"], dry["garbage"])
    assert done["garbage"]["files"]["files"] == 2
    assert refscan("artifact", "get", "demo/data:v1").code == 1


@pytest.mark.usefixtures("versions")
def test_an_alias_is_deleted_alone(refscan, tree):
    assert refscan("artifact", "put", "--name", "demo/data", "--type", "t", "--alias", "prod", tree).code == 0
    refused = refscan("artifact", "delete", "demo/data:v2")
    assert (refused.code, refused.error.count("\n")) == (1, 1)
    assert "--delete-aliases" in refused.error
    result = refscan("artifact", "delete", "--alias", "--json", "demo/data:prod")
    assert result.json == {"deleted": {"alias": "demo/data:prod"}}
    result = refscan("artifact", "delete", "--json", "demo/data:latest")
    assert result.json == {"deleted": {"version": "demo/data:v2"}}


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("artifact", "delete", "demo/data"), 2, "does not say which version"),
        (("artifact", "delete", "demo/data:v0"), 1, "there is no artifact demo/data"),
        (("gc", "--keep-last", "0"), 2, "at least 1 stays"),
        (("gc", "--ttl", "a month"), 2, "write it like 12h, 30d or 8w"),
        (("gc", "--artifact", "demo/data"), 1, "give --keep-last or --ttl"),
        (("gc", "--keep-last", "1", "--artifact", "demo/data"), 1, "there is no artifact demo/data"),
    ],
)
def test_what_cannot_be_is_refused(refscan, words, code, text):
    result = refscan(*words)
    assert (result.code, result.output) == (code, "")
    assert text in result.error
