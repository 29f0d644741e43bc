"""Numbers of bytes as people read them."""

from __future__ import annotations

__all__ = ["human_size"]

_STEP = 1024


def human_size(size: int) -> str:
    """Return ``size`` bytes in the largest unit that leaves a number of at least 1."""
    value = float(size)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < _STEP:
            return f"{size} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= _STEP
    return f"{value:.1f} PiB"
