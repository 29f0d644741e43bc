"""Entries in a ``wandb.Artifact``, beside those that its own ``add_reference`` makes of the same URLs."""

import pytest
from beside import placed
from servers.http import Resource

RESOURCES = {
    "/plain.txt": Resource(b"plain", e_tag='"abc"'),
    "/weak.txt": Resource(b"weak", e_tag='W/"abc"'),
    "/none.txt": Resource(b"none"),
    "/empty.txt": Resource(b"", e_tag='"e"'),
    "/chunked.txt": Resource(b"chunked", e_tag='"c"', chunked=True),
    "/a%20b.txt": Resource(b"space", e_tag='"s"'),
    "/deep/er/x.bin": Resource(b"deep", e_tag='"d"'),
    "/q?id=7&part=a": Resource(b"query", e_tag='"q"'),
    "/": Resource(b"index", e_tag='"i"'),
    "/no%C3%ABl.txt": Resource(b"noel"),
}


@pytest.fixture
def web(web_server):
    web_server.resources.update(RESOURCES)
    return web_server.base


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("name", [None, "n", "a/b", "a//b"])
@pytest.mark.parametrize(
    "place",
    [
        "plain.txt",
        "weak.txt",
        "none.txt",
        "empty.txt",
        "chunked.txt",
        "a%20b.txt",
        "a b.txt",
        "deep/er/x.bin",
        "q?id=7&part=a",
        "plain.txt#part",
        "noël.txt",
    ],
)
@pytest.mark.parametrize("checksum", [True, False])
def test_urls_are_the_same(beside, web, place, *, name, checksum, strict):
    beside.add(web + place, name, checksum=checksum, strict=strict)
    beside.assert_same(1)


def test_many_urls_are_the_same(beside, web):
    for place in ("plain.txt", "none.txt", "deep/er/x.bin"):
        beside.add(web + place)
    beside.assert_same(3)


# The rows of the README's table.


@pytest.mark.parametrize("strict", [False, True])
def test_a_redirected_url_keeps_the_url_that_was_given(beside, web_server, strict):
    web_server.resources["/moved"] = Resource(status=302, location="/there?X-Amz-Signature=secret")
    web_server.resources["/there?X-Amz-Signature=secret"] = Resource(b"there", e_tag='"t"')
    beside.add(web_server.base + "moved", strict=strict)
    assert placed(beside.theirs) == {"moved": web_server.base + "there?X-Amz-Signature=secret"}
    assert placed(beside.ours) == {"moved": web_server.base + "moved"}
    assert beside.ours.digest == beside.theirs.digest


@pytest.mark.parametrize("checksum", [True, False])
@pytest.mark.parametrize("strict", [False, True])
def test_secrets_of_a_url_are_left_out(beside, web_server, strict, checksum):
    web_server.resources["/s.txt?token=hush"] = Resource(b"s", login=("user", "hush"))
    uri = web_server.base.replace("http://", "http://user:hush@") + "s.txt?token=hush"
    beside.add(uri, strict=strict, checksum=checksum)
    assert "hush" in str(beside.entries("theirs"))
    assert "hush" not in str(beside.entries())
    assert placed(beside.ours) == {"s.txt": web_server.base + "s.txt"}


@pytest.mark.parametrize("strict", [False, True])
def test_a_folder_of_a_web_server_is_its_files(beside, nginx, strict):
    for name in ("a", "deep/b c"):
        (nginx.root / name).parent.mkdir(exist_ok=True)
        (nginx.root / name).write_text(name)
    with pytest.raises(ValueError, match="path"):
        beside.theirs.add_reference(nginx.url)
    beside.add_ours(nginx.url, strict=strict)
    assert placed(beside.ours) == {"a": nginx.url + "a", "deep/b c": nginx.url + "deep/b%20c"}
