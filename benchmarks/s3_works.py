"""The works on S3, each a row of figures that the listing engine has to reach."""

from __future__ import annotations

from targets import Measurement, figure, ratio, same_digest
from work import Contender, Setting, Work

__all__ = ["S3_WORKS"]

_MILLION = 1_000_000
_PAGE = 1_000
_CONCURRENCY = 64
_DELAY_MS = 100.0
_WANDB_DELAY_MS = 10.0
_SMALL = 500

_DATACHAIN_IMPORTS = (
    *(f"datachain.client.{client}" for client in ("s3", "azure", "gcs", "hf", "http", "local")),
    "datachain.client.listing_worker",
    "datachain.data_storage.sqlite",
    "datachain.remote.studio",
)
_S3_SOURCE = ("refscan_ready", "refscan.sources.s3.source", "aioboto3.s3.inject", "boto3.s3.inject")
_REFSCAN = Contender("refscan_scan", _S3_SOURCE)
_MANIFEST = Contender("refscan_manifest", (*_S3_SOURCE, "aiosqlite", "pyarrow.parquet", "sqlalchemy.dialects.sqlite"))
_ITERATE = Contender("refscan_iterate", _S3_SOURCE)
_OBSTORE = Contender("obstore_s3", ("arro3.core",))
_DATACHAIN = Contender("datachain_storage", _DATACHAIN_IMPORTS)
_SCANDIR = Contender("datachain_scandir", _DATACHAIN_IMPORTS)
_WANDB_FILL = Contender("refscan_wandb", (*_S3_SOURCE, "refscan.wandb", "wandb"))
_S5CMD = Contender("s5cmd_ls")
_SDKS = {"boto3": Contender("boto3_paginator"), "aiobotocore": Contender("aiobotocore_paginator")}
_ALL = {"refscan": _REFSCAN, "refscan-iterate": _ITERATE, "wandb": Contender("wandb_sdk", ("boto3",)), **_SDKS}
_SLOW_LAYOUTS = ("hierarchical", "hot", "hex", "times", "versions")


