"""Exit codes, errors of one line, tracebacks only with ``--debug``, and where the registry lies."""

import sys

import pytest

WRONG_USAGE = [
    (),
    ("nonsense",),
    ("artifact",),
    ("artifact", "nonsense"),
    ("scan",),
    ("scan", "file:///x", "--max-objects", "0"),
    ("scan", "file:///x", "--max-objects", "-1"),
    ("scan", "file:///x", "--max-objects", "many"),
    ("scan", "file:///x", "--nonsense"),
    ("artifact", "put", "--name", "p/n", "--type", "t"),
    ("artifact", "put", "--name", "p/n", "x"),
    ("artifact", "put", "--type", "t", "x"),
    ("artifact", "put", "--name", "n", "--type", "t", "x"),
    ("artifact", "put", "--name", "p/n:v0", "--type", "t", "x"),
    ("artifact", "put", "--name", "p/n/m", "--type", "t", "x"),
    ("artifact", "put", "--name", "/n", "--type", "t", "x"),
    ("artifact", "put", "--name", "p/", "--type", "t", "x"),
    ("artifact", "get"),
    ("artifact", "get", "n"),
    ("artifact", "get", "p/n:"),
    ("artifact", "verify"),
    ("artifact", "export", "p/n"),
    ("artifact", "export", "p/n", "--format", "xml"),
    ("artifact", "ls", "a", "b"),
]

ERRORS = [
    ("scan", "file:///nothing/at/all"),
    ("scan", "/no/scheme"),
    ("scan", "gs://bucket/key"),
    ("scan", "nonsense://x"),
    ("artifact", "get", "p/n"),
    ("artifact", "verify", "p/n"),
    ("artifact", "export", "p/n", "--format", "csv"),
    ("artifact", "put", "--name", "p/n", "--type", "t", "/nothing/at/all"),
    ("artifact", "put", "--name", "p/n", "--type", "t", "nonsense://x"),
    ("artifact", "put", "--name", "p/-n", "--type", "t", "/"),
    ("artifact", "put", "--name", "a b/n", "--type", "t", "/"),
    ("artifact", "put", "--name", "p/n", "--type", " ", "/"),
    ("artifact", "put", "--name", "p/n", "--type", "t", "--description", "\udcff", "--", sys.executable),
    ("artifact", "get", "p/\udcff"),
    ("artifact", "ls", "--registry", "/dev/null/registry"),
]


@pytest.mark.parametrize("words", WRONG_USAGE, ids=" ".join)
def test_wrong_usage_is_code_2_and_shows_the_usage(refscan, words):
    result = refscan(*words)
    assert (result.code, result.output) == (2, "")
    assert result.error.startswith("usage: refscan")
    assert "Traceback" not in result.error


@pytest.mark.parametrize("words", ERRORS, ids=lambda words: ascii(" ".join(words)))
def test_an_error_is_code_1_and_one_line(refscan, words):
    result = refscan(*words)
    assert (result.code, result.output) == (1, "")
    assert result.error.startswith("refscan: ")
    assert result.error.endswith("\n")
    assert result.error.count("\n") == 1
    assert len(result.error) > 30, "it says something"


def test_an_error_of_a_process_is_the_same(shell, tmp_path):
    result = shell("artifact", "put", "--name", "p/n", "--type", "t", f"file://{tmp_path}/nothing")
    assert (result.code, result.output) == (1, "")
    assert result.error == (
        f"refscan: nothing to reference: file://{tmp_path}/nothing is neither an object nor a folder with objects "
        f"({str(tmp_path)[1:] + '/nothing/'!r})\n"
    )
    assert shell("nonsense").code == 2
    assert shell("artifact", "ls", "--json") == (0, "[]\n", "")


def test_a_traceback_comes_with_debug_only(shell, tmp_path):
    for words in (
        ("scan", f"file://{tmp_path}/nothing"),
        ("artifact", "get", "p/n"),
    ):
        quiet, loud = shell(*words), shell(*words, "--debug")
        assert (quiet.code, loud.code) == (1, 1)
        assert "Traceback" not in quiet.error
        assert "Traceback (most recent call last)" in loud.error
        assert quiet.error.removeprefix("refscan: ").strip() in loud.error


