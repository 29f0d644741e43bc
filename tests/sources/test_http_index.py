"""Directory indexes as web servers write them, and pages that only look like one."""

# Their lines are as long as the servers make them.
# ruff: noqa: E501, W291

import gzip
import json
import time
from email.utils import formatdate
from html import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st
from servers.http import Resource
from servers.scripted import Answer, ScriptedServer
from yarl import URL

from refscan import scan
from refscan.errors import AccessDeniedError, ObjectNotFoundError, StoreError
from refscan.sources.http import HTTPSource
from refscan.sources.http.entries import Entries
from refscan.sources.http.index import BrokenIndexError, NotAnIndexError, index_reader
from refscan.sources.options import HTTPOptions
from refscan.sources.source import NoIndexError, Page

HTML = {"Content-Type": "text/html;charset=UTF-8"}
JSON = {"Content-Type": "application/json"}

# https://nginx.org/en/docs/http/ngx_http_autoindex_module.html
NGINX = """<html>\r
<head><title>Index of /data/</title></head>\r
<body>\r
<h1>Index of /data/</h1><hr><pre><a href="../">../</a>\r
<a href="sub%20dir/">sub dir/</a>                                          21-Nov-2026 07:20                   -\r
<a href="a%3Ab">a:b</a>                                                21-Nov-2026 07:20                   0\r
<a href="./c:d">c:d</a>                                                21-Nov-2026 07:20                   0\r
<a href="a-name-of-more-than-fifty-characters-that-is-cut-in-its-text.bin">a-name-of-more-than-fifty-characters-that-is-cu..&gt;</a>\
 21-Nov-2026 07:20           123456789\r
<a href="%C3%A9%23%3F">\N{LATIN SMALL LETTER E WITH ACUTE}#?</a>                    21-Nov-2026 07:20                   0\r
</pre><hr></body>\r
</html>\r
"""
NGINX_NAMES = [
    "%C3%A9%23%3F",
    "a%3Ab",
    "a-name-of-more-than-fifty-characters-that-is-cut-in-its-text.bin",
    "c:d",
]

# https://httpd.apache.org/docs/2.4/mod/mod_autoindex.html, IndexOptions FancyIndexing
APACHE_FANCY = """<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 4.01//EN" "http://www.w3.org/TR/html4/strict.dtd">
<html>
 <head>
  <title>Index of /data</title>
 </head>
 <body>
<h1>Index of /data</h1>
<pre><img src="/icons/blank.gif" alt="Icon "> <a href="?C=N;O=D">Name</a>                    \
<a href="?C=M;O=A">Last modified</a>      <a href="?C=S;O=A">Size</a>  <a href="?C=D;O=A">Description</a><hr>\
<img src="/icons/back.gif" alt="[PARENTDIR]"> <a href="/">Parent Directory</a>                             -   
<a href="sub%20dir/"><img src="/icons/folder.gif" alt="[DIR]"></a> <a href="sub%20dir/">sub dir/</a>                2026-11-21 07:20    -   
<img src="/icons/unknown.gif" alt="[   ]"> <a href="a&amp;b%3f.bin">a&amp;b?.bin</a>               2026-11-21 07:20  1.2M  
<img src="/icons/text.gif" alt="[TXT]"> <a href="./c:d.txt">c:d.txt</a>                 2026-11-21 07:20   12   
<hr></pre>
<address>Apache/2.4.62 (Debian) Server at example.com Port 80</address>
</body></html>
"""
# IndexOptions FancyIndexing HTMLTable
APACHE_TABLE = """<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 3.2 Final//EN">
<html>
 <head>
  <title>Index of /data</title>
 </head>
 <body>
<h1>Index of /data</h1>
  <table>
   <tr><th valign="top"><img src="/icons/blank.gif" alt="[ICO]"></th><th><a href="?C=N;O=D">Name</a></th>\
<th><a href="?C=M;O=A">Last modified</a></th><th><a href="?C=S;O=A">Size</a></th></tr>
   <tr><th colspan="4"><hr></th></tr>
<tr><td valign="top"><img src="/icons/back.gif" alt="[PARENTDIR]"></td><td><a href="/">Parent Directory</a></td>\
<td>&nbsp;</td><td align="right">  - </td></tr>
<tr><td valign="top"><img src="/icons/folder.gif" alt="[DIR]"></td><td><a href="sub%20dir/">sub dir/</a></td>\
<td align="right">2026-11-21 07:20  </td><td align="right">  - </td></tr>
<tr><td valign="top"><img src="/icons/unknown.gif" alt="[   ]"></td><td><a href="a&amp;b%3f.bin">a&amp;b?.bin</a></td>\
<td align="right">2026-11-21 07:20  </td><td align="right">1.2M</td></tr>
<tr><td valign="top"><img src="/icons/text.gif" alt="[TXT]"></td><td><a href="./c:d.txt">c:d.txt</a></td>\
<td align="right">2026-11-21 07:20  </td><td align="right"> 12 </td></tr>
   <tr><th colspan="4"><hr></th></tr>
</table>
</body></html>
"""
# No IndexOptions at all
APACHE_LIST = """<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 3.2 Final//EN">
<html>
 <head>
  <title>Index of /data</title>
 </head>
 <body>
<h1>Index of /data</h1>
<ul><li><a href="/"> Parent Directory</a></li>
<li><a href="sub%20dir/"> sub dir/</a></li>
<li><a href="a&amp;b%3f.bin"> a&amp;b?.bin</a></li>
<li><a href="./c:d.txt"> c:d.txt</a></li>
</ul>
</body></html>
"""
# HeaderName and ReadmeName put text of the site's own around the list.
APACHE_WITH_README = APACHE_FANCY.replace(
    "<h1>Index of /data</h1>", "<p>See <a href='https://example.org/'>us</a>"
).replace("<address>", "<p>Written <a href='notes.html'>here</a>.<address>")
APACHE_NAMES = ["a&b%3f.bin", "c:d.txt"]