def _bound(one: Measurement) -> float:
    """Return the wall time in units of what it cannot be less than: the CPU, or the pages' delays side by side."""
    pages = -(-one["objects"] // _PAGE)
    return one["wall_s"] / max(one["cpu_s"], pages * one["delay_ms"] / 1_000 / _CONCURRENCY)


def _requests_for_1_000(one: Measurement) -> float:
    return one["requests"] / one["objects"] * 1_000


S3_WORKS = {
    "s3-versions": Work("S3, one folder, with version IDs", {"": Setting()}, _ALL, slow="wandb"),
    "s3-plain": Work(
        "S3, one folder, never versioned",
        {"": Setting(versions=False)},
        _ALL
        | {
            "obstore": _OBSTORE,
            "s3fs": Contender("s3fs_find"),
            "s5cmd": _S5CMD,
            "datachain": _DATACHAIN,
            "datachain-scandir": _SCANDIR,
        },
        (
            ratio("cpu_s", ("", "refscan-iterate"), ("", "obstore"), at_most=0.6),
            ratio("cpu_s", ("", "refscan-iterate"), ("", "aiobotocore"), at_least=40),
            ratio("cpu_s", ("", "refscan-iterate"), ("", "datachain-scandir"), at_least=8),
        ),
        slow="wandb",
    ),
    "s3-hierarchical": Work(
        "S3, folders in folders, with version IDs", {"": Setting(layout="hierarchical")}, _ALL, slow="wandb"
    ),
    "s3-manifest": Work(
        "S3, one folder, with version IDs, to a sealed manifest on disk; obstore lists only",
        {"": Setting(objects=_MILLION)},
        {"refscan-manifest": _MANIFEST, "obstore": _OBSTORE},
        (ratio("cpu_s", ("", "refscan-manifest"), ("", "obstore"), at_most=1.0),),
    ),
    "s3-delay": Work(
        "S3, one folder, with version IDs",
        {"": Setting(objects=_MILLION, delay_ms=_DELAY_MS)},
        {"refscan": _REFSCAN, "obstore": _OBSTORE, "s5cmd": _S5CMD, "datachain": _DATACHAIN},
        (
            figure("wall s, refscan", lambda one: one["wall_s"], ("", "refscan"), at_most=8),
            ratio("wall_s", ("", "refscan"), ("", "obstore"), at_least=12),
            ratio("wall_s", ("", "refscan"), ("", "datachain"), at_least=5),
            figure("wall / max(CPU, pages x delay / 64), refscan", _bound, ("", "refscan"), at_most=1.5),
        ),
    ),
    "s3-layouts": Work(
        "S3, keys of many kinds, with version IDs",
        {layout: Setting(layout=layout, objects=_MILLION, delay_ms=_DELAY_MS) for layout in ("flat", *_SLOW_LAYOUTS)},
        {"refscan": _REFSCAN},
        tuple(ratio("wall_s", (layout, "refscan"), ("flat", "refscan"), at_most=1.3) for layout in _SLOW_LAYOUTS),
    ),
    "s3-escaped": Work(
        "S3, every key needs unescaping, with version IDs",
        {layout: Setting(layout=layout, objects=_MILLION) for layout in ("flat", "escaped")},
        {"refscan-iterate": _ITERATE, "obstore": _OBSTORE},
        (ratio("cpu_s", ("escaped", "refscan-iterate"), ("flat", "refscan-iterate"), at_most=2.5),),
    ),
    "s3-requests": Work(
        "S3, how many requests, with version IDs",
        {
            name: Setting(objects=objects, delay_ms=_DELAY_MS)
            for name, objects in (("10^3", 1_000), ("10^4", 10_000), ("10^6", _MILLION))
        },
        {"refscan": _REFSCAN},
        (
            figure(
                "requests for 10^3 objects", lambda one: one["requests"], ("10^3", "refscan"), at_most=4, objects=1_000
            ),
            figure("requests for 1,000 of 10^6 objects", _requests_for_1_000, ("10^6", "refscan"), at_most=1.05),
        ),
    ),
    "s3-memory": Work(
        "S3, memory to a sealed manifest, with version IDs",
        {
            "10^6": Setting(objects=_MILLION, delay_ms=20.0),
            "10^7": Setting(objects=10 * _MILLION, delay_ms=20.0),
        },
        {"refscan-manifest": _MANIFEST},
        (
            ratio(
                "peak_mb",
                ("10^7", "refscan-manifest"),
                ("10^6", "refscan-manifest"),
                at_most=1.5,
                objects=10 * _MILLION,
                whole=True,
            ),
            figure(
                "peak MB of 10^7",
                lambda one: one["peak_mb"],
                ("10^7", "refscan-manifest"),
                at_most=400,
                objects=10 * _MILLION,
            ),
        ),
    ),
    "s3-small": Work(
        "S3, a folder of few objects, with version IDs, a new client each time",
        {"": Setting(objects=_SMALL)},
        {"refscan": _REFSCAN, "refscan-iterate": _ITERATE, **_SDKS},
        (ratio("wall_s", ("", "refscan"), ("", "aiobotocore"), at_most=1.0, objects=_SMALL),),
        times=50,
    ),
    "s3-head": Work(
        "S3, versions may not be listed: a HEAD for each object, 64 at once",
        {"": Setting(objects=20_000, denied=True)},
        {
            "refscan": _REFSCAN,
            "obstore-head": Contender("obstore_head", ("arro3.core",)),
            "aiobotocore-head": Contender("aiobotocore_head"),
        },
        (
            ratio("cpu_s", ("", "refscan"), ("", "obstore-head"), at_most=1.2, objects=20_000),
            ratio("cpu_s", ("", "refscan"), ("", "aiobotocore-head"), at_least=8, objects=20_000),
        ),
    ),
    "s3-verify": Work(
        "S3, a recorded version verified, every version ID; recording it is not measured",
        {"": Setting()},
        {
            "refscan-verify": Contender("refscan_verify", _MANIFEST.imports),
            "aiobotocore-verify": Contender("aiobotocore_verify"),
        },
        (
            figure("requests for 1,000 of 10^6 objects", _requests_for_1_000, ("", "refscan-verify"), at_most=1.1),
            ratio("cpu_s", ("", "refscan-verify"), ("", "aiobotocore-verify"), at_least=100),
        ),
        slow="aiobotocore-verify",
    ),
    "wandb-fill": Work(
        "S3, one folder, with version IDs, into a wandb.Artifact",
        {"": Setting(delay_ms=_WANDB_DELAY_MS)},
        {"refscan-wandb": _WANDB_FILL, "wandb": Contender("wandb_sdk", ("boto3",))},
        (
            ratio("wall_s", ("", "refscan-wandb"), ("", "wandb"), at_least=300, objects=100_000),
            ratio("cpu_s", ("", "refscan-wandb"), ("", "wandb"), at_least=50, objects=100_000),
        ),
        slow="wandb",
    ),
    "s3-faults": Work(
        "S3, 5 % of answers 503 or reset, 1 % truncated, with version IDs, to a sealed manifest",
        {
            "none": Setting(objects=_MILLION, delay_ms=_DELAY_MS),
            "faults": Setting(objects=_MILLION, delay_ms=_DELAY_MS, faults=0.05, truncated=0.01),
        },
        {"refscan-manifest": _MANIFEST},
        (
            ratio("wall_s", ("faults", "refscan-manifest"), ("none", "refscan-manifest"), at_most=1.5),
            same_digest(("faults", "refscan-manifest"), ("none", "refscan-manifest")),
        ),
    ),
}
"""By their names."""
