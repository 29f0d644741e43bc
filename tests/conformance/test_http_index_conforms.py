"""Web servers as they are: objects, and trees of files with odd names that their indexes list completely."""

import contextlib
import hashlib
import http.server
import os
import threading
from functools import partial
from pathlib import Path
from urllib.parse import quote, quote_from_bytes, unquote, unquote_to_bytes

import pyarrow as pa
import pytest
from conformance.keys import ODD_KEYS
from conformance.suite import SHARED, read, stat_rows
from conformance.walked import WalkedConformance
from hypothesis import given, settings
from hypothesis import strategies as st

from refscan.errors import AccessDeniedError, ObjectNotFoundError
from refscan.sources.http import HTTPSource
from refscan.sources.source import PAGE_SCHEMA, NoIndexError
from refscan.uri import parse_ref

MODIFIED = 1_445_412_480


class Served:
    """The directory of an nginx; a key is the path of a URL, which nginx decodes to the path of a file."""

    def __init__(self, nginx) -> None:
        self.nginx = nginx

    def put(self, key: str, data: bytes) -> None:
        path = os.fsencode(self.nginx.root) + b"/" + unquote_to_bytes(key)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)
        os.utime(path, (MODIFIED, MODIFIED))

    def delete(self, key: str) -> None:
        os.unlink(os.fsencode(self.nginx.root) + b"/" + unquote_to_bytes(key))

    def source(self, *, page_size: int = 0) -> HTTPSource:  # noqa: ARG002  a folder is one page
        return HTTPSource(self.nginx.url)


class TestNginx(WalkedConformance):
    wrong_e_tag = '"00000000-0"'

    @pytest.fixture(params=["html", "json"])
    def store(self, nginx, request):
        nginx.flavour = request.param
        return Served(nginx)

    def allows(self, key: str) -> bool:
        names = unquote(key).split("/")
        is_escaped = quote(unquote(key), safe="/") == quote(key, safe="/%")
        return is_escaped and not set("?#") & set(key) and all(is_name(os.fsencode(name)) for name in names)

    def digest_of(self, data: bytes) -> str:
        return f"{MODIFIED:x}-{len(data):x}"

    # Shown by TestNginxIndex, with names escaped as an index escapes them.
    test_odd_keys_are_met = None
    test_trees_of_any_shape_are_met = None

    @pytest.mark.usefixtures("tree")
    @pytest.mark.parametrize("folder", ["nothing/", "foo/1/", "zzz/", "fo/", "dir/3/"])
    async def test_what_is_no_folder_gives_an_empty_last_page(self, source, folder):
        """A server tells what is not there from what is empty."""
        with pytest.raises(ObjectNotFoundError, match="HTTP 404"):
            await source.list_page(folder)

    @pytest.mark.usefixtures("tree")
    async def test_a_folder_is_no_object(self, source):
        """Its index is a page like any other, under the folder's own URL only."""
        assert await stat_rows(source, ["dir", "dir/2"]) == []
        assert [row["key"] for row in await stat_rows(source, ["foo/"])] == ["foo/"]


