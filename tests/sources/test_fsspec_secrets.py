"""Passwords reach the file system's class and nothing else."""

import anyio
import fsspec
import pytest
from fsspec.implementations.local import LocalFileSystem

from refscan.errors import InvalidURIError, StoreError
from refscan.sources.fsspec import FsspecSource
from refscan.sources.fsspec.file_system import Recipe
from refscan.sources.options import FsspecOptions

SECRET = "geheim:1/2@3"


class Loud(LocalFileSystem):
    """Tells all it knows when it fails."""

    protocol = "loud"

    def __init__(self, **options) -> None:
        raise RuntimeError(
            f"cannot log in to ftp://ada:{SECRET}@host with {options}\nand by sftp://bob:verborgen@host/x"
        )


@pytest.fixture(autouse=True)
def loud():
    fsspec.register_implementation("loud", Loud, clobber=True)


class TestSecrets:
    @pytest.mark.parametrize("name", ["password", "secret_key", "token", "connection_string"])
    def test_options_are_not_shown(self, name):
        options = FsspecOptions(storage_options={name: SECRET, "nested": {name: "innermost"}})
        with pytest.raises(StoreError) as caught:
            anyio.run(FsspecSource("loud:///", options).__aenter__)
        text = f"{caught.value!r} {caught.value} {options!r}"
        assert "RuntimeError: cannot log in to" in text
        assert "geheim" not in text
        assert "innermost" not in text
        assert "verborgen" not in text
        assert "\n" not in str(caught.value)

    def test_a_password_that_would_get_lost_is_refused(self):
        with pytest.raises(InvalidURIError, match="takes no password") as caught:
            FsspecSource("loud://ada@host/", userinfo="ada:geheim")
        assert "geheim" not in str(caught.value)

    def test_a_password_is_decoded_for_the_file_system_alone(self):
        recipe = Recipe("ftp://ada@host:2121/", {}, "ada:p%40ss%2Fw%3Ard?#")
        assert recipe._arguments == {"host": "host", "port": 2121, "username": "ada", "password": "p@ss/w:rd?#"}
        assert recipe.base == "ftp://ada@host:2121/"

    def test_options_win_over_the_uri(self):
        recipe = Recipe("ftp://ada@host/", {"username": "eve", "use_listings_cache": False}, "ada")
        assert recipe._arguments == {"host": "host", "username": "eve"}

    def test_an_ipv6_host_is_taken_whole(self):
        assert Recipe("ftp://[::1]:2121/", {}, None)._arguments == {"host": "::1", "port": 2121}
        assert Recipe("ftp://[::1]/", {}, None)._arguments == {"host": "::1"}
