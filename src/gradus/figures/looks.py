"""How curves are told apart: by colour, and by dashes and marker where there is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True)
class Look:
    """How the curve of one value looks."""

    color: str
    dashes: Any
    marker: str
    hatch: str


LOOKS: Final = (
    Look("#0868ac", "-", "o", ""),
    Look("#d94801", (0, (5, 1.6)), "s", "//"),
    Look("#238b45", (0, (1.2, 1.2)), "^", ".."),
    Look("#8c4bb0", (0, (7, 1.5, 1.2, 1.5)), "D", "xx"),
    Look("#b8860b", (0, (9, 2.5)), "v", "\\\\"),
    Look("#d6409f", (0, (3, 1, 1, 1, 1, 1)), "P", "--"),
    Look("#1a9aa0", (0, (2.5, 1)), "X", "oo"),
    Look("#7a5c3e", (0, (1, 2.2)), "h", "++"),
)
"""Of the values of an option, in their order."""

METHODS: Final = {
    "gradient-descent": Look("#238b45", "-", "o", ""),
    "stochastic": Look("#b8860b", (0, (1.2, 1.2)), ".", ".."),
    "mini-batch": Look("#1a9aa0", (0, (5, 1.6)), "^", "//"),
    "polyak": Look("#0868ac", (0, (5, 1.6)), "s", "//"),
    "nesterov": Look("#8c4bb0", (0, (7, 1.5, 1.2, 1.5)), "D", "xx"),
    "adagrad": Look("#b8860b", (0, (9, 2.5)), "v", "\\\\"),
    "rmsprop": Look("#7a5c3e", (0, (3, 1, 1, 1, 1, 1)), "P", "++"),
    "adam": Look("#d6409f", (0, (1.2, 1.2)), "X", "oo"),
    "adamw": Look("#d6409f", (0, (9, 2.5)), "h", "oo"),
    "newton": Look("#c8102e", "-", "^", ""),
    "newton-cg": Look("#c8102e", (0, (5, 1.6)), "v", "//"),
    "gauss-newton": Look("#d94801", (0, (7, 1.5, 1.2, 1.5)), "D", "xx"),
    "levenberg-marquardt": Look("#d94801", (0, (1.2, 1.2)), "s", ".."),
    "lbfgs": Look("#1b1c1d", (0, (9, 2.5)), "P", "++"),
    "proximal-gradient": Look("#1a9aa0", (0, (2.5, 1)), "h", "oo"),
}
"""Of the methods, the same in every figure; SGD is gradient descent with batches, and looks so."""


def look_of(option: str | None, value: Any, place: int) -> Look:
    """The look of a value of an option, the ``place``-th that is told apart.

    Example:
        >>> look_of("method", "sgd", 0) == METHODS["gradient-descent"]
        True
        >>> look_of("lr", 0.1, 1) == LOOKS[1]
        True
    """
    if option == "method":
        return METHODS["gradient-descent" if value == "sgd" else value]
    return LOOKS[place % len(LOOKS)]
