"""W&B without a network: its settings, its caches and its service process belong to these tests alone."""

import os

import pytest
from beside import Beside


@pytest.fixture(scope="session", autouse=True)
def wandb_home(tmp_path_factory):
    """Keep the W&B SDK offline and silent, with its folders in a temporary one, and end its service at the end."""
    home = tmp_path_factory.mktemp("wandb-home")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("WANDB_")]:
            patch.delenv(name)
        for name in ("DIR", "CACHE_DIR", "CONFIG_DIR", "DATA_DIR", "ARTIFACT_DIR"):
            (home / name.lower()).mkdir()
            patch.setenv(f"WANDB_{name}", str(home / name.lower()))
        patch.setenv("WANDB_MODE", "offline")
        patch.setenv("WANDB_SILENT", "true")
        patch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")  # the discard port: nobody answers there
        import wandb

        yield home
        wandb.teardown()


@pytest.fixture
def beside():
    """Add references by the W&B SDK and by refscan, and compare."""
    return Beside()