# https://docs.python.org/3.11/library/http.server.html
PYTHON = """<!DOCTYPE HTML>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Directory listing for /data/</title>
</head>
<body>
<h1>Directory listing for /data/</h1>
<hr>
<ul>
<li><a href=".hidden">.hidden</a></li>
<li><a href="a%20b">a b</a></li>
<li><a href="link">link@</a></li>
<li><a href="sub%20dir/">sub dir/</a></li>
</ul>
<hr>
</body>
</html>
"""
# https://redmine.lighttpd.net/projects/lighttpd/wiki/Mod_dirlisting
LIGHTTPD = """<!DOCTYPE html>
<html>
<head>
<title>Index of /data/</title>
<style type="text/css">a, a:active {text-decoration: none; color: blue;}</style>
</head>
<body>
<h2>Index of /data/</h2>
<div class="list">
<table summary="Directory Listing" cellpadding="0" cellspacing="0">
<thead><tr><th class="n">Name</th><th class="m">Last Modified</th><th class="s">Size</th><th class="t">Type</th></tr></thead>
<tbody>
<tr class="d"><td class="n"><a href="../">..</a>/</td><td class="m">&nbsp;</td><td class="s">- &nbsp;</td><td class="t">Directory</td></tr>
<tr class="d"><td class="n"><a href="sub%20dir/">sub dir</a>/</td><td class="m">2026-Nov-21 07:20:38</td><td class="s">- &nbsp;</td><td class="t">Directory</td></tr>
<tr><td class="n"><a href="a%2bb.bin">a+b.bin</a></td><td class="m">2026-Nov-21 07:20:38</td><td class="s">0.1K</td><td class="t">application/octet-stream</td></tr>
</tbody>
</table>
</div>
<div class="foot">lighttpd/1.4.69</div>
<script type="text/javascript">
// <!--
var click_column; "<a href='no'>";
// -->
</script>
</body>
</html>
"""
# https://caddyserver.com/docs/caddyfile/directives/file_server#browse, asked for with Accept: application/json
CADDY = json.dumps(
    [
        {
            "name": "sub dir/",
            "size": 4096,
            "url": "./sub%20dir/",
            "mod_time": "2026-11-21T07:20:38Z",
            "mode": 2147484141,
        }
        | {"is_dir": True, "is_symlink": False},
        {"name": "100%.bin", "size": 7, "url": "./100%25.bin", "mod_time": "2026-11-21T07:20:38Z", "mode": 420}
        | {"is_dir": False, "is_symlink": False},
    ]
)


def nginx_json(*entries: tuple[str, str]) -> str:
    lines = ",\r\n".join(
        f'{{ "name":{json.dumps(name, ensure_ascii=False)}, "type":"{kind}", "mtime":"Sat, 21 Nov 2026 07:20:38 GMT" }}'
        for name, kind in entries
    )
    return f"[\r\n{lines}\r\n]"