class PythonServer:
    """Python's own ``http.server``."""

    def __init__(self, root: Path) -> None:
        class Handler(http.server.SimpleHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

        self.root = root
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(root)))
        self.url = f"http://127.0.0.1:{self._server.server_port}/"

    def __enter__(self):
        self._thread = threading.Thread(target=partial(self._server.serve_forever, poll_interval=0.01), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def is_name(name: bytes) -> bool:
    return 0 < len(name) < 256 and name not in (b".", b"..") and not {0, ord("/")} & set(name)


def is_utf8(name: bytes) -> bool:
    with contextlib.suppress(UnicodeDecodeError):
        return name.decode() is not None
    return False


ODD_NAMES = sorted({part for key in ODD_KEYS for part in key.split("/") if is_name(part.encode())})
ODD_NAMES += [
    "line\nfeed",
    "carriage\rreturn",
    "\n",
    "a:b",
    ":",
    "http:",
    "%2e%2e",
    "%2F",
    "C=N;O=D",
    "</pre>",
    "…" * 85,
]
PIECES = ["a", "B", "0", "-", ".", " ", "+", "%", "%2F", "?", "#", "&", "&amp;", "<", ">", '"', "'", "\\", "\t", "\n"]
PIECES += [
    "\x7f",
    ":",
    ";",
    "=",
    "@",
    "~",
    "é",
    "\N{CJK UNIFIED IDEOGRAPH-4E2D}",
    "\uffee",
    "\U0001f600",
    "|",
    "[",
    "]",
]
NAMES = st.lists(st.sampled_from(PIECES), min_size=1, max_size=10).map(lambda pieces: "".join(pieces).encode())
BYTES = st.binary(min_size=1, max_size=8)
# Names of files on the way down; the last one is a file.
PATHS = st.lists((NAMES | BYTES).filter(is_name), min_size=1, max_size=4).map(tuple)
TREES = st.lists(PATHS, min_size=1, max_size=10, unique=True)


def fill(root: Path, paths: list[tuple[bytes, ...]]) -> dict[bytes, bytes]:
    """Make files with their own paths for content; where one is in another's way, it is left out."""
    made = {}
    for parts in paths:
        path = b"/".join(parts)
        target = os.fsencode(root) + b"/" + path
        with contextlib.suppress(OSError):
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with open(target, "xb") as file:
                file.write(path)
            made[path] = path
    return made


async def walk(source: HTTPSource, folder: str) -> tuple[list[str], int]:
    """Return the keys of all files below a folder, and how many entries were left out for their bytes."""
    keys, left_out, folders = [], 0, [folder]
    while folders:
        folder = folders.pop()
        page = await source.list_page(folder)
        assert page.rows.schema == PAGE_SCHEMA
        assert not page.complete
        assert set(page.skipped) <= {"undecodable"}
        found = page.rows.column("key").to_pylist()
        assert all(key.startswith(folder) and "/" not in key[len(folder) :] for key in found)
        assert all(
            below.startswith(folder) and below.index("/", len(folder)) == len(below) - 1 for below in page.folders
        )
        keys += found
        left_out += page.skipped.get("undecodable", 0)
        folders += page.folders
    assert len(keys) == len(set(keys))
    return keys, left_out


def expected(made: dict[bytes, bytes], *, hidden: bool) -> tuple[set[bytes], int]:
    """Return the paths that a walk finds, and how many entries it leaves out: a folder counts as one."""
    found, left_out = set(), set()
    for path in made:
        parts = path.split(b"/")
        for depth, part in enumerate(parts):
            if part.startswith(b".") and not hidden:
                break
            if not is_utf8(part):
                left_out.add(tuple(parts[: depth + 1]))
                break
        else:
            found.add(path)
    return found, len(left_out)


async def check(source: HTTPSource, folder: str, made: dict[bytes, bytes], *, hidden: bool) -> list[str]:
    keys, left_out = await walk(source, folder)
    paths, skipped = expected(made, hidden=hidden)
    assert {unquote_to_bytes(key.removeprefix(folder)) for key in keys} == paths
    assert left_out == skipped
    for key in keys:
        data = made[unquote_to_bytes(key.removeprefix(folder))]
        (row,) = await stat_rows(source, [key])
        assert row["size"] == len(data)
        assert await read(source, key, e_tag=row["e_tag"]) == data
    refs = source.refs(pa.array(keys, pa.string())).to_pylist()
    assert refs == [source.base + key for key in keys]
    assert [parse_ref(ref).key for ref in refs] == keys
    return keys


class TestNginxIndex:
    @SHARED
    @given(tree=TREES)
    async def test_trees_of_every_kind_are_listed_and_read(self, nginx, tree):
        folder = "example-" + hashlib.md5(repr(tree).encode()).hexdigest()
        made = fill(nginx.root / folder, tree)
        found = {}
        for flavour in ("html", "json"):
            nginx.flavour = flavour
            async with HTTPSource(nginx.url) as source:
                found[flavour] = await check(source, folder + "/", made, hidden=False)
        assert sorted(found["html"]) == sorted(found["json"])

    @pytest.mark.parametrize("flavour", ["html", "json"])
    async def test_odd_names_as_files_and_as_folders(self, nginx, flavour):
        nginx.flavour = flavour
        names = [name.encode() for name in ODD_NAMES]
        made = fill(nginx.root, [(b"files", name) for name in names] + [(b"folders", name, name) for name in names])
        assert len(made) == 2 * len(names) > 80
        async with HTTPSource(nginx.url) as source:
            keys = await check(source, "", made, hidden=False)
        assert all(quote_from_bytes(unquote_to_bytes(key)) == key for key in keys)

    @pytest.mark.parametrize("flavour", ["html", "json"])
    async def test_many_files(self, nginx, flavour):
        nginx.flavour = flavour
        for number in range(5_000):
            (nginx.root / f"{number:05}").touch()
        async with HTTPSource(nginx.url) as source:
            page = await source.list_page("")
            assert sorted(page.rows.column("key").to_pylist()) == [f"{number:05}" for number in range(5_000)]
            assert source.requests == 1

    @pytest.mark.parametrize("flavour", ["html", "json"])
    async def test_empty_folders(self, nginx, flavour):
        nginx.flavour = flavour
        (nginx.root / "a" / "b").mkdir(parents=True)
        async with HTTPSource(nginx.url) as source:
            assert (await source.list_page("")).folders == ["a/"]
            assert (await source.list_page("a/")).folders == ["a/b/"]
            page = await source.list_page("a/b/")
            assert (page.rows.num_rows, page.folders, page.skipped) == (0, [], {})

    @pytest.mark.parametrize("flavour", ["html", "json"])
    async def test_a_folder_with_a_page_of_its_own_is_a_page(self, nginx, flavour):
        nginx.flavour = flavour
        (nginx.root / "site").mkdir()
        (nginx.root / "site" / "index.html").write_text("<title>Home</title><ul><li><a href='a'>a</a></ul>")
        async with HTTPSource(nginx.url) as source:
            assert (await source.list_page("")).folders == ["site/"]
            with pytest.raises(NoIndexError):
                await source.list_page("site/")
            assert len(await stat_rows(source, ["site/"])) == 1

    async def test_a_server_without_an_index_says_how_to_get_one(self, nginx):
        nginx.flavour = "none"
        (nginx.root / "a").touch()
        async with HTTPSource(nginx.url) as source:
            with pytest.raises(AccessDeniedError, match="autoindex on"):
                await source.list_page("")
            assert len(await stat_rows(source, ["a"])) == 1


class TestPythonIndex:
    @pytest.fixture
    def server(self, tmp_path):
        with PythonServer(tmp_path) as server:
            yield server

    @settings(SHARED, max_examples=10)
    @given(tree=TREES)
    async def test_trees_of_every_kind_are_listed_and_read(self, server, tree):
        folder = "example-" + hashlib.md5(repr(tree).encode()).hexdigest()
        made = fill(server.root / folder, tree)
        async with HTTPSource(server.url) as source:
            await check(source, folder + "/", made, hidden=True)

    async def test_odd_names_as_files_and_as_folders(self, server):
        names = [name.encode() for name in ODD_NAMES]
        made = fill(server.root, [(b"files", name) for name in names] + [(b"folders", name, name) for name in names])
        async with HTTPSource(server.url) as source:
            await check(source, "", made, hidden=True)
