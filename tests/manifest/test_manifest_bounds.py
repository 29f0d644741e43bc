"""Where segments end: by the paths alone, whatever the batches, and nowhere else after an insertion."""

import hashlib

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from manifest_models import paths

from refscan.manifest.bounds import LARGEST, SMALLEST, Bounds
from refscan.manifest.path_hash import path_hashes

sizes = st.integers(1, 6).flatmap(lambda least: st.tuples(st.just(least), st.integers(2 * least, 5 * least)))
# Few values: ties are frequent. Long ascending or equal stretches have no least one at all.
hashes = st.one_of(
    st.lists(st.integers(0, 9), max_size=80),
    st.lists(st.integers(0, (1 << 64) - 1), max_size=80),
    st.integers(0, 80).map(lambda count: list(range(count))),
    st.integers(0, 80).map(lambda count: list(range(count, 0, -1))),
)


def cut(values, smallest, largest, cuts=()):
    """Return the lengths of the segments, the hashes pushed in pieces that end at ``cuts``."""
    bounds = Bounds(smallest, largest)
    ends = sorted({min(at, len(values)) for at in cuts})
    lengths = []
    for a, b in zip([0, *ends], [*ends, len(values)], strict=True):
        lengths += bounds.push(np.array(values[a:b], np.uint64))
    return lengths + bounds.end()


def least_rows(values, smallest):
    """Return the rows whose hash is the least in their reach, by its definition; the first of equals."""
    reach = smallest - 1
    return [
        at
        for at in range(reach, len(values) - reach)
        if values[at] == min(values[at - reach : at + reach + 1]) and values[at] not in values[at - reach : at]
    ]


def model(values, smallest, largest):
    """Cut as the docstring says it, in plain Python."""
    lengths, start, natural = [], 0, least_rows(values, smallest)
    while start < len(values):
        end = next((at for at in natural if at >= start), len(values) - 1)
        if end + 1 - start > largest:
            window = range(start + smallest - 1, start + largest - smallest)
            end = min(window, key=lambda at: (values[at], at))
        lengths.append(end + 1 - start)
        start = end + 1
    return lengths


@given(values=hashes, size=sizes, cuts=st.lists(st.integers(0, 80), max_size=8))
@settings(max_examples=400)
def test_bounds_are_those_of_the_definition_wherever_batches_are_cut(values, size, cuts):
    assert cut(values, *size, cuts) == model(values, *size)


@given(values=hashes, size=sizes)
@settings(max_examples=200)
def test_segments_are_neither_too_small_nor_too_large(values, size):
    lengths = cut(values, *size)
    assert sum(lengths) == len(values)
    assert all(size[0] <= length for length in lengths[:-1])
    assert all(length <= size[1] for length in lengths)


@given(values=st.lists(st.integers(0, (1 << 64) - 1), min_size=1, max_size=150), data=st.data())
@settings(max_examples=300)
def test_an_insertion_changes_the_segments_between_the_least_rows_around_it_alone(values, data):
    smallest, largest = data.draw(sizes)
    at = data.draw(st.integers(0, len(values)))
    new = data.draw(st.lists(st.integers(0, (1 << 64) - 1), min_size=1, max_size=20))
    changed = [*values[:at], *new, *values[at:]]

    def ends(all_values):
        total, found = 0, set()
        for length in cut(all_values, smallest, largest):
            total += length
            found.add(total)
        return found

    before = max((row for row in least_rows(values, smallest) if row + smallest <= at), default=-1) + 1
    behind = [row for row in least_rows(values, smallest) if row - smallest + 1 >= at]
    old, now = ends(values), ends(changed)
    assert {end for end in old if end <= before} == {end for end in now if end <= before}
    if behind:
        kept = {end + len(new) for end in old if end > behind[0]}
        assert kept == {end for end in now if end > behind[0] + len(new)}


def test_random_hashes_make_segments_of_twice_the_least_on_average():
    values = np.random.default_rng(1).integers(0, 1 << 63, 4_000_000, dtype=np.uint64)
    bounds = Bounds()
    lengths = bounds.push(values) + bounds.end()
    assert 1.8 * SMALLEST < len(values) / len(lengths) < 2.1 * SMALLEST
    assert max(lengths) <= LARGEST


def test_what_is_remembered_does_not_grow():
    bounds, least = Bounds(8, 32), np.random.default_rng(2)
    for _ in range(200):
        bounds.push(least.integers(0, 1 << 63, 100, dtype=np.uint64))
        assert len(bounds._hashes) <= 3 * 32
    ascending = Bounds(8, 32)
    for start in range(0, 20_000, 100):
        ascending.push(np.arange(start, start + 100, dtype=np.uint64))
        assert len(ascending._hashes) <= 3 * 32


@pytest.mark.parametrize(("smallest", "largest"), [(0, 10), (8, 15)])
def test_sizes_that_cannot_be_are_refused(smallest, largest):
    with pytest.raises(ValueError, match="must be twice the least"):
        Bounds(smallest, largest)


@given(texts=st.lists(paths, max_size=10), before=st.lists(paths, max_size=3), behind=st.lists(paths, max_size=3))
@settings(max_examples=150)
def test_a_hash_depends_on_its_text_alone(texts, before, behind):
    single = [int(path_hashes(pa.array([text]))[0]) for text in texts]
    padded = pa.array([*before, *texts, *behind], pa.string()).slice(len(before), len(texts))
    assert path_hashes(padded).tolist() == single
    assert len(set(single)) == len(set(texts))


def test_hashes_are_the_same_in_every_release():
    known = pa.array(["a", "images/cat.png", "", "é\U0001f600" * 9, "x" * 5_000])
    assert hashlib.sha256(path_hashes(known).astype("<u8").tobytes()).hexdigest() == KNOWN


KNOWN = "9c35b23ae41b7032c07bdf991efcd6271a7fb73b15e31a975702746b953eeb70"


@given(text=st.text(st.characters(codec="ascii"), min_size=1, max_size=40), data=st.data())
def test_another_character_anywhere_is_another_hash(text, data):
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters(codec="ascii").filter(lambda character: character != text[at]))
    both = path_hashes(pa.array([text, text[:at] + other + text[at + 1 :]]))
    assert both[0] != both[1]


def test_hashes_of_numbered_paths_are_spread_evenly():
    values = path_hashes(pa.array([f"data/{number // 1_000:06}/{number:09}.bin" for number in range(100_000)]))
    for shift in (0, 8, 24, 40, 56):
        counts = np.bincount((values >> np.uint64(shift)).astype(np.uint8), minlength=256)
        assert counts.min() > 250
        assert counts.max() < 550
