"""Figures to reach: what is measured, the limit, and whether it was kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, NotRequired, TypedDict

__all__ = ["Cost", "Measurement", "Results", "Target", "Verdict", "figure", "ratio", "same_digest", "verdicts"]

Cost = Literal["cpu_s", "wall_s", "peak_mb", "requests"]
_WORDS: dict[Cost, str] = {"cpu_s": "CPU", "wall_s": "wall", "peak_mb": "peak memory", "requests": "requests"}


class Measurement(TypedDict):
    """What one contender's work cost, done once."""

    contender: str
    setting: NotRequired[str]
    objects: int
    delay_ms: NotRequired[float]
    cpu_s: float
    wall_s: float
    peak_mb: float
    peak_mb_imported: float
    digest: NotRequired[str | None]
    requests: NotRequired[float]
    at_once: NotRequired[int]
    faults: NotRequired[dict[str, int]]


Results = Mapping[tuple[str, str], Measurement]
"""Measurements by setting and contender."""


@dataclass(frozen=True, slots=True)
class Target:
    """A figure to reach.

    Attributes:
        name: What it is.
        measure: Computes it; ``KeyError`` where a contender was left out.
        limit: Where it should be.
        at_least: It should be that much, otherwise not more.
        objects: What the figure is asked of; it may say little of other numbers.
        of: The measurement whose number of objects that is.
    """

    name: str
    measure: Callable[[Results], float]
    limit: float
    at_least: bool
    of: tuple[str, str]
    objects: int = 1_000_000


class Verdict(TypedDict):
    """A figure that was measured, and what is to be reached."""

    figure: str
    measured: float
    limit: float
    at_least: bool
    reached: bool
    objects: int
    asked_of: int


def ratio(
    cost: Cost,
    ours: tuple[str, str],
    theirs: tuple[str, str],
    *,
    at_most: float | None = None,
    at_least: float | None = None,
    objects: int = 1_000_000,
    whole: bool = False,
) -> Target:
    """Compare costs for an object, or ``whole`` ones.

    With ``at_most`` it is how many times theirs ours are; with ``at_least`` how many times ours theirs are.
    """

    def each(results: Results, who: tuple[str, str]) -> float:
        return results[who][cost] / (1 if whole else results[who]["objects"])

    above, below = (ours, theirs) if at_least is None else (theirs, ours)
    limit = at_most if at_least is None else at_least
    if limit is None:
        raise ValueError("either at_most or at_least says where a ratio should be")
    return Target(
        f"{_WORDS[cost]}, {_shown(above, below)} / {_shown(below, above)}",
        lambda results: each(results, above) / each(results, below),
        limit,
        at_least is not None,
        ours,
        objects,
    )


def figure(
    name: str,
    measure: Callable[[Measurement], float],
    of: tuple[str, str],
    *,
    at_most: float,
    objects: int = 1_000_000,
) -> Target:
    """Take a figure of one measurement."""
    return Target(name, lambda results: measure(results[of]), at_most, at_least=False, of=of, objects=objects)


def same_digest(one: tuple[str, str], other: tuple[str, str], *, objects: int = 1_000_000) -> Target:
    """Say whether two manifests are the same: 1 if they are, else 0."""

    def measure(results: Results) -> float:
        digest = results[one].get("digest")
        return float(digest is not None and digest == results[other].get("digest"))

    return Target("the same manifest (1: yes)", measure, 1, at_least=True, of=one, objects=objects)


def verdicts(targets: tuple[Target, ...], results: Results) -> list[Verdict]:
    """Return the figures of all who took part."""
    found: list[Verdict] = []
    for target in targets:
        try:
            measured = target.measure(results)
        except KeyError:
            continue
        found.append(
            {
                "figure": target.name,
                "measured": measured,
                "limit": target.limit,
                "at_least": target.at_least,
                "reached": measured >= target.limit if target.at_least else measured <= target.limit,
                "objects": results[target.of]["objects"],
                "asked_of": target.objects,
            }
        )
    return found


def _shown(who: tuple[str, str], beside: tuple[str, str]) -> str:
    """Name one by what tells it from the other."""
    setting, contender = who
    if contender == beside[1]:
        return setting
    return contender if setting == beside[0] else f"{contender} ({setting})"
