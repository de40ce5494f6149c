"""Numbers and durations as they are printed."""

from __future__ import annotations


def number(value: float | None) -> str:
    """Four digits of a number; an empty text for None."""
    return "" if value is None else f"{value:.4f}" if 1e-3 <= abs(value) < 1e5 else f"{value:.3g}"


def duration(seconds: float) -> str:
    """A duration in its largest units: ``2 h 5 min``, ``3 min 20 s``, ``4.2 s``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes_left = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes_left} min"
    if minutes:
        return f"{minutes} min {rest} s"
    return f"{seconds:.1f} s" if seconds < 10 else f"{rest} s"
