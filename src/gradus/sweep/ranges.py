"""How a range of values is written, and which values it holds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

ScaleName = Literal["log", "lin"]
SCALES: tuple[str, ...] = get_args(ScaleName)
EXAMPLE = "as log:1e-5:1:7 or lin:0:0.9:4"


@dataclass(frozen=True)
class Range:
    """Values from ``low`` to ``high``, written ``log:1e-5:1:7`` or, without a count, ``lin:0:0.9``.

    Args:
        scale: ``log``, equal factors between neighbours, or ``lin``, equal differences.
        low: the least value; above 0 where the scale is log.
        high: the greatest value, above ``low``.
        count: how many values it stands for, 2 or more; None: any value may be drawn from it.

    Raises:
        ValueError: the bounds or the count make no range.

    Example:
        >>> from gradus.sweep.ranges import Range
        >>> Range.read("log:1e-3:1:4").values()
        (0.001, 0.01, 0.1, 1.0)
        >>> Range.read("log:16:256:5").values(whole=True)
        (16, 32, 64, 128, 256)
        >>> Range.read("lin:0:0.9").at(0.5)
        0.45
    """

    scale: ScaleName
    low: float
    high: float
    count: int | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ValueError(f"a range goes from a number to a greater one, {EXAMPLE}")
        if self.scale == "log" and self.low <= 0:
            raise ValueError(f"a log range begins above 0, {EXAMPLE}")
        if self.count is not None and self.count < 2:
            raise ValueError(f"a range has at least 2 values, {EXAMPLE}")

    @classmethod
    def read(cls, text: str) -> Range:
        """The range that a text for which ``is_written`` holds means.

        Raises:
            ValueError: the text is not of the form SCALE:LOW:HIGH or SCALE:LOW:HIGH:COUNT.
        """
        scale, *bounds = text.split(":")
        try:
            low, high, *rest = bounds
            (count,) = map(int, rest) if rest else (None,)
            numbers = float(low), float(high)
        except ValueError:
            raise ValueError(f"not a range, which is written {EXAMPLE}") from None
        return cls("log" if scale == "log" else "lin", *numbers, count)

    @staticmethod
    def is_written(text: object) -> bool:
        """Whether a text means to be a range."""
        return isinstance(text, str) and text.partition(":")[0] in SCALES and ":" in text

    def values(self, *, whole: bool = False) -> tuple[float, ...]:
        """The values that a range with a count stands for, the bounds as they were written.

        Values between have 6 significant digits, so that they can be read and written; whole ones
        are rounded, and stand once.
        """
        assert self.count is not None
        inner = [
            self._between(i / (self.count - 1), self.low, self.high)
            for i in range(1, self.count - 1)
        ]
        values = [self.low, *map(_rounded, inner), self.high]
        return tuple(dict.fromkeys(map(round, values) if whole else values))

    def at(self, fraction: float, *, whole: bool = False) -> float:
        """The value a fraction in [0, 1) of the way up; whole ones each hold their part of it.

        With a uniform fraction the values are uniform on the scale of the range.
        """
        margin = 0.5 if whole else 0.0
        value = self._between(fraction, self.low - margin, self.high + margin)
        value = round(value) if whole else _rounded(value)
        return min(max(value, self.low), self.high)

    def _between(self, fraction: float, low: float, high: float) -> float:
        if self.scale == "lin":
            return low + (high - low) * fraction
        return float(low * (high / low) ** fraction)


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")
