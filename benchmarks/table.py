"""From measurements to tables: costs per 10^6 objects, and how many times what refscan needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, NotRequired, TypedDict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Measurement", "facts", "render"]

_OURS = "refscan"
_HEADER = (
    "contender",
    "CPU s / 10^6",
    "wall s / 10^6",
    "requests / 1,000",
    "peak MB",
    "CPU ratio",
    "wall ratio",
)


class Measurement(TypedDict):
    """What one contender's work cost."""

    contender: str
    objects: int
    cpu_s: float
    wall_s: float
    peak_mb: float
    peak_mb_imported: float
    requests: NotRequired[int]


def render(title: str, measured: Sequence[Measurement], objects: int) -> str:
    """Write one work's table; a contender that was given fewer objects says so beside its name."""
    ours = next((m for m in measured if m["contender"] == _OURS), None)
    rows = [_HEADER]
    for one in measured:
        count = one["objects"]
        name = one["contender"] if count == objects else f"{one['contender']} ({count:,} objects)"
        requests = one.get("requests")
        rows.append(
            (
                name,
                f"{one['cpu_s'] / count * 1e6:,.1f}",
                f"{one['wall_s'] / count * 1e6:,.1f}",
                "-" if requests is None else f"{requests / count * 1e3:,.2f}",
                f"{one['peak_mb']:,.0f}",
                "-" if ours is None else f"{one['cpu_s'] / count / (ours['cpu_s'] / ours['objects']):,.1f}",
                "-" if ours is None else f"{one['wall_s'] / count / (ours['wall_s'] / ours['objects']):,.1f}",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADER))]
    lines = ["  ".join(_aligned(row, widths)) for row in rows]
    return "\n".join([f"{title}, {objects:,} objects", "", lines[0], "-" * len(lines[0]), *lines[1:], ""])


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
