import inspect
import re

import pytest

from refscan import errors

LEAVES = [getattr(errors, name) for name in errors.__all__]


def test_the_tree_in_the_docstring_is_the_tree():
    drawn = {}
    above: list[str] = []
    for indent, name, builtin in re.findall(r"^([│ ]*[├└]── )?(\w+Error)(?: \((\w+)\))?", errors.__doc__, re.MULTILINE):
        depth = len(indent) // 4
        above[depth:] = [name]
        drawn[name] = [above[depth - 1] if depth else "Exception", *([builtin] if builtin else [])]
    real = {error.__name__: [base.__name__ for base in error.__bases__] for error in LEAVES}
    assert drawn == real


def test_all_names_every_error():
    found = {
        name for name, value in vars(errors).items() if inspect.isclass(value) and value.__module__ == errors.__name__
    }
    assert sorted(found) == errors.__all__


@pytest.mark.parametrize("error", LEAVES, ids=lambda error: error.__name__)
def test_each_carries_its_message_and_uri(error):
    assert str(error("one line")) == "one line"
    assert error("one line").uri is None
    assert error("one line", uri="s3://b/k").uri == "s3://b/k"


@pytest.mark.parametrize("error", LEAVES, ids=lambda error: error.__name__)
def test_a_key_cannot_break_the_line(error):
    raised = error("s3://b/a\nb\x1b[2J\x85\u2028é\\: gone", uri="s3://b/a\nb")
    assert str(raised) == "s3://b/a\\nb\\x1b[2J\\x85\\u2028é\\: gone"
    assert raised.uri == "s3://b/a\nb"
