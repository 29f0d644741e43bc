"""What a terminal sees, what a pipe sees, and readers that leave early."""

import errno
import os
import re
import subprocess

import pytest

from refscan.cli.progress import Progress
from refscan.download.fetch import Downloaded
from refscan.scan.pipeline import scan
from refscan.sources.memory import MemorySource

LINE = re.compile(r"[\d,]+ objects, [\d,]+/s, [\d,]+ requests, \d+ at once")
CLEAR = "\r\x1b[K"


@pytest.fixture
def on_a_terminal(command, environment):
    """Run a command whose standard error is a terminal; return its code, its piped output and what was shown."""

    def run(*words):
        terminal, end = os.openpty()
        process = subprocess.Popen(
            [*command, *map(str, words)], stdout=subprocess.PIPE, stderr=end, stdin=end, env=environment, text=True
        )
        os.close(end)
        shown = b""
        try:
            while chunk := os.read(terminal, 65_536):
                shown += chunk
        except OSError as error:
            if error.errno != errno.EIO:  # Linux's end of a terminal
                raise
        finally:
            os.close(terminal)
        output, _ = process.communicate(timeout=60)
        return process.returncode, output, shown.decode()

    return run


def put(tree):
    return ("artifact", "put", "--name", "p/n", "--type", "t", f"file://{tree}")


def test_a_terminal_sees_a_line_that_is_gone_at_the_end(on_a_terminal, tree):
    for words in (put(tree), ("scan", f"file://{tree}")):
        code, output, shown = on_a_terminal(*words)
        assert code == 0
        assert LINE.search(shown)
        assert shown.startswith(CLEAR)
        assert shown.endswith(CLEAR)
        assert "\n" not in shown
        assert CLEAR not in output
        assert "2 " in output


def test_a_terminal_sees_an_error_on_a_line_of_its_own(on_a_terminal, tmp_path):
    code, output, shown = on_a_terminal(*put(tmp_path / "nothing"))
    assert (code, output) == (1, "")
    assert re.search(r"\r\x1b\[Krefscan: nothing to reference: [^\r\n]+\r\n$", shown)


def test_a_pipe_sees_no_progress(shell, tree, tmp_path):
    for words in (
        put(tree),
        ("scan", f"file://{tree}"),
        ("artifact", "get", "p/n", "--root", tmp_path / "root"),
        ("artifact", "verify", "p/n"),
    ):
        result = shell(*words)
        assert (result.code, result.error) == (0, "")
        assert not LINE.search(result.output)
        assert "\x1b" not in result.output
        assert "\r" not in result.output


async def test_the_line_tells_objects_rate_requests_and_concurrency(tree):
    progress = Progress()
    assert LINE.fullmatch(progress._line())
    for folder in (tree, tree / "deep"):
        running = scan(f"file://{folder}")
        progress.watch(running)
        async with running as batches:
            async for _ in batches:
                pass
    objects, rate, requests, at_once = (
        int(number.replace(",", "")) for number in re.findall(r"[\d,]*\d", progress._line())
    )
    assert objects == 3
    assert rate > 0
    assert requests == sum(each.source.requests for each in progress._scans) > 3
    assert at_once == 0
    progress.watch_download(Downloaded(tree, fetched=1_000, kept=234, bytes=5 << 20))
    assert progress._line().startswith("1,234 files, 5.0 MiB, ")


@pytest.fixture
def many(refscan, tmp_path):
    """``p/n``: enough entries for an export that no pipe holds."""
    (tmp_path / "many").mkdir()
    for number in range(3_000):
        (tmp_path / "many" / f"{number:060}").touch()
    assert refscan(*put(tmp_path / "many")).code == 0
    return tmp_path / "many"


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize("kind", ["wandb", "jsonl", "csv", "parquet"])
def test_a_reader_that_leaves_early_is_not_an_error_to_talk_about(command, environment, kind):
    process = subprocess.Popen(
        [*command, "artifact", "export", "p/n", "--format", kind],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    )
    assert len(process.stdout.read(3)) == 3
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(60) in (0, 1)


@pytest.mark.parametrize(
    "words",
    [
        ("artifact", "ls"),
        ("artifact", "ls", "--json"),
        ("artifact", "verify", "demo/data"),
        ("artifact", "export", "demo/data", "--format", "csv"),
        ("scan", "file://TREE", "--max-objects", "none"),
        ("--help",),
        ("--version",),
    ],
    ids=" ".join,
)
def test_a_reader_that_never_came_is_not_an_error_to_talk_about(command, environment, recorded, words):
    words = [word.replace("TREE", str(recorded)) for word in words]
    reader, writer = os.pipe()
    os.close(reader)
    process = subprocess.Popen([*command, *words], stdout=writer, stderr=subprocess.PIPE, env=environment)
    os.close(writer)
    _, error = process.communicate(timeout=60)
    assert error == b""
    assert process.returncode == 1


async def test_the_line_tells_what_is_left_while_ranges_are_listed():
    source = MemorySource("b", page_size=10)
    for number in range(2_000):
        source.put(f"{number:06}", b"x")
    running = scan("memory://b/", max_objects=None, source=source)
    progress = Progress()
    progress.watch(running)
    async with running as batches:
        seen = [progress._line() async for _ in batches]
    told = [re.search(r", (\d+) ranges, about ([\d,]+) left", line) for line in seen]
    left = [int(match[2].replace(",", "")) for match in told if match]
    assert len(left) > 10
    assert all(left)
    assert not re.search("left|ranges", progress._line())


def test_a_dry_run_tells_how_much_there_is_and_lists_no_more(refscan, tree):
    result = refscan("scan", f"file://{tree}", "--dry-run")
    assert (result.code, result.error) == (0, "")
    assert re.fullmatch(
        r"2 objects; a scan takes \d+ list requests and 2 single ones, about [1-9]\d* s; \d+ requests sent\n",
        result.output,
    )
    told = refscan("scan", f"file://{tree}", "--dry-run", "--json").json
    assert (told["objects"], told["exact"], told["stat_requests"]) == (2, True, 2)
