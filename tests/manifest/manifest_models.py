"""Rows of manifests to test with, and what plain Python makes of them."""

from datetime import UTC, datetime

import pyarrow as pa
from hypothesis import strategies as st

from refscan.manifest.schema import MANIFEST_SCHEMA

any_text = st.text(st.characters(codec="utf-8"), max_size=8)
trapped_text = st.text(st.sampled_from("\"\\/\0\x01\b\t\n\r\x1f\x7f\x85\u2028é\ud7ff\U0001f600,';:={}a"), max_size=8)
texts = st.one_of(any_text, trapped_text, st.sampled_from(["null", "", "a" * 900, " a ", "None", "{}", '""']))
paths = texts.filter(bool)
moments = st.datetimes(
    min_value=datetime(1970, 1, 1),  # noqa: DTZ001  the zone is given below
    max_value=datetime(2200, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)

Row = dict[str, object]


def rows_of(row_paths: st.SearchStrategy[str]) -> st.SearchStrategy[Row]:
    return st.fixed_dictionaries(
        {
            "path": row_paths,
            "ref": st.none() | texts,
            "digest": texts,
            "size": st.none() | st.integers(0, 1 << 50),
            "version_id": st.none() | texts,
            "e_tag": st.none() | texts,
            "checksum": st.none() | texts,
            "last_modified": st.none() | moments,
            "storage_class": st.none() | texts,
        }
    )


manifests = st.lists(rows_of(paths), max_size=12, unique_by=lambda row: row["path"]).map(
    lambda rows: sorted(rows, key=lambda row: row["path"])
)
"""Rows as a manifest has them: sorted by path, unique."""


def batch_of(rows: list[Row]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(rows, MANIFEST_SCHEMA)


@st.composite
def cuts_of(draw, rows: list[Row], *, empty: bool = True) -> list[pa.RecordBatch]:
    """Draw where rows are cut into batches: slices of one batch, or batches of their own; some are empty."""
    whole = batch_of(rows)
    cuts = sorted(draw(st.lists(st.integers(0, len(rows)), max_size=5)))
    batches = []
    for a, b in zip([0, *cuts], [*cuts, len(rows)], strict=True):
        if a < b or empty:
            batches.append(whole.slice(a, b - a) if draw(st.booleans()) else batch_of(rows[a:b]))
    return batches


def listed(batches) -> list[Row]:
    return [row for batch in batches for row in batch.to_pylist()]
