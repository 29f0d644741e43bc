"""Threads that have time: sources of these tests answer at once, so that a thread would be busy with them alone."""

import pytest

from refscan.scan import ranges
from refscan.scan.load import Load


@pytest.fixture(autouse=True, scope="package")
def idle():
    """Let a listing have as many hands as it finds work for; ``busy`` takes that back."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranges, "Load", lambda: Load(used=lambda: 0.0))
        yield


@pytest.fixture
def busy(monkeypatch):
    """Let a thread have no time for more."""

    class Full(Load):
        def is_full(self) -> bool:
            return True

    monkeypatch.setattr(ranges, "Load", Full)
