"""Numbers and times in the words of the terminal."""

from __future__ import annotations


def number(value: float | None) -> str:
    """Four digits of a number; nothing of none."""
    return "" if value is None else f"{value:.4f}" if 1e-3 <= abs(value) < 1e5 else f"{value:.3g}"


def duration(seconds: float) -> str:
    """So long, in the largest units that say something."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes_left = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes_left} min"
    if minutes:
        return f"{minutes} min {rest} s"
    return f"{seconds:.1f} s" if seconds < 10 else f"{rest} s"
