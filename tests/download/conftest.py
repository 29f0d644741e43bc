"""What the download's tests share: buckets in memory, and versions made of references."""

import itertools

import pytest

import refscan
from refscan import Artifact, MemorySource

_NUMBERS = itertools.count()


@pytest.fixture
def memory():
    """Make a bucket in memory of a name of its own: ``memory({"key": b"data"})``."""

    def make(objects=None, *, page_size=1_000):
        source = MemorySource(f"download-{next(_NUMBERS)}", page_size=page_size)
        for key, data in (objects or {}).items():
            source.put(key, data)
        return source

    return make


@pytest.fixture
def log():
    """Log references as a version: ``await log("file:///x", ("memory://m/", "name"), checksum=True)``."""

    async def make(*references, **options):
        async with refscan.init(project="demo") as run:
            artifact = Artifact("data", type="dataset")
            for reference in references:
                uri, name = reference if isinstance(reference, tuple) else (reference, None)
                await artifact.add_reference(uri, name, **options)
            return await run.log_artifact(artifact)

    return make


@pytest.fixture
def files_below():
    """Read everything below a directory: ``files_below(root) == {"a/b": b"data"}``."""

    def read(root):
        return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if not path.is_dir()}

    return read
