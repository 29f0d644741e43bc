"""``--resume DIR``: killed at any request, the command goes on where it was, and ends as if nothing had been."""

import json
import os
import signal
import subprocess
import sys
import tempfile

import pyarrow.parquet as pq
import pytest
from servers.listing import ListingServer

PAGE = 20
KEYS = [f"data/{number % 7}/ü & {number:05}?.png" for number in range(3_000)]
URI = "s3://bucket/data/"
KILLS = [0, 1, 2, 5, 40, 120, 180]
# What a listing tells of itself, apart from how it was shared out and when.
LASTING = ("uri", "name", "prefix", "checksum", "objects", "bytes", "pinned", "skipped", "include", "exclude")


@pytest.fixture(scope="module")
def server():
    with ListingServer(KEYS, page_size=PAGE) as running:
        yield running


@pytest.fixture
def environment(aws, environment, server, tmp_path):  # noqa: ARG001
    """As for any command, with that server for S3, and a folder for temporary files."""
    (tmp_path / "temporary").mkdir()
    server.begin()
    names = [name for name in os.environ if name.startswith("AWS_")]
    return (
        environment
        | {name: os.environ[name] for name in names}
        | {"AWS_S3_ENDPOINT_URL": server.url, "TMPDIR": str(tmp_path / "temporary")}
    )


