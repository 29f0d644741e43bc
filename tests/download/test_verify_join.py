"""The join of entries with a listing of versions, beside a model of dictionaries, and what a page may cost."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refscan.download.cost import HEADS_FOR_A_PAGE, Density, listing_pays
from refscan.download.history_join import HistoryJoin, Rules
from refscan.download.status import STATUSES, UNDECIDED
from refscan.sources.history import HISTORY_SCHEMA, HistoryPage

ENTRY = pa.schema([("key", pa.string()), ("version_id", pa.string()), ("e_tag", pa.string()), ("size", pa.int64())])
RULES = Rules(archived=frozenset(["GLACIER"]))
KEYS = ["", "\0", "a", "a//b", "a/", "a0", "é", "\ue000", "\U00010000", "z%20?#"]

versions = st.builds(
    dict,
    version_id=st.sampled_from(["1", "2", "3", "4", "5"]),
    e_tag=st.sampled_from(["x", "y"]),
    size=st.integers(0, 1),
    storage_class=st.sampled_from([None, "STANDARD", "GLACIER"]),
    is_deleted=st.sampled_from([False, False, False, True]),
)


@st.composite
def histories(draw):
    """Each key's versions, the latest first, unless a delete marker is."""
    found = {}
    for key in draw(st.lists(st.sampled_from(KEYS), unique=True)):
        rows = draw(st.lists(versions, max_size=5, unique_by=lambda row: row["version_id"]))
        hidden = draw(st.booleans())
        found[key] = [
            row | {"key": key, "is_latest": number == 0 and not hidden, "is_deleted": row["is_deleted"] and number > 0}
            for number, row in enumerate(rows)
        ]
    return found


entries = st.builds(
    dict,
    key=st.sampled_from(KEYS),
    version_id=st.sampled_from([None, "1", "2", "3", "9"]),
    e_tag=st.sampled_from([None, "x", "y"]),
    size=st.sampled_from([None, 0, 1]),
)


def expected(entry, history, rules):
    """What the whole history says of an entry."""
    rows = history.get(entry["key"], [])
    latest = next((row for row in rows if row["is_latest"]), None)
    mine = latest
    if entry["version_id"] is not None:
        mine = next((row for row in rows if row["version_id"] == entry["version_id"]), None)
    if mine is None:
        return "changed" if rules.replaced and latest is not None else "missing"
    if entry["size"] not in (None, mine["size"]) or (rules.e_tags and entry["e_tag"] not in (None, mine["e_tag"])):
        return "changed"
    if mine["is_deleted"]:
        return "soft_deleted"
    if mine["storage_class"] in rules.archived:
        return "archived"
    return "present" if mine["is_latest"] else "delete_marked" if latest is None else "superseded"


def pages_of(history, data, *, by_key, oldest_first):
    """Cut a history into pages at random; ``by_key`` a page's rest of a key is passed over, as in S3."""
    rows = [row for key in sorted(history) for row in history[key][:: -1 if oldest_first else 1]]
    pages = []
    while True:
        count = data.draw(st.integers(0 if not by_key else 1, 4), "rows of a page")
        page, rows = rows[:count], rows[count:]
        if by_key and page and rows:
            last = page[-1]["key"]
            rows = [row for row in rows if row["key"] > last]
            if not history[last][0]["is_latest"] and data.draw(st.booleans(), "a page that ends with a delete marker"):
                page = [row for row in page if row["key"] < last]
            pages.append((page, {"next_after": last}))
        else:
            pages.append((page, {"token": "t"} if rows else {}))
        if "next_after" not in pages[-1][1] and not rows:
            return [HistoryPage(pa.RecordBatch.from_pylist(page, HISTORY_SCHEMA), **lead) for page, lead in pages]


@settings(max_examples=400)
@given(st.data(), histories(), st.lists(entries), st.tuples(st.booleans(), st.booleans()), st.booleans())
def test_the_join_says_what_the_whole_history_does(data, history, recorded, way, replaced):
    by_key, oldest_first = way
    rules = Rules(archived=RULES.archived, replaced=replaced, e_tags=not replaced)
    recorded.sort(key=lambda entry: entry["key"])
    join = HistoryJoin(pa.RecordBatch.from_pylist(recorded, ENTRY), rules)
    decided, undecided = 0, 0
    for page in pages_of(history, data, by_key=by_key, oldest_first=oldest_first and not by_key):
        join.feed(page)
        assert join.decided >= decided
        decided = join.decided
        assert (join.codes[decided:] == UNDECIDED).all()
    assert decided == len(recorded)
    for entry, code in zip(recorded, join.codes, strict=True):
        if code == UNDECIDED:
            undecided += 1
            assert by_key
            assert entry["version_id"] is not None
        else:
            assert STATUSES[code] == expected(entry, history, rules), entry
    if not by_key:
        assert undecided == 0


