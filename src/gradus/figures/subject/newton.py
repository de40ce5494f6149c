"""What the Hessian buys: Newton's method doubles the digits, gradient descent adds some."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gradus.figures import style
from gradus.figures.curve_styles import METHOD_STYLES
from gradus.figures.subject.contours import Path, Terrain, draw_path, draw_terrain, mark, terrain
from gradus.figures.subject.landscapes import Box
from gradus.methods.descent import GradientDescent
from gradus.methods.method import Method
from gradus.methods.minimize import minimize
from gradus.methods.newton import Newton

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Numbers = NDArray[np.float64]

MINIMUM: Final = (-math.log(2) / 2, 0.0)
"""Where the gradient of f is 0: $2 e^{w_1} = e^{-w_1}$ and $w_2 = 0$."""

START: Final = (-1.45, 0.72)
BOX: Final[Box] = (-1.75, 0.75, -0.75, 0.95)
LR: Final = 0.075
STEPS: Final = {"gradient-descent": 60, "newton": 7}


def f(w: Tensor) -> Tensor:
    r"""$f(w) = e^{w_1 + 3 w_2 - 0.1} + e^{w_1 - 3 w_2 - 0.1} + e^{-w_1 - 0.1}$.

    Source: Boyd, Vandenberghe (2004), "Convex optimization", equation (9.20).
    """
    x, y = w
    return torch.exp(x + 3 * y - 0.1) + torch.exp(x - 3 * y - 0.1) + torch.exp(-x - 0.1)


@dataclass(frozen=True, eq=False)
class Race:
    """Gradient descent and Newton's method from one start.

    Attributes:
        above: the function.
        paths: of gradient descent and of Newton's method.
        errors: of each, ``[steps + 1]``: the distance from the minimum.
    """

    above: Terrain
    paths: tuple[Path, Path]
    errors: tuple[Numbers, Numbers]

    @property
    def digits(self) -> Numbers:
        """Correct decimal digits of the minimum after each step of Newton's method."""
        with np.errstate(divide="ignore"):
            return np.asarray(-np.log10(self.errors[1]))

    def until(self, share: float) -> Race:
        """The same with the first steps of both: as many of each as long as there are."""
        taken = round(share * STEPS["gradient-descent"])
        paths = [
            replace(path, points=path.points[: taken + 1], values=path.values[: taken + 1])
            for path in self.paths
        ]
        errors = [e[: taken + 1] for e in self.errors]
        return replace(self, paths=(paths[0], paths[1]), errors=(errors[0], errors[1]))


def facts() -> Race:
    """The facts of the figure.

    Example:
        >>> descent, newton = facts().errors
        >>> newton[6] < 1e-12, descent[6] > 0.1
        (np.True_, np.True_)
    """
    start = torch.tensor(START, dtype=torch.float64)
    methods: dict[str, Method] = {"gradient-descent": GradientDescent(LR), "newton": Newton()}
    paths, errors = [], []
    for name, method in methods.items():
        run = minimize(f, start, method, steps=STEPS[name])
        label = {"gradient-descent": f"gradient descent, α = {LR:g}", "newton": "Newton"}[name]
        paths.append(Path(name, label, run.points.numpy(), run.values.numpy()))
        errors.append(np.linalg.norm(paths[-1].points - np.array(MINIMUM), axis=1))
    lowest = float(f(torch.tensor(MINIMUM, dtype=torch.float64)))
    return Race(terrain(f, BOX, lowest), (paths[0], paths[1]), (errors[0], errors[1]))


def draw(found: Race) -> Figure:
    """Both paths, and the error of each against the step."""
    with style.lecture():
        figure = style.canvas(16.0, 6.4)
        left, right = figure.subplots(1, 2)
        draw_terrain(left, found.above)
        for path in found.paths:
            draw_path(
                left, path, METHOD_STYLES[path.name], linewidth=2.4, markersize=7, markevery=1
            )
        mark(left, START, "start", xytext=(12, 4))
        mark(left, MINIMUM, "minimum", xytext=(10, -22))
        left.set_title("two routes over one function")
        left.legend(loc="lower right", framealpha=0.9, edgecolor="none")
        for path, error in zip(found.paths, found.errors, strict=True):
            line = METHOD_STYLES[path.name]
            right.semilogy(np.maximum(error, 1e-16), color=line.color, linestyle=line.dashes,
                           marker=line.marker, markersize=7, linewidth=2.2,
                           label=path.label)  # fmt: skip
        for step, (digits, error) in enumerate(zip(found.digits, found.errors[1], strict=True)):
            if 0.8 <= digits < 15:
                right.annotate(f"{digits:.1f} digits", (step, max(error, 1e-16)), fontsize=13.5,
                               xytext=(12, 0), textcoords="offset points", va="center",
                               color=METHOD_STYLES["newton"].color)  # fmt: skip
        right.annotate("here float64 ends", (7, 1e-16), xytext=(14, 0), fontsize=13.5,
                       textcoords="offset points", va="center")  # fmt: skip
        right.set_xlim(-1, STEPS["gradient-descent"] + 1)
        right.set_ylim(3e-17, 4)
        style.dress(right, x="step", y="distance from the minimum",
                    title="Newton's digits double, gradient descent's add up")  # fmt: skip
        right.legend(frameon=False, loc="center right")
    return figure