@pytest.fixture
def begin(command, environment):
    """Start a command in a process of its own."""
    started = []

    def run(*words):
        process = subprocess.Popen(
            [*command, *map(str, words)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            text=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
            process.communicate(timeout=60)


@pytest.fixture
def stop(begin, server):
    """Start a command, and end it when the server has answered so many requests for pages and holds the next."""

    def run(*words, after, how=signal.SIGKILL):
        server.begin(hold_after=after)
        process = begin(*words)
        assert server.held.wait(60), "it came as far"
        process.send_signal(how)
        output, error = process.communicate(timeout=60)
        asked = [*server.pages]
        server.begin()
        return process.returncode, output, error, asked

    return run


def words_of_scan(tmp_path, name="resumed"):
    output = tmp_path / f"{name}.parquet"
    return "scan", "--max-objects", "none", "--json", "--resume", tmp_path / name, "--output", output, URI


def words_of_put(tmp_path, name="resumed", uri=URI):
    place = tmp_path / f"registry-{name}"
    words = ("--name", "p/n", "--type", "t", "--max-objects", "none", "--json", "--resume", tmp_path / name)
    return "artifact", "put", "--registry", place, *words, uri


def end(begin, words):
    output, error = (process := begin(*words)).communicate(timeout=60)
    assert (process.returncode, error) == (0, "")
    return json.loads(output)


def check_receipt(receipt, undisturbed, *, resumed):
    assert {name: receipt[name] for name in LASTING} == {name: undisturbed[name] for name in LASTING}
    assert receipt["resumed"] is resumed
    assert sum(part["objects"] for part in receipt["ranges"]) == len(KEYS)


def check_table(path, server):
    rows = pq.read_table(path).select(["key", "size", "e_tag", "version_id"]).to_pylist()
    assert rows == server.rows("data/")


def check_requests(undisturbed, *runs):
    """Make sure that each kill cost few requests: those under way, and some to find out anew what is large."""
    kills, asked = len(runs) - 1, [request.after for pages in runs for request in pages]
    assert len(asked) <= len(undisturbed) + 30 * kills
    assert len(asked) - len({*asked}) <= 16 * kills


@pytest.fixture(scope="module")
def undisturbed():
    """What each command says, asks and writes when nothing happens; filled in by the first test that needs it."""
    return {}


@pytest.fixture
def scanned(begin, server, tmp_path, undisturbed):
    """An undisturbed scan: its receipt, its requests and its table."""
    if "scan" not in undisturbed:
        words = words_of_scan(tmp_path, "undisturbed")
        receipt = end(begin, words)
        table = pq.read_table(tmp_path / "undisturbed.parquet")
        undisturbed["scan"] = receipt, [*server.pages], table
        check_table(tmp_path / "undisturbed.parquet", server)
        assert not (tmp_path / "undisturbed").exists()
        server.begin()
    return undisturbed["scan"]


@pytest.fixture
def put(begin, server, tmp_path, undisturbed):
    """An undisturbed put: what it says, its requests and its entries."""
    if "put" not in undisturbed:
        words = words_of_put(tmp_path, "undisturbed")
        version = end(begin, words)
        undisturbed["put"] = version, [*server.pages], exported(begin, words[3])
        server.begin()
    return undisturbed["put"]


def exported(begin, registry):
    process = begin("artifact", "export", "--registry", registry, "p/n:v0", "--format", "jsonl")
    output, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (0, "")
    return output


@pytest.mark.parametrize("after", KILLS)
def test_a_scan_killed_goes_on(*, begin, stop, server, scanned, tmp_path, after):
    receipt, asked, table = scanned
    words = words_of_scan(tmp_path)
    code, output, _, first = stop(*words, after=after)
    assert (code, output) == (-signal.SIGKILL, "")
    assert len(first) == after
    assert not (tmp_path / "resumed.parquet").exists()
    assert (tmp_path / "resumed" / "journal").exists()
    assert list((tmp_path / "temporary").iterdir()) == []
    again = end(begin, words)
    check_receipt(again, receipt, resumed=True)
    check_requests(asked, first, server.pages)
    assert again["requests"] <= receipt["requests"] + 30
    assert pq.read_table(tmp_path / "resumed.parquet").equals(table)
    assert not (tmp_path / "resumed").exists()
    assert list(tmp_path.glob(".*")) == []
    assert list((tmp_path / "temporary").iterdir()) == []


def test_a_scan_killed_twice_goes_on(begin, stop, server, scanned, tmp_path):
    receipt, asked, table = scanned
    words = words_of_scan(tmp_path)
    *_, first = stop(*words, after=60)
    *_, second = stop(*words, after=50)
    again = end(begin, words)
    check_receipt(again, receipt, resumed=True)
    check_requests(asked, first, second, server.pages)
    assert pq.read_table(tmp_path / "resumed.parquet").equals(table)
    assert not (tmp_path / "resumed").exists()


@pytest.mark.parametrize("words_of", [words_of_scan, words_of_put])
def test_one_interrupted_goes_on(*, begin, stop, server, scanned, tmp_path, words_of):
    _, asked, table = scanned
    words = words_of(tmp_path)
    code, output, error, first = stop(*words, after=70, how=signal.SIGINT)
    assert (code, output) == (130, "")
    assert error.startswith("refscan: interrupted; ")
    assert error.count("\n") == 1
    again = end(begin, words)
    check_requests(asked, first, server.pages)
    if words_of is words_of_put:
        assert again["entries"] == len(KEYS)
        again = again["receipts"][0]
    else:
        assert pq.read_table(tmp_path / "resumed.parquet").equals(table)
    assert again["resumed"]
    assert again["objects"] == len(KEYS)


@pytest.mark.parametrize("after", [0, 3, 90, 170])
def test_a_put_killed_goes_on(*, begin, stop, server, put, tmp_path, after):
    version, asked, entries = put
    words = words_of_put(tmp_path)
    code, output, _, first = stop(*words, after=after)
    assert (code, output) == (-signal.SIGKILL, "")
    assert list((tmp_path / "temporary").iterdir()) == []
    again = end(begin, words)
    assert {name: again[name] for name in ("version", "digest", "entries", "bytes", "created")} == {
        name: version[name] for name in ("version", "digest", "entries", "bytes", "created")
    }
    check_receipt(again["receipts"][0], version["receipts"][0], resumed=True)
    check_requests(asked, first, server.pages)
    assert exported(begin, words[3]) == entries
    assert not (tmp_path / "resumed").exists()
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.parametrize("words_of", [words_of_scan, words_of_put])
def test_a_directory_in_use_is_refused(begin, server, tmp_path, words_of):
    words = words_of(tmp_path)
    server.begin(hold_after=30)
    process = begin(*words)
    assert server.held.wait(60)
    asked = len(server.pages) + server.waiting
    second = begin(*words)
    output, error = second.communicate(timeout=60)
    assert (second.returncode, output) == (1, "")
    assert error.startswith("refscan: ")
    assert "is used by a scan that is running" in error
    assert error.count("\n") == 1
    assert len(server.pages) + server.waiting <= asked + server.most_under_way
    process.kill()
    process.communicate(timeout=60)
    server.begin()
    end(begin, words)


@pytest.mark.parametrize("words_of", [words_of_scan, words_of_put])
@pytest.mark.parametrize("other", ["s3://bucket/data/1/", "s3://another/data/"])
def test_a_directory_of_another_uri_is_refused(*, begin, stop, server, tmp_path, words_of, other):
    words = words_of(tmp_path)
    stop(*words, after=30)
    kept = {path: path.read_bytes() for path in (tmp_path / "resumed").rglob("*") if path.is_file()}
    process = begin(*words[:-1], other)
    output, error = process.communicate(timeout=60)
    assert (process.returncode, output) == (1, "")
    assert error.startswith("refscan: ")
    assert "holds the scan of another reference" in error
    assert repr(other) in error
    assert error.count("\n") == 1
    assert not server.pages
    assert {path: path.read_bytes() for path in kept} == kept
    end(begin, words)


def test_one_killed_without_resume_leaves_no_temporary_file(stop, tmp_path):
    """Though many pages wait for their turn by then, more than are held in memory."""
    words = [word for word in words_of_scan(tmp_path) if word not in ("--resume", tmp_path / "resumed")]
    code, *_ = stop(*words, after=180)
    assert code == -signal.SIGKILL
    assert list((tmp_path / "temporary").iterdir()) == []


def test_where_temporary_files_would_be(environment):
    """What the tests above look at is where files without another place go."""
    words = "import tempfile; print(tempfile.gettempdir())"
    found = subprocess.run([sys.executable, "-c", words], env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == environment["TMPDIR"] != tempfile.gettempdir()
