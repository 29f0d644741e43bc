"""Where entries land, against a model of plain sets: inside the root, each a file of its own, or refused by name."""

import os
import tempfile
from pathlib import Path

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import refscan
from refscan import Artifact, InvalidPathError, MemorySource, PathConflictError
from refscan.download.plan import check_paths, target_of
from refscan.manifest.schema import manifest_rows

PARTS = st.sampled_from(["", "", "a", "a", "b", "c", "a!", "a0", "A", "é", "...", ".a", "~", "\\", "\n", "x" * 255])
ODD_PARTS = st.one_of(PARTS, st.sampled_from([".", "..", "x" * 256, "é" * 128, "é" * 127, "\0", "a\0b"]))


def paths_of(parts):
    paths = st.lists(parts, min_size=1, max_size=4).map("/".join).filter(bool)
    return st.lists(paths, min_size=1, max_size=7, unique=True)


def batches_of(paths, size):
    ordered = sorted(paths, key=str.encode)

    def batches():
        for start in range(0, len(ordered), size):
            part = ordered[start : start + size]
            yield manifest_rows(path=part, digest=["d"] * len(part))

    return batches


def is_invalid(path):
    parts = [part for part in path.split("/") if part]
    return (
        not parts
        or path.endswith("/")
        or "\0" in path
        or not {".", ".."}.isdisjoint(parts)
        or any(len(os.fsencode(part)) > 255 for part in parts)
    )


def clashing(paths):
    """All paths that cannot be files beside the others."""
    located = [(path, tuple(part for part in path.split("/") if part)) for path in paths]
    return {
        path
        for path, parts in located
        for other, other_parts in located
        if other != path and (parts[: len(other_parts)] == other_parts or other_parts[: len(parts)] == parts)
    }


@settings(max_examples=400)
@given(paths_of(ODD_PARTS), st.integers(1, 4))
def test_a_plan_is_refused_exactly_where_the_model_says_so(paths, size):
    invalid = [path for path in paths if is_invalid(path)]
    clashes = clashing(path for path in paths if not is_invalid(path))
    try:
        check_paths(batches_of(paths, size))
    except InvalidPathError as error:
        assert any(repr(path) in str(error) for path in invalid)  # noqa: PT017  the model decides whether it is right
    except PathConflictError as error:
        assert sum(repr(path) in str(error) for path in clashes) >= 2  # noqa: PT017
    else:
        assert not invalid
        assert not clashes


@given(paths_of(PARTS))
def test_targets_stay_inside_the_root_and_apart(paths):
    good = [path for path in paths if not is_invalid(path)]
    targets = {path: target_of(path) for path in good}
    for path, target in targets.items():
        assert os.path.normpath(f"/root/{target}") == f"/root/{target}"
        assert target.split("/") == [part for part in path.split("/") if part]
    if not clashing(good):
        assert len(set(targets.values())) == len(good)


@settings(max_examples=40)
@given(paths_of(PARTS))
def test_a_download_writes_what_the_plan_says_or_nothing(keys):
    async def scenario(folder):
        source = MemorySource("planned")
        for key in keys:
            source.put(key, key.encode())
        async with refscan.init(project="demo", registry=folder / "registry") as run:
            artifact = Artifact("data", type="dataset")
            await artifact.add_reference(source.base)
            version = await run.log_artifact(artifact)
        before, root = source.requests, folder / "deep" / "root"
        if any(map(is_invalid, keys)) or clashing(keys):
            with pytest.raises((InvalidPathError, PathConflictError)):
                await version.download(root)
            assert source.requests == before, "nothing was fetched"
            assert not (folder / "deep").exists(), "nothing was written"
            return
        await version.download(root)
        found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
        found = {path for path in found if not path.startswith("registry/")}
        assert found == {"deep/root/" + "/".join(part for part in key.split("/") if part) for key in keys}
        for key in keys:
            assert (root / target_of(key)).read_bytes() == key.encode()

    with tempfile.TemporaryDirectory() as folder:
        anyio.run(scenario, Path(folder))


@pytest.mark.parametrize(
    "path",
    [
        *("../a", "a/../b", "..", "a/..", "/..", "//../a"),
        *(".", "./a", "a/./b", "a/."),
        *("a/", "/", "//", "a//", "a\0b"),
        *("x" * 256, "é" * 128, f"a/{'中' * 86}/b"),
    ],
)
async def test_a_path_that_cannot_be_a_file_is_refused_by_name_before_anything_is_done(memory, log, tmp_path, path):
    source = memory({path: b"x", "0-first": b"x", "~last": b"x"})
    version = await log(source.base)
    before = source.requests
    with pytest.raises(InvalidPathError) as caught:
        await version.download(tmp_path / "root")
    assert repr(path) in str(caught.value)
    assert source.requests == before
    assert not (tmp_path / "root").exists()
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("name", ["x" * 255, "é" * 127, "中" * 85, "..a", "a..", "...", " ", "\n", "\x7f", "*", "-rf"])
async def test_a_path_that_can_be_a_file_is_one(memory, log, tmp_path, name, files_below):
    source = memory({f"deep/{name}": b"1", name: b"2"})
    version = await log(source.base)
    await version.download(tmp_path / "root")
    assert files_below(tmp_path / "root") == {f"deep/{name}": b"1", name: b"2"}


async def test_repeated_and_leading_slashes_land_inside_the_root(memory, log, tmp_path, files_below):
    source = memory({"a//b": b"1", "/c": b"2", "//d///e": b"3", "/": b"", "f": b"4"})
    version = await log(source.base)
    await version.download(tmp_path / "root")
    assert files_below(tmp_path / "root") == {"a/b": b"1", "c": b"2", "d/e": b"3", "f": b"4"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a", "a/b"),
        ("a", "a/b/c"),
        ("a//b", "a/b"),
        ("/a", "a"),
        ("/a", "//a"),
        ("a", "a//b"),
        ("/a", "a/b"),
        ("a/b", "/a"),
    ],
)
async def test_entries_that_clash_are_refused_by_name_before_anything_is_done(memory, log, tmp_path, one, other):
    source = memory({one: b"1", other: b"2", "0": b"", "a!": b"", "a.txt": b"", "z": b""})
    version = await log(source.base)
    before = source.requests
    with pytest.raises(PathConflictError) as caught:
        await version.download(tmp_path / "root")
    assert repr(one) in str(caught.value)
    assert repr(other) in str(caught.value)
    assert source.requests == before
    assert not (tmp_path / "root").exists()


async def test_entries_that_clash_can_be_downloaded_apart(memory, log, tmp_path, files_below):
    source = memory({"a": b"1", "a/b": b"2", "c/../d": b"3"})
    version = await log(source.base)
    await version.download(tmp_path / "root", path_prefix="a/")
    assert files_below(tmp_path / "root") == {"a/b": b"2"}
