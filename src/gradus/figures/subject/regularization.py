"""What a penalty does to the solution: its path as the strength grows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gradus.figures import style
from gradus.figures.subject.datasets import diabetes
from gradus.methods.proximal import ProximalGradient
from gradus.risk import penalties
from gradus.risk.function import LeastSquares

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Numbers = NDArray[np.float64]

STRENGTHS: Final = np.geomspace(30, 1e-3, 37)
"""λ, from strong to weak: each solution starts where the last one ended."""

TOLERANCE: Final = 1e-7
"""A step that moves no coordinate further than this counts as small."""

STILL: Final = 20
"""Small steps in a row after which a solution is accepted: one also occurs where a path turns."""

PENALTIES: Final[dict[str, tuple[str, Callable[[float], penalties.Penalty]]]] = {
    "l1": (r"L1:  $\lambda\, \Sigma\, |w_i|$", penalties.L1),
    "l2": (r"L2:  $\lambda\, (\Sigma\, w_i^2)^{1/2}$", penalties.L2),
    "squared-l2": (r"squared L2:  $\frac{\lambda}{2}\, \Sigma\, w_i^2$", penalties.SquaredL2),
}


@dataclass(frozen=True, eq=False)
class PenaltyPath:
    """The solutions for one penalty.

    Attributes:
        name: of the penalty.
        strengths: ``[k]``, λ, descending.
        solutions: ``[k, d]``, the minimum of the regularised risk for each.
        vanishing: the λ from which on all of w is 0; infinite where there is none.
    """

    name: str
    strengths: Numbers
    solutions: Numbers
    vanishing: float

    @property
    def nonzero(self) -> NDArray[np.int64]:
        """``[k]``: how many coordinates are not exactly 0."""
        return np.asarray((self.solutions != 0).sum(1))


@dataclass(frozen=True, eq=False)
class Regularization:
    """Least squares on ten features of 442 patients, under three penalties.

    Attributes:
        features: names of the coordinates of w.
        unpenalised: ``[d]``, the solution without a penalty.
        paths: of the three penalties.
    """

    features: tuple[str, ...]
    unpenalised: Numbers
    paths: tuple[PenaltyPath, ...]


def facts() -> Regularization:
    """The facts of the figure.

    Example:
        >>> found = facts()
        >>> [int(path.nonzero[20]) for path in found.paths]
        [6, 10, 10]
    """
    x, y, features = diabetes()
    target = y[:, 0]
    risk = LeastSquares(lambda w: x @ w - target)
    gradient = risk.gradient(torch.zeros(x.shape[1], dtype=x.dtype))
    lr = 1 / float(torch.linalg.eigvalsh(2 / len(x) * x.T @ x)[-1])
    ends = {"l1": float(gradient.abs().max()), "l2": float(gradient.norm())}
    paths = []
    for name, (_, penalty) in PENALTIES.items():
        w, solutions = torch.zeros(x.shape[1], dtype=x.dtype), []
        for strength in STRENGTHS:
            w = _solved(x, target, penalty(float(strength)), lr, w)
            solutions.append(w.numpy())
        paths.append(PenaltyPath(name, STRENGTHS, np.stack(solutions), ends.get(name, np.inf)))
    return Regularization(features, torch.linalg.lstsq(x, y).solution[:, 0].numpy(), tuple(paths))


class _Penalised:
    """Least squares in closed form, with a penalty: the gradient costs one product."""

    def __init__(self, x: Tensor, y: Tensor, penalty: penalties.Penalty) -> None:
        self.penalty = penalty
        self.matrix, self.vector = 2 / len(x) * x.T @ x, 2 / len(x) * x.T @ y

    @property
    def smooth(self) -> _Penalised:
        return self

    def gradient(self, w: Tensor, batch: None = None) -> Tensor:
        """The gradient of the least squares, without the penalty."""
        return self.matrix @ w - self.vector


def _solved(x: Tensor, y: Tensor, penalty: penalties.Penalty, lr: float, w: Tensor) -> Tensor:
    """The minimum of the regularised risk, by accelerated proximal gradient steps from w."""
    method = ProximalGradient(lr=lr, accelerated=True)
    f, state, still = _Penalised(x, y, penalty), method.init(w), 0
    while still < STILL:
        after, state = method.step(f, w, state)  # type: ignore[arg-type]
        still = still + 1 if float((after - w).abs().max()) <= TOLERANCE else 0
        w = after
    return w


def draw(found: Regularization) -> Figure:
    """The coordinates of the solution against λ, one panel a penalty; below, how many are not 0."""
    with style.lecture():
        figure = style.canvas(18.0, 8.4)
        grid = figure.add_gridspec(2, 3, height_ratios=(3, 1))
        above = [figure.add_subplot(grid[0, column]) for column in range(3)]
        for column, path in enumerate(found.paths):
            axes = above[column]
            _draw_path(axes, found, path)
            if column:
                axes.sharey(above[0])
            axes.set_ylim(*_limits(found))
            below = figure.add_subplot(grid[1, column], sharex=axes)
            below.step(path.strengths, path.nonzero, color=style.INK, linewidth=2.6, where="mid")
            below.fill_between(path.strengths, path.nonzero, step="mid", color=style.GRID)
            below.set_ylim(0, 10.8)
            below.set_yticks((0, 5, 10))
            style.dress(below, x="strength λ", y="coordinates\nnot 0" if not column else "")
        above[0].set_ylabel("coordinates of the solution $w$")
        handles, labels = above[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside right center", frameon=False, title="feature")
    return figure


def _limits(found: Regularization) -> tuple[float, float]:
    """Limits of an axis that holds the coordinates of all solutions."""
    every = np.concatenate([path.solutions.ravel() for path in found.paths])
    room = 0.06 * (every.max() - every.min())
    return float(every.min() - room), float(every.max() + room)


def _draw_path(axes: Axes, found: Regularization, path: PenaltyPath) -> None:
    from matplotlib import colormaps

    colors = colormaps["tab10"](range(10))
    markers = "os^DvPXhp*"
    for at, name in enumerate(found.features):
        axes.semilogx(path.strengths, path.solutions[:, at], color=colors[at], linewidth=2.2,
                      marker=markers[at], markevery=(3 * at % 8, 8), markersize=7,
                      label=name)  # fmt: skip
    axes.axhline(0, color=style.INK, linewidth=1)
    style.dress(axes, x="", y="", title=PENALTIES[path.name][0])
    if np.isfinite(path.vanishing):
        axes.axvline(path.vanishing, color=style.ENDED, linestyle=(0, (4, 3)), linewidth=2)
        axes.annotate("all 0\nfrom here", (path.vanishing, 0.03), rotation=0, ha="left",
                      xycoords=("data", "axes fraction"), xytext=(6, 0), color=style.ENDED,
                      textcoords="offset points", fontsize=13.5)  # fmt: skip