def nginx_html(*hrefs: str) -> str:
    lines = "".join(f'<a href="{escape(href)}">{escape(href)}</a>   21-Nov-2026 07:20    0\r\n' for href in hrefs)
    return (
        f"<html>\r\n<head><title>Index of /data/</title></head>\r\n<body>\r\n<h1>Index of /data/</h1><hr>"
        f'<pre><a href="../">../</a>\r\n{lines}</pre><hr></body>\r\n</html>\r\n'
    )


async def list_answer(answer: Answer, key: str = "data/", options: HTTPOptions | None = None) -> Page:
    async with (
        ScriptedServer(lambda _: answer) as server,
        HTTPSource(server.url + "/", options or HTTPOptions()) as source,
    ):
        page = await source.list_page(key)
        assert (page.complete, page.next_after, page.token) == (False, None, None)
        assert source.requests == len(server.requests) == 1
        return page


def keys(page: Page) -> list[str]:
    return sorted(page.rows.column("key").to_pylist())


def read_html(text: str) -> Entries:
    entries = Entries(URL("http://example.com/data/"))
    reader = index_reader("text/html", entries)
    for start in range(0, len(text), 7):
        reader.feed(text[start : start + 7].encode())
    reader.finish()
    return entries


class TestServers:
    @pytest.mark.parametrize(
        ("text", "headers", "names"),
        [
            (NGINX, HTML, NGINX_NAMES),
            (APACHE_FANCY, HTML, APACHE_NAMES),
            (APACHE_TABLE, HTML, APACHE_NAMES),
            (APACHE_LIST, HTML, APACHE_NAMES),
            (APACHE_WITH_README, HTML, APACHE_NAMES),
            (PYTHON, HTML, [".hidden", "a%20b", "link"]),
            (LIGHTTPD, HTML, ["a%2bb.bin"]),
            (CADDY, JSON, ["100%25.bin"]),
            (nginx_json(("sub dir", "directory"), ("a", "file"), ("gone", "other")), JSON, ["a", "gone"]),
        ],
        ids=[
            "nginx",
            "apache-fancy",
            "apache-table",
            "apache-list",
            "readme",
            "python",
            "lighttpd",
            "caddy",
            "nginx-json",
        ],
    )
    async def test_each_is_read(self, text, headers, names):
        page = await list_answer(Answer(text.encode(), headers=headers))
        assert keys(page) == ["data/" + name for name in names]
        assert page.folders == ["data/sub%20dir/"]
        assert not page.skipped

    @pytest.mark.parametrize("text", [NGINX, APACHE_FANCY, APACHE_TABLE, APACHE_LIST, PYTHON, LIGHTTPD])
    def test_pieces_of_it_are_no_index(self, text):
        """A connection that is closed early may look like the end, where no length was told."""
        whole = read_html(text)
        for length in range(0, len(text), 13):
            try:
                found = read_html(text[:length])
            except (NotAnIndexError, BrokenIndexError):
                continue
            assert (found.files, found.folders) == (whole.files, whole.folders)

    async def test_an_index_that_breaks_off_says_so(self):
        with pytest.raises(StoreError, match="its index is not whole"):
            await list_answer(Answer(nginx_html(*"abc").partition("</pre>")[0].encode(), headers=HTML))

    @pytest.mark.parametrize(("text", "headers"), [(nginx_html(), HTML), ("[\r\n]", JSON)])
    async def test_an_empty_folder(self, text, headers):
        page = await list_answer(Answer(text.encode(), headers=headers))
        assert (keys(page), page.folders, page.skipped) == ([], [], {})

    async def test_the_folder_at_the_top(self):
        page = await list_answer(Answer(nginx_html("a", "b/").replace("/data/", "/").encode(), headers=HTML), "")
        assert (keys(page), page.folders, page.skipped) == (["a"], ["b/"], {})

    async def test_the_folder_stays_as_the_user_wrote_it(self):
        text = nginx_html("a", "/my%20dir/b", "/my%20dir/", "/my dir/c/")
        page = await list_answer(Answer(text.encode(), headers=HTML), "my dir/")
        assert (keys(page), page.folders, page.skipped) == (["my dir/a", "my dir/b"], ["my dir/c/"], {})

    async def test_gzip_that_nobody_asked_for(self):
        packed = gzip.compress(nginx_html(*(str(number) for number in range(50_000))).encode())
        page = await list_answer(Answer(packed, headers=HTML | {"Content-Encoding": "gzip"}))
        assert page.rows.num_rows == 50_000
        for broken in (packed[:-20], b"no gzip", packed + packed):
            with pytest.raises(StoreError, match="not whole"):
                await list_answer(Answer(broken, headers=HTML | {"Content-Encoding": "gzip"}))


