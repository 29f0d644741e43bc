"""Manifests written and read: refscan's segments beside other formats, each in a process of its own.

``python benchmarks/manifests.py --rows 10000000`` runs all; ``--only segments`` one of them. The time to make the rows
is measured by itself and taken off. Formats that hold all entries at once are given ``--small`` rows.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from manifest_rows import batches
from measure import cpu_seconds, peak_megabytes

from refscan.manifest.diff import diff_manifests
from refscan.manifest.index import Index
from refscan.manifest.reader import read_manifest
from refscan.manifest.seek import ManifestRows
from refscan.manifest.writer import write_manifest
from refscan.registry.store import LocalStore

__all__ = ["CONTENDERS"]

Work = Callable[[int, Path], Iterator[tuple[str, float, int]]]
_DIFFERENT = 10


def _timed(label: str, work: Callable[[], int], off: float = 0.0) -> tuple[str, float, int]:
    """Return what was done, its CPU seconds, and how many bytes or rows it gave."""
    before = cpu_seconds()
    found = work()
    return label, cpu_seconds() - before - off, found


def _making(rows: int) -> float:
    return _timed("", lambda: sum(batch.num_rows for batch in batches(rows)))[1]


def _write(store: LocalStore, rows: int, changed: list[int] | None = None) -> Index:
    index = write_manifest(batches(rows, changed or ()), store.put_segment)
    store.put_index(index)
    return index


def _segments(rows: int, folder: Path) -> Iterator[tuple[str, float, int]]:
    store, making = LocalStore(folder), _making(rows)
    indexes: list[Index] = []

    def write(changed: list[int] | None = None) -> int:
        before = _bytes_below(folder)
        indexes.append(_write(store, rows, changed))
        return _bytes_below(folder) - before

    yield _timed("write", write, making)
    yield _timed("read", lambda: sum(batch.num_rows for batch in read_manifest(indexes[0], store.segment_path)))
    yield _timed("write again, unchanged", write, making)
    changed = [(2 * at + 1) * rows // (2 * _DIFFERENT) for at in range(_DIFFERENT)]
    yield _timed(f"write again, {_DIFFERENT} entries changed", lambda: write(changed), making)
    yield "bytes of ETags", 0.0, _etag_bytes(indexes[0], store)
    sides = [ManifestRows(index, store.segment_path) for index in (indexes[0], indexes[-1])]
    yield _timed(f"diff, {_DIFFERENT} entries changed", lambda: sum(b.num_rows for b in diff_manifests(*sides)))


def _etag_bytes(index: Index, store: LocalStore) -> int:
    total = 0
    for segment in index.segments:
        group = pq.read_metadata(store.segment_path(segment.name)).row_group(0)
        columns = [group.column(at) for at in range(group.num_columns)]
        total += sum(one.total_compressed_size for one in columns if one.path_in_schema in {"digest", "e_tag"})
    return total


def _parquet(rows: int, folder: Path) -> Iterator[tuple[str, float, int]]:
    path, making = folder / "plain.parquet", _making(rows)

    def write() -> int:
        source = batches(rows)
        first = next(source)
        with pq.ParquetWriter(path, first.schema, compression="zstd") as writer:
            for held in _groups(first, source):
                writer.write_table(held)
        return path.stat().st_size

    yield _timed("write", write, making)
    yield _timed("read", lambda: sum(batch.num_rows for batch in pq.ParquetFile(path).iter_batches()))


def _groups(first: pa.RecordBatch, source: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    held = [first]
    for batch in source:
        held.append(batch)
        if len(held) == 100:
            yield pa.Table.from_batches(held)
            held = []
    if held:
        yield pa.Table.from_batches(held)


def _wandb(rows: int, folder: Path) -> Iterator[tuple[str, float, int]]:
    import wandb
    from wandb.sdk.artifacts.artifact_manifest_entry import ArtifactManifestEntry
    from wandb.sdk.artifacts.artifact_manifests.artifact_manifest_v1 import ArtifactManifestV1

    path = folder / "manifest.json"

    def write() -> int:
        manifest = wandb.Artifact("bench", "dataset").manifest
        for batch in batches(rows):
            for row in batch.select(["path", "ref", "digest", "size", "e_tag"]).to_pylist():
                manifest.add_entry(
                    ArtifactManifestEntry(
                        path=row["path"],
                        ref=row["ref"],
                        digest=row["digest"],
                        size=row["size"],
                        extra={"etag": row["e_tag"]},
                    )
                )
        path.write_text(json.dumps(manifest.to_manifest_json()))
        return path.stat().st_size

    yield _timed("write", write, _making(rows))
    yield _timed("read", lambda: len(ArtifactManifestV1.from_manifest_json(json.loads(path.read_text())).entries))


def _quilt(rows: int, folder: Path) -> Iterator[tuple[str, float, int]]:
    """Quilt's manifest: JSON lines of logical key, physical keys, size and hash; here with orjson, and zstd."""
    import orjson

    path = folder / "manifest.jsonl.zst"

    def write() -> int:
        with pa.CompressedOutputStream(str(path), "zstd") as sink:
            sink.write(orjson.dumps({"version": "v0"}) + b"\n")
            for batch in batches(rows):
                lines = (
                    orjson.dumps(
                        {
                            "logical_key": row["path"],
                            "physical_keys": [row["ref"]],
                            "size": row["size"],
                            "hash": {"type": "MD5", "value": row["digest"]},
                            "meta": {},
                        }
                    )
                    for row in batch.select(["path", "ref", "digest", "size"]).to_pylist()
                )
                sink.write(b"\n".join(lines) + b"\n")
        return path.stat().st_size

    def read() -> int:
        count, rest = -1, b""
        with pa.CompressedInputStream(str(path), "zstd") as source:
            while data := source.read(1 << 20):
                lines = (rest + data).split(b"\n")
                rest = lines.pop()
                count += sum(1 for line in lines if orjson.loads(line))
        return count

    yield _timed("write", write, _making(rows))
    yield _timed("read", read)


CONTENDERS: dict[str, Work] = {"segments": _segments, "parquet": _parquet, "wandb": _wandb, "quilt": _quilt}
_SMALL = ("wandb", "quilt")


def _bytes_below(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _one(name: str, rows: int) -> None:
    imported, wall = peak_megabytes(), time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="refscan-bench-") as folder:
        for label, cpu, found in CONTENDERS[name](rows, Path(folder)):
            print(
                f"{name:9} {rows:11,} {label:33} {cpu:8.2f} CPU s  {found:14,}  {found / rows:8.2f} an entry",
                flush=True,
            )
    print(
        f"{name:9} {rows:11,} peak {peak_megabytes():,.0f} MB, {imported:,.0f} after imports; "
        f"{time.perf_counter() - wall:,.0f} s in all",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--small", type=int, default=1_000_000, help="rows for what holds all entries at once")
    parser.add_argument("--only", choices=CONTENDERS)
    options = parser.parse_args()
    if options.only:
        _one(options.only, options.rows)
        return
    for name in CONTENDERS:
        rows = min(options.rows, options.small) if name in _SMALL else options.rows
        subprocess.run([sys.executable, __file__, f"--only={name}", f"--rows={rows}"], check=True)


if __name__ == "__main__":
    main()
