"""The package: its public names, what importing it loads, and what its metadata says."""

import ast
import importlib
import importlib.metadata
import importlib.resources
import json
import subprocess
import sys
import tomllib
import types
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import refscan

ROOT = Path(__file__).parent.parent
HEAVY = {"aiobotocore", "aioboto3", "aiohttp", "aiosqlite", "boto3", "botocore", "pyarrow", "sqlalchemy", "yarl"}


def loaded_by(statement):
    code = f"import json, sys\n{statement}\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    return {name.partition(".")[0] for name in json.loads(done.stdout)}


def test_the_public_names_are_sorted_and_unique():
    assert sorted(set(refscan.__all__)) == refscan.__all__


@pytest.mark.parametrize("name", refscan.__all__)
def test_a_public_name_is_there(name):
    value = getattr(refscan, name)
    assert value.__name__ == name
    assert value.__module__.startswith("refscan.")
    assert value.__doc__
    assert name in importlib.import_module(value.__module__).__all__


def test_nothing_else_of_it_is_public():
    others = {name: value for name, value in vars(refscan).items() if name[0] != "_" and name not in refscan.__all__}
    own = {
        name
        for name, value in others.items()
        if not isinstance(value, types.ModuleType) and str(getattr(value, "__module__", "")).startswith("refscan")
    }
    assert own == set()


def test_public_names_show_in_dir():
    assert set(refscan.__all__) <= set(dir(refscan))
    assert dir(refscan) == sorted(dir(refscan))


def test_a_star_import_gives_the_public_names():
    names = {}
    exec("from refscan import *", names)
    assert set(refscan.__all__) <= set(names)


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'refscan' has no attribute 'nonsense'"):
        refscan.nonsense  # noqa: B018  the access is what fails


def test_importing_loads_nothing_heavy():
    assert not loaded_by("import refscan") & HEAVY


def test_errors_can_be_caught_without_anything_heavy():
    assert not loaded_by("from refscan import ObjectNotFoundError, PathConflictError, RefscanError") & HEAVY


def test_the_command_line_reads_its_words_without_anything_heavy():
    statement = "from refscan.cli.main import main\ntry: main(['--version'])\nexcept SystemExit: print()"
    code = f"import json, sys, io\nsys.stdout = io.StringIO()\n{statement}\nsys.stdout = sys.__stdout__"
    assert not loaded_by(code) & HEAVY


@pytest.mark.parametrize("name", ["Artifact", "init", "scan", "MemorySource"])
def test_recording_loads_no_cloud_sdk_before_one_is_needed(name):
    loaded = loaded_by(f"from refscan import {name}")
    assert not loaded & {"aiobotocore", "aioboto3", "aiohttp", "azure", "boto3", "botocore", "fsspec", "gcloud"}


def test_every_error_is_a_refscan_error_and_has_a_uri():
    errors = [getattr(refscan, name) for name in refscan.__all__ if name.endswith("Error")]
    assert len(errors) > 10
    for error in errors:
        assert issubclass(error, refscan.RefscanError)
        raised = error("what to do", uri="s3://bucket/key")
        assert (str(raised), raised.uri) == ("what to do", "s3://bucket/key")
        assert error("what to do").uri is None


def test_errors_are_caught_by_what_callers_would_write():
    assert issubclass(refscan.ObjectNotFoundError, FileNotFoundError)
    assert issubclass(refscan.AccessDeniedError, PermissionError)
    assert issubclass(refscan.StoreError, OSError)
    assert issubclass(refscan.RegistryError, LookupError)
    for error in (refscan.InvalidURIError, refscan.PathConflictError, refscan.DigestMismatchError):
        assert issubclass(error, ValueError)


def test_the_metadata():
    metadata = importlib.metadata.metadata("refscan")
    assert metadata["Name"] == "refscan"
    assert importlib.metadata.version("refscan").count(".") == 2
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "Apache-2.0"
    (script,) = importlib.metadata.entry_points(group="console_scripts", name="refscan")
    assert script.value == "refscan.cli.main:main"
    assert script.load().__name__ == "main"


def test_what_it_imports_is_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted, needed = [*project["dependencies"], *extras["fsspec"], *extras["wandb"]], set()
    while wanted:
        requirement = Requirement(wanted.pop())
        name = canonicalize_name(requirement.name)
        if name not in needed and (requirement.marker is None or requirement.marker.evaluate({"extra": ""})):
            needed.add(name)
            wanted += importlib.metadata.requires(name) or []
    homes = importlib.metadata.packages_distributions()
    missing = {
        name
        for name in imported_by(ROOT / "refscan") - {"refscan", *sys.stdlib_module_names}
        if not needed & {canonicalize_name(home) for home in homes.get(name, ())}
    }
    assert missing == set()


def imported_by(folder):
    """Return the top-level names that the code below a folder imports."""
    names = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names.add(node.module.partition(".")[0])
    return names


def test_the_package_is_typed():
    assert importlib.resources.files("refscan").joinpath("py.typed").is_file()
