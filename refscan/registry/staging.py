"""Files on their way into the registry: copied and hashed in one go, so that later changes do not reach them."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import tempfile
import uuid
import weakref
from pathlib import Path

from refscan.errors import ArtifactError
from refscan.registry.store import LocalStore
from refscan.sources.local import LocalSource
from refscan.sources.local.files import Facts, copy_file

__all__ = ["Staging", "StagingSource"]


class Staging:
    """A folder of copies, each named by the base64 MD5 of its content; removed when it is collected.

    Args:
        parent: Where the folder is made; the system's folder for temporary files by default.
    """

    def __init__(self, parent: Path | None = None) -> None:
        self._parent = parent
        self._folder: Path | None = None
        self._moved_to: Path | None = None
        self._remove: weakref.finalize[..., Staging] | None = None

    @property
    def folder(self) -> Path:
        """The folder; made when it is first asked for."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="refscan-", dir=self._parent))
            self._remove = weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        return self._folder

    def path(self, digest: str) -> Path:
        """Return where the copy with this base64 MD5 lies."""
        return self.folder / base64.b64decode(digest).hex()

    def new(self) -> Path:
        """Return a name for a file that is still being written."""
        return self.folder / f"new-{uuid.uuid4().hex}"

    def adopt(self, path: Path) -> tuple[int, str]:
        """Give a file of this folder its final name, and return its size and digest."""
        with path.open("rb") as file:
            digest = base64.b64encode(hashlib.file_digest(file, "md5").digest()).decode()
            size = os.fstat(file.fileno()).st_size
        path.replace(self.path(digest))
        return size, digest

    @property
    def moved(self) -> bool:
        """Its copies lie in a store: they were moved there, or some of them."""
        return self._moved_to is not None

    def move_to(self, store: LocalStore) -> None:
        """Move all copies into a store.

        Raises:
            ArtifactError: They were moved to another store before.
        """
        if self._folder is None:
            return
        if self._moved_to not in (None, store.root):
            raise ArtifactError(f"its files were stored in the registry {self._moved_to}; add them to a new Artifact")
        self._moved_to = store.root
        paths = [path for path in self._folder.iterdir() if not path.name.startswith("new-")]
        store.put_files((path, base64.b64encode(bytes.fromhex(path.name)).decode()) for path in paths)


class StagingSource(LocalSource):
    """Local files whose ``stat`` copies them.

    Args:
        staging: Takes the copies.
    """

    def __init__(self, staging: Staging) -> None:
        super().__init__()
        self._staging = staging

    def read_facts(self, path: str) -> Facts | None:
        """Copy a file while hashing it; ``None`` for what is no regular file."""
        copy = self._staging.new()
        facts = copy_file(path, copy)
        if facts is not None and facts.md5 is not None:
            copy.replace(self._staging.path(facts.md5))
        return facts
