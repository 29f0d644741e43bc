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
    """Let a thread have no time for more; the seconds that each answer took."""
    told = []

    class Full(Load):
        def answered(self, seconds: float) -> None:
            told.append(seconds)

        def is_full(self) -> bool:
            return True

    monkeypatch.setattr(ranges, "Load", Full)
    return told
