"""Receipts as JSON."""

import json
from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st
from manifest_models import moments, texts

from refscan.manifest.receipt import RangeReceipt, Receipt

ranges = st.builds(RangeReceipt, texts, st.none() | texts, st.integers(0, 1 << 40))
receipts = st.builds(
    Receipt,
    uri=texts,
    version_id=st.none() | texts,
    name=st.none() | texts,
    checksum=st.booleans(),
    prefix=st.none() | texts,
    objects=st.integers(0, 1 << 40),
    bytes=st.integers(0, 1 << 60),
    requests=st.integers(0, 1 << 40),
    pinned=st.integers(0, 1 << 40),
    started=moments,
    ended=moments,
    skipped=st.dictionaries(texts, st.integers(1, 9), max_size=3),
    ranges=st.lists(ranges, max_size=3).map(tuple),
)


@given(receipts)
def test_a_receipt_comes_back_from_json(receipt):
    assert Receipt.from_json(json.loads(json.dumps(receipt.to_json()))) == receipt


@given(receipt=receipts, name=st.none() | texts)
def test_a_receipt_gets_a_name_and_keeps_the_rest(receipt, name):
    assert receipt.named(name) == replace(receipt, name=name)


def test_moments_keep_their_zone():
    now = datetime(2024, 2, 29, 12, 30, 1, 250_000, tzinfo=UTC)
    receipt = Receipt("memory://b/", None, None, True, "", 0, 0, 0, 0, now, now)
    assert receipt.to_json()["started"] == "2024-02-29T12:30:01.250000+00:00"
    assert Receipt.from_json(receipt.to_json()).started == now
