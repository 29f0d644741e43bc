"""Manifests cut into segments and row groups anywhere, as no writer would do it."""

import hashlib
import itertools
import tempfile
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st
from manifest_models import batch_of

from refscan.manifest.index import Index, Segment
from refscan.manifest.schema import MANIFEST_SCHEMA
from refscan.manifest.seek import ManifestRows

paths = st.one_of(
    st.text("ab/", min_size=1, max_size=5),
    st.text(st.sampled_from("a/-0.\0é\ud7ff\ue000\U0001f600\U0010ffff\n "), min_size=1, max_size=5),
    st.sampled_from(["a/" + "x" * 5_000, "/", "a//", "a//b", "a/b/c", "a0"]),
)


class Segments:
    """Segments in a directory of their own; counts how often each is opened."""

    def __init__(self):
        self._directory = tempfile.TemporaryDirectory()
        self.located = Counter()

    def locate(self, name):
        self.located[name] += 1
        return Path(self._directory.name, name)

    def rows_of(self, rows, segment_cuts=(), group_rows=1_000):
        """Write rows, cut before the given places, and return them as a manifest."""
        segments = []
        bounds = [0, *sorted({cut % (len(rows) + 1) for cut in segment_cuts}), len(rows)]
        for start, stop in itertools.pairwise(bounds):
            if start < stop:
                segments.append(self._write(rows[start:stop], group_rows))
        size = sum(row["size"] or 0 for row in rows)
        return ManifestRows(Index("", "", len(rows), size, tuple(segments)), self.locate)

    def _write(self, rows, group_rows):
        name = hashlib.blake2b(repr(rows).encode(), digest_size=32).hexdigest()
        path = Path(self._directory.name, name)
        if not path.exists():
            table = pa.Table.from_batches([batch_of(rows)], MANIFEST_SCHEMA)
            pq.write_table(table, path, row_group_size=group_rows, compression="zstd")
        return Segment(name, rows[0]["path"], rows[-1]["path"], len(rows), path.stat().st_size)

    def close(self):
        self._directory.cleanup()


cuts = st.lists(st.integers(0, 40), max_size=6)
group_sizes = st.integers(1, 6)
