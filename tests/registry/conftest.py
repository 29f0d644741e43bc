"""What the registry's tests share: buckets in memory, drafts, and the catalog read without refscan."""

import itertools
import sqlite3

import pytest

from refscan import Artifact, MemorySource

_NUMBERS = itertools.count()


@pytest.fixture
def memory():
    """Make a bucket in memory of a name of its own: ``memory({"key": b"data"})``."""

    def make(objects=None, *, page_size=1_000):
        source = MemorySource(f"bucket-{next(_NUMBERS)}", page_size=page_size)
        for key, data in (objects or {}).items():
            source.put(key, data)
        return source

    return make


@pytest.fixture
def draft():
    """Make a draft with stored files: ``await draft("name", {"a.txt": "text"}, metadata=…)``."""

    async def make(name="data", files=None, *, type_name="dataset", metadata=None, description=None):
        artifact = Artifact(name, type=type_name, metadata=metadata, description=description)
        for path, text in (files or {}).items():
            async with artifact.new_file(path) as file:
                await file.write(text)
        return artifact

    return make


@pytest.fixture
def catalog(tmp_path):
    """Ask the default registry's database a question, past refscan: ``catalog("SELECT …")``."""

    def ask(question, *values, registry=tmp_path / "registry"):
        connection = sqlite3.connect(f"file:{registry / 'catalog.sqlite'}?mode=ro", uri=True)
        try:
            return connection.execute(question, values).fetchall()
        finally:
            connection.close()

    return ask
