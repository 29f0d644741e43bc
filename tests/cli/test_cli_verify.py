"""``refscan artifact verify`` as a training job's first step: exit codes, and a file of what was found."""

import pyarrow.parquet as pq
import pytest


@pytest.fixture
def place(bucket, refscan):
    """A bucket with 30 objects, recorded as ``demo/data:v0``, of which one was overwritten and one is gone."""
    made = bucket()
    pins = [made.put(f"d/{number:02}", b"1") for number in range(30)]
    assert refscan("artifact", "put", "--name", "demo/data", "--type", "dataset", f"{made.uri}d/").code == 0
    made.put("d/00", b"2")
    made.delete("d/29")
    made.gone = lambda: made.client.delete_object(Bucket=made.name, Key="d/01", VersionId=pins[1])
    return made


@pytest.mark.usefixtures("place")
def test_what_can_be_had_is_fine(refscan):
    result = refscan("artifact", "verify", "demo/data", "--json")
    assert (result.code, result.json["ok"], result.json["problems"]) == (0, True, [])
    assert result.json["counts"] == {"present": 28, "superseded": 1, "delete_marked": 1}
    assert result.json["checked_by"] == {"versions": 30}


def test_what_cannot_has_its_own_exit_code(refscan, place):
    place.gone()
    result = refscan("artifact", "verify", "demo/data")
    assert (result.code, result.error) == (3, "")
    problem, line = result.output.splitlines()
    assert problem == f"missing: 01 ({place.uri}d/01)"
    counted = "27 present, 1 superseded, 1 delete_marked, 1 missing"
    assert line == f"demo/data:v0: 30 entries checked ({counted}), 1 with a problem (checked: 30 by versions)"


def test_a_check_that_cannot_be_made_is_an_error(refscan, place, aws):
    place.gone()
    aws.setenv("AWS_S3_ENDPOINT_URL", "http://127.0.0.1:9")
    result = refscan("artifact", "verify", "demo/data")
    assert (result.code, result.output) == (1, "")


@pytest.mark.parametrize("everything", [False, True])
def test_a_file_of_what_was_found(refscan, place, tmp_path, everything):
    place.gone()
    path = tmp_path / "found.parquet"
    words = ["--all"] if everything else []
    assert refscan("artifact", "verify", "demo/data", "--output", path, *words).code == 3
    found = {row["path"]: row["status"] for row in pq.read_table(path).to_pylist()}
    others = {"00": "superseded", "01": "missing", "29": "delete_marked"}
    present = {f"{number:02}": "present" for number in range(30)} if everything else {}
    assert found == present | others
    assert pq.read_table(path).schema.names == ["path", "ref", "version_id", "status"]


def test_a_file_of_nothing(refscan, recorded, tmp_path):
    path = tmp_path / "found.parquet"
    assert refscan("artifact", "verify", "demo/data", "--output", path).code == 0
    assert pq.read_table(path).num_rows == 0
    assert refscan("artifact", "verify", "demo/data", "--output", path, "--all").code == 0
    assert pq.read_table(path).column("status").to_pylist() == ["present", "present"]
    assert recorded.exists()


@pytest.mark.usefixtures("recorded")
@pytest.mark.parametrize(("words", "code"), [(["--all"], 1), (["--problems", "-1"], 2), (["--problems", "x"], 2)])
def test_wrong_usage(refscan, words, code):
    result = refscan("artifact", "verify", "demo/data", *words)
    assert (result.code, result.output) == (code, "")
    assert "--all says" in result.error or "--problems" in result.error
