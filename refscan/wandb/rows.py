"""From the fields of W&B's entries to rows of a manifest. No I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from refscan.manifest.schema import MANIFEST_SCHEMA
from refscan.redact import redact
from refscan.uri import quote_key
from refscan.wandb.manifest_json import ManifestError
from refscan.wandb.shape import with_columns

__all__ = ["rows_of", "stored_in"]

_AZURE_HOST = r"https://[^/]+\.blob\.core\.windows\.net/"
_AZURE = re.compile(rf"({_AZURE_HOST}[^/]*/)(.*)", re.DOTALL)
_HAS_E_TAG = rf"^(?:s3://|gs://|{_AZURE_HOST})"
_TO_ESCAPE = rf"^{_AZURE_HOST}[^/]*/.*[%?#]"
_ANOTHER_ARTIFACT = r"^wandb-(?:client-)?artifact://"


def rows_of(shown: str, paths: Sequence[str], fields: Sequence[Mapping[str, Any]]) -> pa.RecordBatch:
    """Return the rows (``MANIFEST_SCHEMA``) of entries, in their order; ``ref`` is null where W&B has the file itself.

    Pins and ETags are kept. A size of 0 that W&B writes where it knows none is none.

    Raises:
        ArtifactError: A field is missing, or has the wrong type; or a secret would have to be recorded.
    """
    extras = [entry.get("extra") or {} for entry in fields]
    try:
        rows = pa.record_batch(
            {
                "path": _texts(paths),
                "ref": _texts([entry.get("ref") for entry in fields]),
                "digest": _texts([entry["digest"] for entry in fields]),
                "size": pa.array([entry.get("size") for entry in fields], pa.int64()),
                "version_id": _texts([_version(extra.get("versionID")) for extra in extras]),
                "e_tag": _texts([extra.get("etag") for extra in extras]),
            }
        )
    except KeyError:
        path = next(path for path, entry in zip(paths, fields, strict=True) if "digest" not in entry)
        raise ManifestError(f"{shown} is damaged: the entry {path!r} has no digest; get it again") from None
    except (AttributeError, TypeError, ValueError, OverflowError, pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise ManifestError(f"{shown} is damaged: a field of an entry is no text or no number: {error}") from None
    if rows.column("digest").null_count or pc.any(pc.less(rows.column("size"), 0)).as_py():
        raise ManifestError(f"{shown} is damaged: an entry has no digest, or a negative size; get it again")
    if pc.any(pc.equal(rows.column("path"), "")).as_py():
        raise ManifestError(f"{shown} is damaged: an entry has no path; get it again")
    rows = with_columns(rows, ref=pc.if_else(pc.equal(rows.column("ref"), ""), None, rows.column("ref")))
    return _as_recorded(_without_secrets(_with_sizes(rows), shown))


def stored_in(rows: pa.RecordBatch) -> pa.RecordBatch:
    """Return the rows whose files W&B has itself."""
    return rows.filter(pc.is_null(rows.column("ref")))


def _texts(values: Sequence[object]) -> pa.Array:
    return pa.array(values, pa.string())


def _version(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _with_sizes(rows: pa.RecordBatch) -> pa.RecordBatch:
    """Leave out sizes that are none: where the URI is the digest, and of entries of other artifacts."""
    refs, sizes = rows.column("ref"), rows.column("size")
    unread = pc.or_(pc.equal(refs, rows.column("digest")), pc.match_substring_regex(refs, _ANOTHER_ARTIFACT))
    unknown = pc.fill_null(pc.and_(unread, pc.equal(sizes, 0)), False)
    sizes = pc.if_else(unknown, pa.scalar(None, pa.int64()), sizes)
    # A file that W&B has itself is empty where no size was written.
    empty = pc.and_(pc.is_null(refs), pc.is_null(sizes))
    return with_columns(rows, size=pc.if_else(empty, 0, sizes))


def _without_secrets(rows: pa.RecordBatch, shown: str) -> pa.RecordBatch:
    refs = rows.column("ref")
    suspect = pc.fill_null(pc.match_substring_regex(refs, "://[^/]*@|[?&;#]"), False)
    if not pc.any(suspect).as_py():
        return rows
    clean, digests = refs.to_pylist(), rows.column("digest")
    for index in pc.indices_nonzero(suspect).to_pylist():
        ref = clean[index]
        clean[index] = redact(ref)
        if clean[index] != ref and digests[index].as_py() == ref:
            raise ManifestError(
                f"{shown}: the entry {rows.column('path')[index].as_py()!r} is identified by a URL that holds a "
                f"secret, which no manifest may hold; record {clean[index]} anew"
            )
    return with_columns(rows, ref=_texts(clean))


def _as_recorded(rows: pa.RecordBatch) -> pa.RecordBatch:
    """Return the rows with references and ETags as refscan records them."""
    refs, digests = rows.column("ref"), rows.column("digest")
    named = pc.fill_null(pc.equal(refs, digests), False)
    tagged = pc.fill_null(pc.match_substring_regex(refs, _HAS_E_TAG), False)
    own = pc.if_else(pc.and_not(tagged, named), digests, pa.scalar(None, pa.string()))
    # W&B writes blobs' names as they are, refscan as URLs have them.
    raw = pc.fill_null(pc.match_substring_regex(refs, _TO_ESCAPE), False)
    if pc.any(raw).as_py():
        texts = refs.to_pylist()
        for index in pc.indices_nonzero(raw).to_pylist():
            if (match := _AZURE.fullmatch(texts[index])) is not None:
                texts[index] = match[1] + quote_key(match[2], "azure")
        refs = _texts(texts)
    columns = {"ref": refs, "e_tag": pc.coalesce(rows.column("e_tag"), own)}
    arrays = {name: rows.column(name) for name in rows.schema.names} | columns
    return pa.record_batch(
        [
            arrays[field.name] if field.name in arrays else pa.nulls(rows.num_rows, field.type)
            for field in MANIFEST_SCHEMA
        ],
        schema=MANIFEST_SCHEMA,
    )