class TestLinks:
    @pytest.mark.parametrize(
        "href",
        [
            "/",
            "/other/",
            "/other",
            "/database/x",
            "../x",
            "../../",
            "sub/../../x",
            "a/b",
            "a/b/",
            "%2e%2e/",
            "%2E%2E",
            "..%2Fx",
            "%2e",
            "/data/../x",
            "/data/%2e%2e/x",
            "http://example.org/data/x",
            "//example.org/data/x",
            "https://example.com/data/x",
            "http://example.com:81/data/x",
            "http://user@example.com/data/x",
            "http://[bad/data/x",
            "javascript:alert(1)",
            "mailto:me@example.com",
            "a:b",
            "x?query",
            "x?",
            "x#fragment",
            "/data/x?C=N",
        ],
    )
    def test_those_that_lead_elsewhere_are_counted(self, href):
        entries = Entries(URL("http://example.com/data/"))
        entries.add_link(href)
        outside = 0 if href in ("/", "../../") else 1
        assert (entries.files, entries.folders, entries.skipped["outside"]) == ([], [], outside)

    @pytest.mark.parametrize(
        "href",
        [
            "",
            "?C=N;O=D",
            "?",
            "#top",
            "./",
            ".",
            "./?sort=name",
            "/data/",
            "/data/?C=N",
            "../",
            "..",
            "/",
            "//",
            " ?C=N ",
            "http://example.com/",
            "http://example.com",
            "http://example.com/data/",
            "http://EXAMPLE.com/data/?C=M",
        ],
    )
    def test_those_of_the_folder_itself_and_above_are_no_entries(self, href):
        entries = Entries(URL("http://example.com/data/"))
        entries.add_link(href)
        assert (entries.files, entries.folders, +entries.skipped) == ([], [], {})

    @pytest.mark.parametrize(
        ("href", "name"),
        [
            ("plain", "plain"),
            ("./a:b", "a:b"),
            ("/data/x", "x"),
            ("/%64ata/x", "x"),
            ("http://example.com/data/x", "x"),
            ("//example.com/data/x", "x"),
            (" x ", "x"),
            ("sp ace", "sp%20ace"),
            ("\N{LATIN SMALL LETTER E WITH ACUTE}", "%C3%A9"),
            ("100%", "100%"),
            ("100%25", "100%25"),
            ("%e9%82%a3", "%e9%82%a3"),
            ("back\\slash", "back%5Cslash"),
            ("...", "..."),
            ("..a", "..a"),
            ("a;b=c,d", "a;b=c,d"),
            ("%3F%23", "%3F%23"),
        ],
    )
    def test_names_stand_as_a_url_needs_them(self, href, name):
        entries = Entries(URL("http://example.com/data/"))
        for link in (href, href, href.rstrip() + "/"):
            entries.add_link(link)
        assert (entries.files, entries.folders, +entries.skipped) == ([name], [name], {})

    def test_the_same_name_is_one_entry_however_it_is_escaped(self):
        entries = Entries(URL("http://example.com/data/"))
        for href in ("a~b", "a%7Eb", "a%7eb"):
            entries.add_link(href)
        assert entries.files == ["a~b"]

    @pytest.mark.parametrize("href", ["%FF", "a%E9", "%ED%B3%BF", "\udcff", "a%00b"])
    def test_names_that_are_not_utf8_are_counted(self, href):
        entries = Entries(URL("http://example.com/data/"))
        entries.add_link(href)
        entries.add_link(href + "/")
        assert (entries.files, entries.folders, entries.skipped) == ([], [], {"undecodable": 2})

    @given(st.text(st.characters(codec="utf-8"), min_size=1).filter(lambda name: not {"/", "\0"} & set(name)))
    def test_a_name_of_the_file_system_becomes_one_segment(self, name):
        entries = Entries(URL("http://example.com/data/"))
        entries.add_name(name, is_folder=False)
        if name in (".", ".."):
            assert entries.skipped == {"outside": 1}
            return
        url = URL("http://example.com/data/" + entries.files[0])
        assert (url.parts[-1], url.query_string, url.fragment) == (name, "", "")
        # nginx escapes no less in its HTML: both of its indexes give the same keys.
        assert URL("http://example.com/data/" + entries.files[0], encoded=True).raw_path.isascii()

    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            ("..", "outside"),
            (".", "outside"),
            ("", "outside"),
            ("a/b", "outside"),
            (chr(0xDCFF), "undecodable"),
            (chr(0xD800), "undecodable"),
            ("a\x00b", "undecodable"),
        ],
    )
    async def test_names_that_no_file_has(self, name, reason):
        text = nginx_json((name, "file"), ("fine", "file")).encode("utf-8", "surrogatepass")
        page = await list_answer(Answer(text, headers=JSON))
        assert (keys(page), page.skipped) == (["data/fine"], {reason: 1})

    async def test_bytes_that_are_not_utf8(self):
        text = nginx_json(("bad\udcff\udce9", "file"), ("fine", "file")).encode("utf-8", "surrogateescape")
        page = await list_answer(Answer(text, headers=JSON))
        assert (keys(page), page.skipped) == (["data/fine"], {"undecodable": 1})
        text = nginx_html("bad\udcff\udce9", "fine").encode("utf-8", "surrogateescape")
        page = await list_answer(Answer(text, headers=HTML))
        assert (keys(page), page.skipped) == (["data/fine"], {"undecodable": 1})


