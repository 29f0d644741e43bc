"""Whether it is cheaper to list a stretch of keys, or to ask for its entries one by one. Pure."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["HEADS_FOR_A_PAGE", "Density", "listing_pays"]

HEADS_FOR_A_PAGE = 10
"""Requests for single objects that cost as much as one page of a listing.

S3 asks 12.5 times the price for a page (https://aws.amazon.com/s3/pricing/, LIST beside HEAD), and a page takes some
five times as long, and the CPU of some fifty; what counts most where requests are limited is their number.
"""
_PAGE = 1_000


def listing_pays(entries: int, objects: float) -> bool:
    """Tell whether to list ``objects`` versions to find ``entries`` of them; equal costs are listed."""
    pages = max(1.0, objects / _PAGE)
    return entries >= pages * HEADS_FOR_A_PAGE


@dataclass(slots=True)
class Density:
    """How many listed versions an entry stands among: as receipts let expect, and as pages show.

    Attributes:
        expected: Versions for each entry, from the counts of a receipt; 1 where nothing is known.
        weight: How many entries that expectation is worth beside what is seen.
        listed: Versions seen.
        passed: Entries decided by them.
    """

    expected: float = 1.0
    weight: int = 100
    listed: int = 0
    passed: int = 0

    def see(self, listed: int, passed: int) -> None:
        """Take a page into account."""
        self.listed += listed
        self.passed += passed

    @property
    def versions_for_an_entry(self) -> float:
        """What the rest is expected to be like."""
        return (self.expected * self.weight + self.listed) / (self.weight + self.passed)

    def pays(self, entries: int) -> bool:
        """Tell whether to list on for so many entries."""
        return listing_pays(entries, entries * self.versions_for_an_entry)
