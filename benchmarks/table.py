"""From measurements to tables: costs per 10^6 objects, and how many times what refscan needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from targets import Measurement, Verdict

__all__ = ["facts", "render"]

_OURS = "refscan"
_HEADER = (
    "contender",
    "CPU s / 10^6",
    "wall s / 10^6",
    "requests / 1,000",
    "at once",
    "peak MB",
    "CPU ratio",
    "wall ratio",
)
_FIGURES = ("figure", "measured", "to reach", "reached")


def render(title: str, measured: Sequence[Measurement], verdicts: Sequence[Verdict] = ()) -> str:
    """Write one work's tables: what each contender cost, and the figures to reach.

    Ratios are to refscan, in the same setting, or to the first of its ways of doing it that took part.
    """
    rows = [_HEADER]
    for one in measured:
        count, requests = one["objects"], one.get("requests")
        ours = _ours([other for other in measured if other.get("setting") == one.get("setting")])
        rows.append(
            (
                " ".join(filter(None, (one.get("setting"), one["contender"], f"({count:,})"))),
                f"{one['cpu_s'] / count * 1e6:,.1f}",
                f"{one['wall_s'] / count * 1e6:,.1f}",
                "-" if requests is None else f"{requests / count * 1e3:,.2f}",
                f"{one['at_once']}" if one.get("delay_ms") else "-",
                f"{one['peak_mb']:,.0f}",
                "-" if ours is None else f"{one['cpu_s'] / count / (ours['cpu_s'] / ours['objects']):,.1f}",
                "-" if ours is None else f"{one['wall_s'] / count / (ours['wall_s'] / ours['objects']):,.1f}",
            )
        )
    return "\n".join([title, "", *_table(rows), "", *_reached(verdicts)])


def _ours(measured: Sequence[Measurement]) -> Measurement | None:
    found = [one for one in measured if one["contender"].startswith(_OURS)]
    return min(found, key=lambda one: one["contender"] != _OURS, default=None)


def _reached(verdicts: Sequence[Verdict]) -> list[str]:
    rows = [_FIGURES]
    for one in verdicts:
        word = "yes" if one["reached"] else "no"
        apart = "" if one["objects"] == one["asked_of"] else f", but asked of {one['asked_of']:,} objects"
        sign = ">=" if one["at_least"] else "<="
        rows.append((one["figure"], f"{one['measured']:,.3g}", f"{sign} {one['limit']:g}", word + apart))
    return [*_table(rows), ""] if verdicts else []


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(_aligned(row, widths)).rstrip() for row in rows]
    return [lines[0], "-" * len(lines[0]), *lines[1:]]


def _aligned(row: tuple[str, ...], widths: list[int]) -> list[str]:
    return [row[0].ljust(widths[0])] + [text.rjust(width) for text, width in zip(row[1:], widths[1:], strict=True)]


def facts(title: str, found: Mapping[str, object]) -> str:
    """Write the measurements of a work that has no contenders."""
    width = max(map(len, found))
    lines = [
        f"{name.ljust(width)}  {f'{value:,.2f}' if isinstance(value, float) else value}"
        for name, value in found.items()
    ]
    return "\n".join([title, "", *lines, ""])