class TestPages:
    """What is no index is a page."""

    @pytest.mark.parametrize(
        ("body", "headers"),
        [
            (b"", {}),
            (b"", HTML),
            (b"", JSON),
            (b"plain", {"Content-Type": "text/plain"}),
            (NGINX.encode(), {"Content-Type": "text/plain"}),
            (NGINX.encode(), HTML | {"Content-Encoding": "br"}),
            (b"<html><title>Home</title><ul><li><a href='a'>a</a></ul></html>", HTML),
            (b"<html><title>Index of economic freedom</title><ul><li><a href='a'>a</a></ul></html>", HTML),
            (b"<html><title>The Index of /data/</title><ul><li><a href='a'>a</a></ul></html>", HTML),
            (b"<html><p>Index of /data/</p><pre><a href='a'>a</a></pre></html>", HTML),
            (b"<html><title>Index of /data/</title><p><a href='a'>a</a></p></html>", HTML),
            (b"<html><!-- <title>Index of /data/</title> --><pre><a href='a'>a</a></pre></html>", HTML),
            (b"<html><script>'<title>Index of /data/</title>'</script><pre><a href='a'>a</a></pre></html>", HTML),
            (b"\x00\xff<\xfe", HTML),
            (b"{}", JSON),
            (b"[1]", JSON),
            (b"[[]]", JSON),
            (b'["a"]', JSON),
            (b"null", JSON),
            (b"[", JSON),
            (b"[{}]", JSON),
            (b'[{"name":"a"}]', JSON),
            (b'[{"name":"a","type":"file"}]', JSON),
            (b'[{"name":"a","type":"user","mtime":"x"}]', JSON),
            (b'[{"name":1,"type":"file","mtime":"x"}]', JSON),
            (b'[{"name":"a","type":"file","mtime":"x"},{"id":1}]', JSON),
            (b'[{"name":"a","type":"file","mtime":"x","in":{"id":1}}]', JSON),
            (b"[" * 100_000, JSON),
        ],
    )
    async def test_no_index(self, body, headers):
        with pytest.raises(NoIndexError, match="no index") as caught:
            await list_answer(Answer(body, headers=headers))
        assert isinstance(caught.value, ObjectNotFoundError)

    async def test_a_long_page_is_not_read_to_its_end(self):
        page = b"<html><title>Home</title><p>" + b"long " * 1_000_000
        async with (
            ScriptedServer(lambda _: Answer(page, headers=HTML)) as server,
            HTTPSource(server.url + "/") as source,
        ):
            with pytest.raises(NoIndexError):
                await source.list_page("data/")

    @pytest.mark.parametrize("key", ["data/", ""])
    async def test_where_no_index_is_wanted_none_is_asked_for(self, key):
        async with ScriptedServer(lambda _: Answer(NGINX.encode(), headers=HTML)) as server:
            async with HTTPSource(server.url + "/", HTTPOptions(index=False)) as source:
                with pytest.raises(NoIndexError):
                    await source.list_page(key)
            assert server.requests == []

    @pytest.mark.parametrize("key", ["file", "data/?x=/", "?x=/"])
    async def test_what_is_no_folder_has_no_index(self, key):
        async with ScriptedServer(lambda _: Answer(NGINX.encode(), headers=HTML)) as server:
            async with HTTPSource(server.url + "/") as source:
                with pytest.raises(NoIndexError):
                    await source.list_page(key)
            assert server.requests == []

    @pytest.mark.parametrize(
        ("status", "kind", "words"),
        [
            (401, AccessDeniedError, "autoindex on"),
            (403, AccessDeniedError, "autoindex on"),
            (404, ObjectNotFoundError, "not found"),
            (410, ObjectNotFoundError, "not found"),
            (400, StoreError, "HTTP 400"),
        ],
    )
    async def test_statuses(self, status, kind, words):
        with pytest.raises(kind, match=words) as caught:
            await list_answer(Answer(b"no", status))
        assert type(caught.value) is kind
        assert caught.value.uri.endswith("/data/")

    async def test_a_page_too_long_for_an_index(self, monkeypatch):
        monkeypatch.setattr("refscan.sources.http.folder._LARGEST", 1 << 20)
        text = nginx_html(*(str(number) for number in range(50_000))).encode()
        for answer in (
            Answer(text, headers=HTML),
            Answer(gzip.compress(text), headers=HTML | {"Content-Encoding": "gzip"}),
            Answer(b"[" + b" " * (2 << 20), headers=JSON),
        ):
            with pytest.raises(StoreError, match=r"more than 1 MiB; .*index=False"):
                await list_answer(answer)


