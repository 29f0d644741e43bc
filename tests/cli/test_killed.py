"""``put`` killed or interrupted anywhere: the version is there whole or not at all, and the next one is right."""

import asyncio
import hashlib
import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest

from refscan.registry.registry import Registry
from refscan.registry.version import Version

REFERENCED, STORED = 2_000, 400
KILL_POINTS = 20
INTERRUPT_POINTS = 8
APPEARING = ["catalog.sqlite", "tmp/*", "tmp/*/*", "files/*/*", "segments/*/*", "manifests/*/*", "catalog.sqlite-wal"]
INTERRUPTED = "refscan: interrupted; nothing half-done was kept\n"


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """A tree to be referenced, and one to be stored."""
    folder = tmp_path_factory.mktemp("killed")
    for name, count in (("referenced", REFERENCED), ("stored", STORED)):
        for number in range(count):
            path = folder / name / f"{name[0]}{number % 23:02}" / f"{number:05}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(f"{name} {number}".encode())
    return folder


@pytest.fixture
def start(command, environment, sources):
    """Start ``put`` into a registry, in a process of its own."""

    def run(registry):
        words = ["artifact", "put", "--registry", str(registry), "--name", "p/n", "--type", "t", "--json"]
        return subprocess.Popen(
            [*command, *words, f"file://{sources}/referenced", f"{sources}/stored"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            text=True,
        )

    return run


@pytest.fixture
def whole(start, tmp_path):
    """How long ``put`` takes, when its registry appears, and the digest it prints when nothing disturbs it."""
    began, registry = time.monotonic(), tmp_path / "undisturbed"
    process = start(registry)
    watch(process, registry, "catalog.sqlite")
    appeared = time.monotonic() - began
    output, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (0, "")
    return appeared, time.monotonic() - began, check(registry, output)


def watch(process, registry, pattern):
    """Wait until a file appears, or the process has ended."""
    while process.poll() is None and not any(registry.glob(pattern)):
        os.sched_yield()


def check(registry, output=None):
    """Make sure that the registry holds one whole version, or none; return its digest."""

    async def read():
        async with Registry(registry) as opened:
            records = await opened.catalog.newest(None, None)
            return [Version.of(record, opened, created=False) for record in records]

    versions = asyncio.run(read())
    if not versions:
        assert not output
        return None
    (version,) = versions
    assert (version.uri, version.aliases) == ("refscan://p/n:v0", ("latest",))
    assert version.entry_count == REFERENCED + STORED
    rows = [row for batch in version.batches() for row in batch.to_pylist()]
    assert len(rows) == REFERENCED + STORED
    for row in rows:
        if row["ref"] is None:
            data = version.store.file_path(row["digest"]).read_bytes()
            assert data.startswith(b"stored ")
            assert version.store.file_path(row["digest"]).name == hashlib.md5(data).hexdigest()
    assert sum(row["ref"] is None for row in rows) == STORED
    return version.digest


def put_next(refscan, registry, sources, digest):
    """Put the same again, and something new; both must get the numbers that follow."""
    words = ("artifact", "put", "--registry", registry, "--name", "p/n", "--type", "t", "--json")
    again = refscan(*words, f"file://{sources}/referenced", f"{sources}/stored")
    assert again.code == 0
    assert (again.json["version"], again.json["created"]) == ("v0", digest is None)
    exported = refscan("artifact", "export", "--registry", registry, "p/n:v0", "--format", "jsonl")
    assert (exported.code, exported.output.count("\n")) == (0, REFERENCED + STORED)
    new = refscan(*words, f"{sources}/stored/s00")
    assert (new.json["version"], new.json["created"]) == ("v1", True)
    return again.json["digest"]


def leave(process, how):
    """Send the signal, unless the process has ended; return its code, output and error."""
    if process.poll() is None:
        os.kill(process.pid, how)
    output, error = process.communicate(timeout=60)
    return process.returncode, output, error


@pytest.mark.timeout(300)
def test_put_killed_at_many_moments(start, whole, sources, refscan, tmp_path):
    appeared, duration, digest = whole
    codes = []
    for point in range(KILL_POINTS):
        registry = tmp_path / f"moment-{point}"
        process = start(registry)
        with suppress(subprocess.TimeoutExpired):
            process.wait(appeared * 0.9 + (duration - appeared * 0.9) * point / (KILL_POINTS - 1))
        code, output, _ = leave(process, signal.SIGKILL)
        codes.append(code)
        found = check(registry, output)
        assert found in (None, digest)
        assert found == digest or code != 0, "what says it is done is there"
        if point % 4 == 0:
            assert put_next(refscan, registry, sources, found) == digest
    assert -signal.SIGKILL in codes


@pytest.mark.parametrize("pattern", APPEARING)
def test_put_killed_as_files_appear(start, sources, refscan, tmp_path, pattern):
    registry = tmp_path / "appearing"
    process = start(registry)
    watch(process, registry, pattern)
    code, output, error = leave(process, signal.SIGKILL)
    assert code in (0, -signal.SIGKILL), error
    assert any(registry.glob(pattern)) or pattern.startswith("tmp/") or code == 0
    put_next(refscan, registry, sources, check(registry, output))


def test_put_killed_beside_an_earlier_version(start, sources, refscan, tmp_path):
    registry = tmp_path / "earlier"
    words = ("artifact", "put", "--registry", registry, "--name", "p/n", "--type", "t", "--json")
    for number, pattern in enumerate(["tmp/*/*", "segments/*/*", "manifests/*/*"]):
        before = refscan(*words, f"{sources}/stored/s{number:02}").json
        known = {path for path in registry.rglob("*") if path.is_file()}
        process = start(registry)
        while process.poll() is None and set(registry.glob(pattern)) <= known:
            os.sched_yield()
        leave(process, signal.SIGKILL)
        newest = refscan("artifact", "ls", "--registry", registry, "--json").json[0]
        if newest["version"] == before["version"]:
            assert newest["digest"] == before["digest"]
        else:
            assert newest["entries"] == REFERENCED + STORED
        assert refscan("artifact", "verify", "--registry", registry, "p/n").code == 0
        following = refscan(*words, f"{sources}/stored/s1{number}").json
        assert int(following["version"][1:]) == int(newest["version"][1:]) + 1


def test_put_interrupted_at_many_moments(start, whole, sources, refscan, tmp_path):
    appeared, duration, digest = whole
    codes = []
    for point in range(INTERRUPT_POINTS):
        registry = tmp_path / f"moment-{point}"
        process = start(registry)
        watch(process, registry, "catalog.sqlite")
        with suppress(subprocess.TimeoutExpired):
            process.wait((duration - appeared) * point / INTERRUPT_POINTS)
        code, output, error = leave(process, signal.SIGINT)
        codes.append(code)
        found = check(registry, output)
        if output:
            # It was done; what is interrupted is at most the event loop's end, or the interpreter's.
            assert (code, error) in [(0, ""), (-signal.SIGINT, ""), (130, INTERRUPTED)]
            assert found == digest
            continue
        assert code == 130
        assert error == INTERRUPTED
        assert found in (None, digest)
        assert list((registry / "tmp").glob("*")) == [], "what was staged is cleaned up"
        if point % 3 == 0:
            assert put_next(refscan, registry, sources, found) == digest
    assert 130 in codes


def test_a_download_killed_at_many_moments_leaves_no_wrong_file(command, environment, refscan, tmp_path):
    content = {f"{number}": os.urandom(1 << 20) for number in range(24)}
    (tmp_path / "large").mkdir()
    for name, data in content.items():
        (tmp_path / "large" / name).write_bytes(data)
    assert refscan("artifact", "put", "--name", "p/n", "--type", "t", f"file://{tmp_path}/large").code == 0

    def files(root):
        return {path.name: path.read_bytes() for path in Path(root).glob("*") if not path.name.startswith(".refscan-")}

    for count in (1, 8, 16):
        root = tmp_path / f"root-{count}"
        process = subprocess.Popen(
            [*command, "artifact", "get", "--root", str(root), "p/n"], stdout=subprocess.DEVNULL, env=environment
        )
        while process.poll() is None and len(list(root.glob("*"))) < count:
            os.sched_yield()
        leave(process, signal.SIGKILL)
        assert files(root).items() <= content.items()
        kept = len(files(root))
        result = refscan("artifact", "get", "--root", root, "p/n")
        assert result.output.endswith(f", {kept} kept\n")
        assert files(root) == content
