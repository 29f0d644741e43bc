"""Manifests in other formats equal what plain Python renders."""

import csv
import io
import json
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from manifest_models import batch_of, cuts_of, manifests, texts

from refscan.manifest.export import FORMATS, write_csv, write_jsonl, write_parquet_file, write_wandb
from refscan.manifest.json_text import json_text
from refscan.manifest.schema import MANIFEST_SCHEMA, manifest_rows


def written(write, batches) -> bytes:
    sink = io.BytesIO()
    write(batches, sink)
    return sink.getvalue()


def unique(pairs):
    """Build an object from its members, and refuse a name that stands there twice."""
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def wandb_manifest(rows):
    contents = {}
    for row in rows:
        pin = None if row["version_id"] == "null" else row["version_id"]
        extra = {name: value for name, value in (("etag", row["e_tag"]), ("versionID", pin)) if value is not None}
        entry = {"digest": row["digest"], "ref": row["ref"], "size": row["size"], "extra": extra or None}
        contents[row["path"]] = {name: value for name, value in entry.items() if value is not None}
    return {
        "version": 1,
        "storagePolicy": "wandb-storage-policy-v1",
        "storagePolicyConfig": {"storageLayout": "V2"},
        "contents": contents,
    }


def as_json(value):
    return f"{value:%Y-%m-%dT%H:%M:%S.%fZ}" if isinstance(value, datetime) else value


@given(rows=manifests, data=st.data())
@settings(max_examples=150)
def test_wandbs_json(rows, data):
    text = written(write_wandb, data.draw(cuts_of(rows))).decode()
    manifest = json.loads(text, object_pairs_hook=unique)
    assert manifest == wandb_manifest(rows)
    assert list(manifest["contents"]) == [row["path"] for row in rows]


@given(rows=manifests, data=st.data())
@settings(max_examples=150)
def test_json_lines(rows, data):
    text = written(write_jsonl, data.draw(cuts_of(rows)))
    assert text == b"" or text.endswith(b"\n")
    lines = [json.loads(line, object_pairs_hook=unique) for line in text.split(b"\n")[:-1]]
    assert lines == [{name: as_json(value) for name, value in row.items() if value is not None} for row in rows]


@given(rows=manifests, data=st.data())
@settings(max_examples=100)
def test_csv(rows, data):
    text = written(write_csv, data.draw(cuts_of(rows))).decode()
    header, *lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    assert header == MANIFEST_SCHEMA.names
    expected = []
    for row in rows:
        values = row | {"last_modified": row["last_modified"] and f"{row['last_modified']:%Y-%m-%d %H:%M:%S.%fZ}"}
        expected.append(["" if values[name] is None else str(values[name]) for name in MANIFEST_SCHEMA.names])
    assert lines == expected


@given(rows=manifests, data=st.data())
@settings(max_examples=50)
def test_parquet(rows, data):
    table = pq.read_table(io.BytesIO(written(write_parquet_file, data.draw(cuts_of(rows)))))
    assert table.schema.equals(MANIFEST_SCHEMA)
    assert table.to_pylist() == rows


def test_wandbs_json_of_a_known_manifest():
    rows = manifest_rows(
        path=["a.txt", "b", "c"],
        ref=["s3://b/a.txt", "s3://b/b", None],
        digest=["d1", "d2", "d3"],
        size=[3, None, 0],
        version_id=["v1", "null", None],
        e_tag=["d1", None, None],
        last_modified=[datetime(2020, 1, 1, tzinfo=UTC)] * 3,
        storage_class=["STANDARD"] * 3,
    )
    assert json.loads(written(write_wandb, [rows]))["contents"] == {
        "a.txt": {"digest": "d1", "ref": "s3://b/a.txt", "size": 3, "extra": {"etag": "d1", "versionID": "v1"}},
        "b": {"digest": "d2", "ref": "s3://b/b"},
        "c": {"digest": "d3", "size": 0},
    }


@pytest.mark.parametrize("batches", [[], [batch_of([])], [batch_of([]), batch_of([{"path": "a", "digest": "d"}])]])
def test_batches_without_rows_leave_no_trace(batches):
    count = sum(batch.num_rows for batch in batches)
    assert len(json.loads(written(write_wandb, batches))["contents"]) == count
    assert written(write_jsonl, batches).count(b"\n") == count
    assert written(write_csv, batches).count(b"\n") == count + 1
    assert pq.read_table(io.BytesIO(written(write_parquet_file, batches))).num_rows == count


def test_every_character_is_a_json_string():
    characters = [chr(code) for code in range(0x20_00)] + [
        "\u2028",
        "\ud7ff",
        "\ue000",
        "\ufeff",
        "\uffff",
        "\U0010ffff",
    ]
    texts_of_all = pa.array([*characters, "".join(characters), None, ""])
    rendered = json_text(texts_of_all).to_pylist()
    assert [text and json.loads(text) for text in rendered] == [*characters, "".join(characters), None, ""]


@given(values=st.lists(st.none() | texts, max_size=6), data=st.data())
@settings(max_examples=100)
def test_a_column_of_json_strings(values, data):
    start = data.draw(st.integers(0, len(values)))
    rendered = json_text(pa.array(values, pa.string()).slice(start)).to_pylist()
    assert [None if text is None else json.loads(text) for text in rendered] == values[start:]


def test_the_formats_of_the_command_line():
    assert {
        "wandb": write_wandb,
        "jsonl": write_jsonl,
        "csv": write_csv,
        "parquet": write_parquet_file,
    } == FORMATS


def test_wandb_has_google_generations_as_numbers_and_the_names_of_azures_blobs_as_they_are():
    refs = ["gs://b/a%25", "https://acc.blob.core.windows.net/c/100%25 %3F%23.txt", "s3://b/a%25"]
    rows = manifest_rows(
        path=["a", "b", "c"], ref=refs, digest=["d"] * 3, e_tag=["e"] * 3, version_id=["1700", "2024-01-01T00:00Z", "v"]
    )
    sink = io.BytesIO()
    write_wandb([rows], sink)
    entries = list(json.loads(sink.getvalue())["contents"].values())
    assert [entry["ref"] for entry in entries] == [
        "gs://b/a%25",
        "https://acc.blob.core.windows.net/c/100% ?#.txt",
        "s3://b/a%25",
    ]
    assert [entry["extra"] for entry in entries] == [
        {"versionID": 1700},
        {"etag": "e", "versionID": "2024-01-01T00:00Z"},
        {"etag": "e", "versionID": "v"},
    ]