class TestRedirects:
    async def list_through(self, location: str, key: str = "data/") -> Page:
        def script(request):
            if request.target in ("/data/", "/my%20dir/"):
                return Answer(status=302, headers={"Location": location})
            return Answer(nginx_html("a").encode(), headers=HTML)

        async with ScriptedServer(script) as server, HTTPSource(server.url + "/") as source:
            return await source.list_page(key)

    @pytest.mark.parametrize("location", ["/data/v2/", "/other/", "/", "/data", "/other/?token=q7SECRETq7"])
    async def test_an_index_that_lies_elsewhere_says_where(self, location):
        with pytest.raises(StoreError, match="elsewhere") as caught:
            await self.list_through(location)
        assert location.partition("?")[0] + "; give that URL" in str(caught.value)
        assert "q7SECRETq7" not in str(caught.value)

    async def test_a_query_is_no_other_place(self):
        assert keys(await self.list_through("/data/?token=q7SECRETq7")) == ["data/a"]

    async def test_an_index_on_another_host_says_which(self):
        async with ScriptedServer(lambda _: Answer(nginx_html("a").encode(), headers=HTML)) as other:
            with pytest.raises(StoreError, match="elsewhere") as caught:
                await self.list_through(other.url + "/data/")
            assert other.url + "/data/" in str(caught.value)

    async def test_a_name_that_leads_to_a_page_says_so(self, web_server):
        web_server.resources["/docs"] = Resource(status=301, location="/docs/")
        web_server.resources["/docs/"] = Resource(b"<title>Home</title>", headers=HTML)
        with pytest.raises(ObjectNotFoundError, match=r"/docs/, which is no index of files; give that URL and name="):
            async with scan(web_server.base + "docs"):
                pytest.fail("it must not open")

    async def test_another_way_to_write_the_folder_is_no_other_folder(self):
        page = await self.list_through("/m%79%20dir/", "my dir/")
        assert keys(page) == ["my dir/a"]

    async def test_a_page_elsewhere_is_a_page(self):
        async with (
            ScriptedServer(lambda _: Answer(b"<title>Home</title>", headers=HTML)) as other,
            ScriptedServer(lambda _: Answer(status=302, headers={"Location": other.url + "/"})) as server,
            HTTPSource(server.url + "/") as source,
        ):
            with pytest.raises(NoIndexError):
                await source.list_page("")


async def test_an_index_is_asked_for_again_while_the_server_is_busy(monkeypatch):
    monkeypatch.setattr("refscan.sources.retry._FIRST_DELAY", 0.001)
    text = nginx_html("a", "b").encode()
    answers = iter(
        [
            Answer(status=503, headers={"Retry-After": "0"}),
            Answer(status=429, headers={"Retry-After": formatdate(time.time() - 60, usegmt=True)}),
            Answer(text[:100], headers=HTML | {"Content-Length": str(len(text))}),
            Answer(text, headers=HTML),
        ]
    )
    async with ScriptedServer(lambda _: next(answers)) as server, HTTPSource(server.url + "/") as source:
        assert keys(await source.list_page("data/")) == ["data/a", "data/b"]
        assert len(server.requests) == 4