def test_a_secret_in_a_uri_is_in_no_error(refscan):
    uris = ("https://user:hidden@127.0.0.1:1/x?X-Amz-Signature=hidden", "ftp://user:hidden@host/x?token=hidden")
    for uri in uris:
        for words in (("scan", uri), ("artifact", "put", "--name", "p/n", "--type", "t", uri)):
            result = refscan(*words)
            assert result.code == 1
            assert "hidden" not in result.error


def test_a_registry_that_is_none_is_one_line(refscan, tmp_path):
    (tmp_path / "registry").mkdir()
    (tmp_path / "registry" / "catalog.sqlite").write_text("no database" * 100)
    result = refscan("artifact", "ls")
    assert (result.code, result.output) == (1, "")
    assert result.error.startswith(f"refscan: the registry {tmp_path}/registry/catalog.sqlite cannot be used: ")
    assert result.error.endswith("file is not a database\n")


def test_the_environment_names_the_registry_and_the_option_wins(shell, tree, tmp_path):
    def put(*words, **environment):
        result = shell(
            "artifact", "put", "--name", "p/n", "--type", "t", "--json", *words, f"file://{tree}", **environment
        )
        assert result.code == 0
        return result.json["created"]

    assert put() is True
    assert put() is False
    assert put("--registry", tmp_path / "chosen") is True
    assert put(REFSCAN_REGISTRY=str(tmp_path / "named")) is True
    assert put("--registry", tmp_path / "chosen", REFSCAN_REGISTRY=str(tmp_path / "unused")) is False
    assert put(REFSCAN_REGISTRY="", XDG_DATA_HOME=str(tmp_path / "data")) is True
    for name in ("registry", "chosen", "named", "data/refscan/registry"):
        assert (tmp_path / name / "catalog.sqlite").exists()
    assert not (tmp_path / "unused").exists()


@pytest.mark.parametrize("verb", ["put", "get", "ls", "verify", "export"])
def test_every_verb_of_artifacts_takes_a_registry(refscan, tree, tmp_path, verb):
    elsewhere = ("--registry", tmp_path / "elsewhere")
    put = ("artifact", "put", "--name", "p/n", "--type", "t", *elsewhere, f"file://{tree}")
    words = {
        "put": put,
        "get": ("artifact", "get", *elsewhere, "--root", tmp_path / "root", "p/n"),
        "ls": ("artifact", "ls", *elsewhere),
        "verify": ("artifact", "verify", *elsewhere, "p/n"),
        "export": ("artifact", "export", *elsewhere, "--format", "jsonl", "p/n"),
    }
    assert refscan(*put).code == 0
    result = refscan(*words[verb])
    assert result.code == 0
    assert result.output
    assert "no artifacts" not in result.output
    assert not (tmp_path / "registry").exists()


@pytest.mark.parametrize(
    "words",
    [("--help",), ("scan", "--help"), *(("artifact", verb, "--help") for verb in ("put", "get", "ls", "verify"))],
)
def test_help_is_no_error(refscan, words):
    result = refscan(*words)
    assert (result.code, result.error) == (0, "")
    assert result.output.startswith("usage: refscan")


def test_the_version(refscan):
    from importlib.metadata import version

    assert refscan("--version") == (0, f"refscan {version('refscan')}\n", "")


def test_the_console_script_is_the_same_command(environment):
    import subprocess
    from pathlib import Path

    script = Path(sys.executable).with_name("refscan")
    done = subprocess.run(
        [script, "--version"], check=True, capture_output=True, text=True, env=environment, timeout=60
    )
    assert done.stdout.startswith("refscan ")


def test_a_uri_with_a_typing_error_shows_no_secret(refscan):
    result = refscan("artifact", "put", "--name", "p/n", "--type", "t", "https:/me:q7SECRETq7@host/x?sig=q7SECRETq7")
    assert result.code == 1
    assert "https:/host/x: no such file or directory, and no URI" in result.error
    assert "q7SECRETq7" not in result.error