@given(histories(), st.lists(entries), st.sampled_from(KEYS))
def test_a_stretch_is_decided_by_its_own_keys(history, recorded, after):
    """Rows before the first entry, and behind the last one, change nothing."""
    recorded = sorted((entry for entry in recorded if entry["key"] > after), key=lambda entry: entry["key"])
    batch = pa.RecordBatch.from_pylist(recorded, ENTRY)
    found = []
    for rows in (history, {key: history[key] for key in history if key in {entry["key"] for entry in recorded}}):
        join = HistoryJoin(batch, RULES)
        flat = [row for key in sorted(rows) for row in rows[key]]
        join.feed(HistoryPage(pa.RecordBatch.from_pylist(flat, HISTORY_SCHEMA)))
        found.append(join.codes.tolist())
    assert found[0] == found[1]


def test_what_was_restored_counts_as_if_it_were_no_archive():
    row = {"key": "a", "is_deleted": False, "size": 1, "e_tag": "x", "storage_class": "GLACIER"}
    rows = [row | {"version_id": "2", "is_latest": True}, row | {"version_id": "1", "is_latest": False}]
    entries = [{"key": "a", "version_id": "1", "e_tag": "x", "size": 1}]
    join = HistoryJoin(pa.RecordBatch.from_pylist(entries, ENTRY), RULES)
    join.feed(HistoryPage(pa.RecordBatch.from_pylist(rows, HISTORY_SCHEMA)))
    assert (STATUSES[join.codes[0]], STATUSES[join.restored[0]]) == ("archived", "superseded")


def test_many_versions_of_one_key_are_not_kept():
    entry = {"key": "a", "version_id": "0", "e_tag": None, "size": None}
    join = HistoryJoin(pa.RecordBatch.from_pylist([entry], ENTRY), RULES)
    row = {"key": "a", "is_latest": False, "is_deleted": False, "size": 1, "e_tag": "x", "storage_class": None}
    for page in range(50):
        rows = [row | {"version_id": str(1_000 * page + number)} for number in range(1_000)]
        join.feed(HistoryPage(pa.RecordBatch.from_pylist(rows, HISTORY_SCHEMA), token="t"))
        assert join._carried.num_rows == 1
    join.feed(HistoryPage(pa.RecordBatch.from_pylist([row | {"version_id": "x", "is_latest": True}], HISTORY_SCHEMA)))
    assert STATUSES[join.codes[0]] == "superseded"


class TestCost:
    @pytest.mark.parametrize(
        ("entries", "objects", "pays"),
        [
            (10_000, 10_000, True),
            (1, 1, False),
            (HEADS_FOR_A_PAGE - 1, 1, False),
            (HEADS_FOR_A_PAGE, 1, True),
            (HEADS_FOR_A_PAGE, 1_000, True),
            (HEADS_FOR_A_PAGE, 1_001, False),
            (100, 1_000_000, False),
            (10_000, 1_000_000, True),
            (9_999, 1_000_000, False),
        ],
    )
    def test_pages_beside_single_requests(self, entries, objects, pays):
        assert listing_pays(entries, objects) is pays

    def test_a_receipt_that_left_most_objects_out(self):
        assert Density(expected=99).pays(1_000)
        assert not Density(expected=101).pays(1_000)

    @given(st.integers(1, 10_000), st.floats(1, 50))
    def test_pages_without_an_entry_end_a_listing(self, entries, expected):
        density = Density(expected=expected)
        pages = 0
        while density.pays(entries):
            density.see(1_000, 0)
            pages += 1
        assert pages <= 10

    @given(st.integers(10, 10_000), st.integers(0, 100))
    def test_a_dense_listing_goes_on(self, entries, pages):
        density = Density()
        for _ in range(pages):
            density.see(1_000, 1_000)
        assert density.pays(entries)

    def test_one_page_tells_of_what_is_unknown(self):
        density = Density(weight=10)
        assert density.pays(10_000)
        density.see(1_000, 0)
        assert not density.pays(10_000)


def test_codes_are_eight_bits():
    join = HistoryJoin(pa.RecordBatch.from_pylist([], ENTRY), RULES)
    join.feed(HistoryPage(pa.RecordBatch.from_pylist([], HISTORY_SCHEMA)))
    assert (join.codes.dtype, len(join.codes), join.decided) == (np.int8, 0, 0)
