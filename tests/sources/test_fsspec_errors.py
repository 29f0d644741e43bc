import errno
import ftplib
import socket

import pytest

from refscan.errors import AccessDeniedError, DigestMismatchError, ObjectNotFoundError, StoreError
from refscan.sources.fsspec.errors import is_answer, is_missing, reason, translated

URI = "ftp://host/a/file"


class StatusError(Exception):
    def __init__(self, **facts) -> None:
        super().__init__("the server said no")
        self.__dict__.update(facts)


class Response:
    status_code = 403


def because(error: Exception, cause: Exception) -> Exception:
    try:
        try:
            raise cause
        except type(cause):
            raise error  # noqa: B904  as fsspec does it
    except type(error) as chained:
        return chained


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (FileNotFoundError("x"), ObjectNotFoundError),
        (NotADirectoryError("x"), ObjectNotFoundError),
        (IsADirectoryError("x"), ObjectNotFoundError),
        (OSError(errno.ELOOP, "too many links"), ObjectNotFoundError),
        (PermissionError("x"), AccessDeniedError),
        (OSError(errno.EACCES, "x"), AccessDeniedError),
        (OSError(errno.EIO, "permission denied, says the disk"), StoreError),
        (TimeoutError(), StoreError),
        (ConnectionResetError(), StoreError),
        (EOFError(), StoreError),
        (socket.gaierror(-2, "Name or service not known"), StoreError),
        (ftplib.error_perm("530 Login incorrect."), AccessDeniedError),
        (ftplib.error_perm("530 Who are you?"), AccessDeniedError),
        (ftplib.error_perm("550 Not enough privileges."), AccessDeniedError),
        (ftplib.error_perm("550 Failed to open file."), ObjectNotFoundError),
        (ftplib.error_perm("500 Unknown command."), StoreError),
        (ftplib.error_temp("421 Too many connections."), StoreError),
        (because(FileNotFoundError("x"), ftplib.error_temp("425 No data connection.")), StoreError),
        (because(FileNotFoundError("x"), ftplib.error_perm("550 No such file.")), ObjectNotFoundError),
        (because(FileNotFoundError("x"), StopIteration()), ObjectNotFoundError),
        (StatusError(status=404), ObjectNotFoundError),
        (StatusError(status_code=401), AccessDeniedError),
        (StatusError(response=Response()), AccessDeniedError),
        (StatusError(code="AccessDenied"), StoreError),
        (StatusError(status=500), StoreError),
        (RuntimeError("Authentication failed."), AccessDeniedError),
        (RuntimeError("No such key: x"), ObjectNotFoundError),
        (RuntimeError("reading /a/file not found.txt failed"), StoreError),
        (RuntimeError("something else"), StoreError),
    ],
)
def test_each_error_becomes_one_of_refscans(error, kind):
    with pytest.raises(kind) as caught, translated(URI, path="/a/file not found.txt"):
        raise error
    assert type(caught.value) is kind
    assert caught.value.uri == URI
    assert str(caught.value).startswith(f"{URI}: ")
    assert "\n" not in str(caught.value)
    assert caught.value.__suppress_context__
    assert is_missing(error, "/a/file not found.txt") is (kind is ObjectNotFoundError)


def test_what_is_refscans_passes():
    error = DigestMismatchError("as it is", uri=URI)
    with pytest.raises(DigestMismatchError) as caught, translated(URI):
        raise error
    assert caught.value is error


def test_what_is_no_error_passes():
    with pytest.raises(KeyboardInterrupt), translated(URI):
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (FileNotFoundError("x"), True),
        (PermissionError("x"), True),
        (ftplib.error_perm("550 No."), True),
        (ftplib.error_temp("421 Too many connections."), False),
        (because(FileNotFoundError("x"), ftplib.error_temp("425 No data connection.")), False),
        (EOFError(), False),
        (OSError(errno.EPIPE, "x"), False),
        (ValueError("an answer of another kind"), False),
    ],
)
def test_only_an_answer_leaves_the_connection_sound(error, answer):
    assert is_answer(error) is answer


def test_a_reason_is_one_short_line():
    assert reason(ValueError("a\n  b\tc")) == "ValueError: a b c"
    assert reason(ValueError()) == "ValueError"
    assert reason(OSError(errno.EIO, "Input/output error", "/a")) == "OSError: Input/output error"
    assert len(reason(ValueError("x" * 10_000))) < 300


def test_a_reason_holds_no_secret():
    assert reason(ValueError("open sesame, sesame"), ["sesame", "open sesame"]) == "ValueError: …, …"
    assert reason(ValueError("no way to ftp://ada:geheim@host/x")) == "ValueError: no way to ftp://host/x"
