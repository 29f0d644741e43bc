"""Where the W&B SDK puts the objects of S3, Google Cloud Storage and Azure, its mistakes included. No I/O.

As the storage handlers of the W&B SDK 0.31 do it: through ``pathlib``, which knows neither
``a//b`` nor a ``/`` at the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import urlparse

import pyarrow as pa
import pyarrow.compute as pc

from refscan.errors import InvalidPathError
from refscan.uri import StoreName

__all__ = ["StrictPlaces", "strict_uri"]

# pathlib changes a key that has an empty or a "." part.
_ODD = r"(?:^|/)\.?(?:/|$)"


def strict_uri(uri: str, store: StoreName) -> str:
    """Return the URI that W&B understands: ``?…`` and ``#…`` end a key; on S3 a pin is lost."""
    parts = urlparse(uri)
    if store == "s3":
        return f"s3://{parts.netloc}/{parts.path[1:]}"
    pin = f"#{parts.fragment}" if parts.fragment else ""
    return f"gs://{parts.netloc}/{parts.path.lstrip('/')}{pin}"


@dataclass(frozen=True, slots=True)
class StrictPlaces:
    """Places the objects of one reference as W&B does.

    Attributes:
        store: ``s3``, ``gcs`` or ``azure``.
        uri: The reference, as W&B understands it.
        name: The name given with it.
        multi: It is a folder.
    """

    store: StoreName
    uri: str
    name: str | None
    multi: bool

    def place(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """Return the rows (``MANIFEST_SCHEMA``) that W&B records, with its paths and references.

        Raises:
            InvalidPathError: W&B fails at a key, since it begins with ``/``.
        """
        rows = rows.filter(self._kept(rows))
        texts = rows.column("path") if self.store == "azure" else self._keys(rows)
        odd = pc.match_substring_regex(texts, _ODD)
        if self.store == "s3" and self.name is None and not self._key:
            # It looks for the prefix "." in the key, and takes an object without a dot for the bucket itself.
            odd = pc.or_(odd, pc.invert(pc.match_substring(texts, ".")))
        if not pc.any(odd).as_py():
            return rows
        paths, refs = rows.column("path").to_pylist(), rows.column("ref").to_pylist()
        for index in pc.indices_nonzero(odd).to_pylist():
            text = texts[index].as_py()
            if self.store == "azure":
                paths[index] = str(PurePosixPath(text))
            else:
                try:
                    paths[index], refs[index] = self._place_one(text)
                except ValueError:  # of pathlib: a key that begins with "/"
                    shown = refs[index]
                    raise InvalidPathError(
                        f"{shown}: W&B has no place for this key; leave strict= out", uri=shown
                    ) from None
        columns = {"path": pa.array(paths, pa.string()), "ref": pa.array(refs, pa.string())}
        return pa.record_batch(
            [columns.get(field.name, rows.column(field.name)) for field in rows.schema], schema=rows.schema
        )

    def _kept(self, rows: pa.RecordBatch) -> pa.Array:
        match self.store:
            case "s3":
                return pc.fill_null(pc.greater(rows.column("size"), 0), True)
            case "gcs":
                return pc.invert(pc.ends_with(rows.column("ref"), "/"))
        return pa.array([True] * rows.num_rows, pa.bool_())

    @property
    def _bucket(self) -> str:
        return urlparse(self.uri).netloc

    @property
    def _key(self) -> str:
        """The key or prefix that was referenced."""
        return urlparse(self.uri).path[1:]

    @property
    def _scheme(self) -> str:
        return urlparse(self.uri).scheme

    def _keys(self, rows: pa.RecordBatch) -> pa.Array:
        return pc.utf8_slice_codeunits(rows.column("ref"), len(f"{self._scheme}://{self._bucket}/"))

    def _place_one(self, text: str) -> tuple[str, str]:
        key, prefix = PurePosixPath(text), PurePosixPath(self._key)
        place = PurePosixPath(self._bucket) / self._key
        if self.name is not None and not self.multi:
            path = PurePosixPath(self.name)
        elif self.name is not None or self._is_below(key, prefix):
            relative = key.relative_to(prefix)
            path, place = PurePosixPath(self.name or "") / relative, place / relative
        else:
            path = PurePosixPath(key.name)
        return str(path), f"{self._scheme}://{place}"

    def _is_below(self, key: PurePosixPath, prefix: PurePosixPath) -> bool:
        if self.store == "s3":
            return str(prefix) in str(key) and prefix != key
        return prefix in key.parents
