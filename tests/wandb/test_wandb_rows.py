"""Rows and W&B's entries, without a server: any keys, beside W&B's own handlers; and there and back again."""

from types import SimpleNamespace

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from wandb.sdk.artifacts.storage_handlers.gcs_handler import GCSHandler
from wandb.sdk.artifacts.storage_handlers.s3_handler import S3Handler

from refscan.errors import InvalidPathError
from refscan.manifest.schema import MANIFEST_SCHEMA, manifest_rows
from refscan.wandb.entries import entries_of
from refscan.wandb.rows import rows_of
from refscan.wandb.strict import StrictPlaces

parts = st.sampled_from(["", ".", "a", "b.txt", "README", "ü", "\U0001f600", "a b", "%20", "..."])
keys = st.lists(parts, min_size=1, max_size=4).map("/".join).filter(lambda key: key.strip("/.") != "")
names = st.none() | st.sampled_from(["n", "n/m"])


def placed(prefix, rest, name, scheme):
    """Return the rows that refscan has below a folder."""
    paths = [text if name is None else f"{name}/{text}" for text in rest]
    refs = [f"{scheme}://bucket/{prefix}{text}" for text in rest]
    return manifest_rows(path=paths, ref=refs, digest=["d"] * len(rest), size=[1] * len(rest))


def entry_of_s3(key, uri, name, folder):
    facts = SimpleNamespace(key=key, e_tag='"d"', size=1, version_id=None)
    return S3Handler()._entry_from_obj(facts, uri, name, prefix=folder, multi=True)


def entry_of_google(key, uri, name, folder):
    facts = SimpleNamespace(name=key, etag="d", size=1, generation=1)
    return GCSHandler()._entry_from_obj(facts, uri, name, prefix=folder, multi=True)


@pytest.mark.parametrize(("store", "scheme", "entry_of"), [("s3", "s3", entry_of_s3), ("gcs", "gs", entry_of_google)])
@given(
    folder=st.sampled_from(["", "pre", "pre/", "a/b", "a//b"]),
    rest=st.lists(keys, unique=True, max_size=4),
    name=names,
)
def test_strict_places_are_those_of_the_sdk(*, store, scheme, entry_of, folder, rest, name):
    prefix = folder if not folder or folder.endswith("/") else folder + "/"
    uri = f"{scheme}://bucket/{folder}"
    places, rows = StrictPlaces(store, uri, name, multi=True), placed(prefix, rest, name, scheme)
    recorded = [text for text in rest if store == "s3" or not text.endswith("/")]
    try:
        theirs = [entry_of(prefix + text, uri, name, folder) for text in recorded]
    except ValueError:
        with pytest.raises(InvalidPathError):
            places.place(rows)
        return
    rows = places.place(rows)
    ours = list(zip(rows.column("path").to_pylist(), rows.column("ref").to_pylist(), strict=True))
    assert ours == [(str(entry.path), entry.ref) for entry in theirs]


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
fields = st.tuples(
    texts.map(lambda text: "p" + text.replace("..", "").replace(":", "").replace("\\", "")),
    st.sampled_from(["s3://b/", "gs://b/", "file:///d/", "weird://x/"]),
    texts,
    st.none() | st.integers(0, 2**62),
    st.none() | st.integers(1, 2**62).map(str),
)


@given(rows=st.lists(fields, unique_by=lambda row: row[0], max_size=6))
def test_rows_become_entries_and_rows_again(rows):
    columns = {
        "path": [row[0] for row in rows],
        "ref": [row[1] + row[0] for row in rows],
        "digest": ["d" + row[2] for row in rows],
        "size": [row[3] for row in rows],
        "version_id": [row[4] for row in rows],
        # Where the digest is an ETag, W&B need not note it twice.
        "e_tag": ["d" + row[2] if row[1][:2] in ("s3", "gs") else None for row in rows],
    }
    before = manifest_rows(**columns)
    entries = entries_of(before)
    assert [str(entry.path) for entry in entries] == columns["path"]
    after = rows_of(
        "m", [str(entry.path) for entry in entries], [{**dict(entry), "extra": entry.extra} for entry in entries]
    )
    assert after.schema == MANIFEST_SCHEMA
    assert pa.Table.from_batches([after]).equals(pa.Table.from_batches([before]))
