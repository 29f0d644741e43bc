"""Programs that tests need and Python packages do not bring."""

import os
import shutil

import pytest


def find_program(name: str, *, install: str) -> str:
    """Return the program's path; without it the test is skipped, or fails where ``REFSCAN_NO_SKIP`` is set (CI)."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if path is not None:
        return path
    reason = f"{name} is not installed; install it with: {install}"
    if os.environ.get("REFSCAN_NO_SKIP"):
        pytest.fail(reason)
    pytest.skip(reason)
