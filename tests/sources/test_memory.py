import pytest

from refscan.errors import ObjectNotFoundError
from refscan.sources.memory import MemorySource
from refscan.sources.schemes import open_source
from refscan.uri import parse


def test_it_is_found_again_by_its_name():
    source = MemorySource("found-again")
    assert MemorySource.named("found-again") is source
    assert open_source(parse("memory://found-again/dir/")) is source


def test_a_later_one_takes_its_place():
    MemorySource("replaced").put("old", b"")
    later = MemorySource("replaced")
    assert MemorySource.named("replaced") is later


def test_a_name_that_nobody_made():
    with pytest.raises(ObjectNotFoundError, match="make it with MemorySource") as caught:
        MemorySource.named("nobody-made-this")
    assert caught.value.uri == "memory://nobody-made-this/"


async def test_what_is_put_back_after_deleting_is_listed_once():
    source = MemorySource("back-again")
    pins = [source.put("key", b"1")]
    source.delete("key")
    assert (await source.list_page("")).rows.num_rows == 0
    pins.append(source.put("key", b"2"))
    assert len(set(pins)) == 2
    assert (await source.list_page("")).rows.column("version_id").to_pylist() == [pins[1]]
