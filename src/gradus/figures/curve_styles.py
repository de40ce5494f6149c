"""The styles that tell curves apart: a colour, and dashes and a marker for print without colour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True)
class CurveStyle:
    """The line by which one curve is told from others."""

    color: str
    dashes: Any
    marker: str
    hatch: str


STYLES: Final = (
    CurveStyle("#0868ac", "-", "o", ""),
    CurveStyle("#d94801", (0, (5, 1.6)), "s", "//"),
    CurveStyle("#238b45", (0, (1.2, 1.2)), "^", ".."),
    CurveStyle("#8c4bb0", (0, (7, 1.5, 1.2, 1.5)), "D", "xx"),
    CurveStyle("#b8860b", (0, (9, 2.5)), "v", "\\\\"),
    CurveStyle("#d6409f", (0, (3, 1, 1, 1, 1, 1)), "P", "--"),
    CurveStyle("#1a9aa0", (0, (2.5, 1)), "X", "oo"),
    CurveStyle("#7a5c3e", (0, (1, 2.2)), "h", "++"),
)
"""Of the values of an option, in their order."""

METHOD_STYLES: Final = {
    "gradient-descent": CurveStyle("#238b45", "-", "o", ""),
    "stochastic": CurveStyle("#b8860b", (0, (1.2, 1.2)), ".", ".."),
    "mini-batch": CurveStyle("#1a9aa0", (0, (5, 1.6)), "^", "//"),
    "polyak": CurveStyle("#0868ac", (0, (5, 1.6)), "s", "//"),
    "nesterov": CurveStyle("#8c4bb0", (0, (7, 1.5, 1.2, 1.5)), "D", "xx"),
    "adagrad": CurveStyle("#b8860b", (0, (9, 2.5)), "v", "\\\\"),
    "rmsprop": CurveStyle("#7a5c3e", (0, (3, 1, 1, 1, 1, 1)), "P", "++"),
    "adam": CurveStyle("#d6409f", (0, (1.2, 1.2)), "X", "oo"),
    "adamw": CurveStyle("#d6409f", (0, (9, 2.5)), "h", "oo"),
    "newton": CurveStyle("#c8102e", "-", "^", ""),
    "newton-cg": CurveStyle("#c8102e", (0, (5, 1.6)), "v", "//"),
    "gauss-newton": CurveStyle("#d94801", (0, (7, 1.5, 1.2, 1.5)), "D", "xx"),
    "levenberg-marquardt": CurveStyle("#d94801", (0, (1.2, 1.2)), "s", ".."),
    "lbfgs": CurveStyle("#1b1c1d", (0, (9, 2.5)), "P", "++"),
    "proximal-gradient": CurveStyle("#1a9aa0", (0, (2.5, 1)), "h", "oo"),
}
"""Of the methods, the same in every figure; SGD has that of gradient descent."""


def style_of(option: str | None, value: Any, place: int) -> CurveStyle:
    """The style of the curve of a value of an option, the ``place``-th that is told apart.

    Example:
        >>> style_of("method", "sgd", 0) == METHOD_STYLES["gradient-descent"]
        True
        >>> style_of("lr", 0.1, 1) == STYLES[1]
        True
    """
    if option == "method":
        return METHOD_STYLES["gradient-descent" if value == "sgd" else value]
    return STYLES[place % len(STYLES)]
