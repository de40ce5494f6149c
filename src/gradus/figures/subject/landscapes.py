"""Functions of two variables on which methods are shown: a ravine, a saddle, and the classics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from torch import Tensor

Box = tuple[float, float, float, float]
"""The part of the plane that is drawn: lowest and highest w_1, lowest and highest w_2."""


@dataclass(frozen=True, eq=False)
class Landscape:
    """A function of two variables, and where it is looked at.

    Attributes:
        name: what it is called.
        f: of a tensor ``[2]``, a scalar tensor.
        box: the part of the plane that is drawn.
        start: where methods begin.
        minima: where f is lowest, ``[m, 2]``; empty where that is not known.
        lowest: f there; None where it is not known or f has no lower bound.
    """

    name: str
    f: Callable[[Tensor], Tensor]
    box: Box
    start: tuple[float, float]
    minima: tuple[tuple[float, float], ...] = ()
    lowest: float | None = None


def ravine(w: Tensor) -> Tensor:
    r"""$f(w) = \tfrac12 (w_1^2 + 25\, w_2^2)$: a long valley with steep walls."""
    return 0.5 * (w[0] ** 2 + 25 * w[1] ** 2)


def saddle(w: Tensor) -> Tensor:
    r"""$f(w) = \tfrac12 w_1^2 - \tfrac12 w_2^2 + \tfrac14 w_2^4$: a saddle between two minima."""
    return 0.5 * w[0] ** 2 - 0.5 * w[1] ** 2 + 0.25 * w[1] ** 4


def beale(w: Tensor) -> Tensor:
    r"""$f(w) = \sum_{k=1}^{3} (c_k - w_1 + w_1 w_2^k)^2$, $c = (1.5, 2.25, 2.625)$.

    Source: Beale (1958), "On an iterative method for finding a local minimum of a function of more
        than one variable"; problem 5 of Moré, Garbow, Hillstrom (1981).
    """
    x, y = w[0], w[1]
    return (1.5 - x + x * y) ** 2 + (2.25 - x + x * y**2) ** 2 + (2.625 - x + x * y**3) ** 2


def rosenbrock(w: Tensor) -> Tensor:
    r"""$f(w) = 100\,(w_2 - w_1^2)^2 + (1 - w_1)^2$: a valley that bends.

    Source: Rosenbrock (1960), "An automatic method for finding the greatest or least value of a
        function".
    """
    return 100 * (w[1] - w[0] ** 2) ** 2 + (1 - w[0]) ** 2


def himmelblau(w: Tensor) -> Tensor:
    r"""$f(w) = (w_1^2 + w_2 - 11)^2 + (w_1 + w_2^2 - 7)^2$: four minima.

    Source: Himmelblau (1972), "Applied nonlinear programming", p. 428.
    """
    return (w[0] ** 2 + w[1] - 11) ** 2 + (w[0] + w[1] ** 2 - 7) ** 2


LANDSCAPES: Final = {
    landscape.name: landscape
    for landscape in (
        Landscape("ravine", ravine, (-10.5, 2.5, -2.4, 2.4), (-10.0, 1.6), ((0.0, 0.0),), 0.0),
        Landscape(
            "saddle",
            saddle,
            (-2.2, 2.2, -1.7, 1.7),
            (-2.0, 1e-3),
            ((0.0, 1.0), (0.0, -1.0)),
            -0.25,
        ),
        Landscape("beale", beale, (-0.6, 4.2, -1.7, 1.8), (1.0, 1.5), ((3.0, 0.5),), 0.0),
        Landscape(
            "rosenbrock", rosenbrock, (-2.0, 1.8, -0.9, 3.1), (-1.5, 2.0), ((1.0, 1.0),), 0.0
        ),
        Landscape(
            "himmelblau",
            himmelblau,
            (-5.2, 5.2, -5.2, 5.2),
            (0.2, -1.2),
            (
                (3.0, 2.0),
                (-2.805118086952745, 3.131312518250573),
                (-3.779310253377747, -3.283185991286170),
                (3.584428340330492, -1.848126526964404),
            ),
            0.0,
        ),
    )
}
