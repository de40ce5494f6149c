"""What momentum does to a quadratic: which learning rate and momentum factor converge, how fast."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gradus.figures import style
from gradus.figures.curve_styles import METHOD_STYLES
from gradus.figures.subject.contours import Path, Terrain, draw_path, draw_terrain, mark, terrain
from gradus.figures.subject.landscapes import Box
from gradus.methods.minimize import minimize
from gradus.methods.momentum import Polyak

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Numbers = NDArray[np.float64]

EIGENVALUES: Final = (1.0, 20.0)
START: Final = (-9.0, 2.0)
BOX: Final = (-10.5, 5.5, -3.4, 3.4)
STEPS: Final = 60
MEASURED: Final = 400
"""Steps over which a rate is measured: the first half of them is left out."""

PAPER: Final[dict[str, Any]] = {
    "boxstyle": "round",
    "facecolor": "#fdfdfd",
    "edgecolor": "none",
    "alpha": 0.85,
}

MONOTONE, OSCILLATING, DIVERGENT = 0, 1, 2


def rate(alpha: Numbers, beta: Numbers, eigenvalues: tuple[float, ...] = EIGENVALUES) -> Numbers:
    r"""The factor by which Polyak's method shrinks the error, per step in the long run.

    Along an eigenvector with eigenvalue $\lambda$ the error follows a linear recurrence:

    $$e_{t+1} = (1 + \beta - \alpha \lambda)\, e_t - \beta\, e_{t-1}, \qquad
      \rho = \max_\lambda |z|,\quad z^2 - (1 + \beta - \alpha \lambda)\, z + \beta = 0$$

    Args:
        alpha: learning rates, any shape.
        beta: momentum factors, of the same shape.
        eigenvalues: $\lambda$ of the Hessian.

    Returns:
        The rates $\rho$; the method diverges where they exceed 1.

    Example:
        >>> import numpy as np
        >>> rate(np.array([0.05]), np.array([0.0])).tolist()
        [0.95]

    Source: Polyak (1964); Goh (2017), "Why momentum really works".
    """
    worst = np.zeros(np.broadcast(alpha, beta).shape)
    for eigenvalue in eigenvalues:
        half = (1 + beta - alpha * eigenvalue) / 2
        inside = half**2 - beta
        real = np.abs(half) + np.sqrt(np.maximum(inside, 0))
        worst = np.maximum(worst, np.where(inside >= 0, real, np.sqrt(beta)))
    return np.asarray(worst)


def regime(alpha: Numbers, beta: Numbers, eigenvalues: tuple[float, ...] = EIGENVALUES) -> Numbers:
    r"""How the method goes: ``MONOTONE``, ``OSCILLATING`` or ``DIVERGENT``.

    It goes monotonically where all roots are real and positive,
    $\alpha \lambda \le (1 - \sqrt\beta)^2$ for every $\lambda$, and diverges where
    $\alpha \lambda > 2 (1 + \beta)$ for one.
    """
    largest = max(eigenvalues)
    oscillates = alpha * largest > (1 - np.sqrt(beta)) ** 2
    diverges = alpha * largest > 2 * (1 + beta)
    return np.where(diverges, DIVERGENT, np.where(oscillates, OSCILLATING, MONOTONE))


def optimum(eigenvalues: tuple[float, ...] = EIGENVALUES) -> tuple[float, float]:
    r"""Polyak's choice: $\alpha = 4 / (\sqrt L + \sqrt m)^2$, and $\beta = \rho^2$.

    The rate is then $\rho = (\sqrt L - \sqrt m) / (\sqrt L + \sqrt m)$, the lowest there is, for
    the smallest eigenvalue m and the largest L.

    Example:
        >>> optimum((1.0, 9.0))
        (0.25, 0.25)
    """
    low, high = min(eigenvalues) ** 0.5, max(eigenvalues) ** 0.5
    return 4 / (high + low) ** 2, ((high - low) / (high + low)) ** 2


@dataclass(frozen=True, eq=False)
class Point:
    """One choice of the two hyper-parameters.

    Attributes:
        alpha: the learning rate.
        beta: the momentum factor.
        what: what it shows.
        path: the first steps from the start.
        predicted: the rate by the eigenvalues.
        measured: the rate of a long run.
    """

    alpha: float
    beta: float
    what: str
    path: Path
    predicted: float
    measured: float


@dataclass(frozen=True, eq=False)
class Momentum:
    """Polyak's method on a quadratic whose Hessian has two eigenvalues.

    Attributes:
        above: the quadratic.
        points: choices that were run.
        alpha: ``[n]``, of the map.
        beta: ``[m]``, of the map.
        rates: ``[m, n]``, by the eigenvalues.
        regimes: ``[m, n]``.
    """

    above: Terrain
    points: tuple[Point, ...]
    alpha: Numbers
    beta: Numbers
    rates: Numbers
    regimes: Numbers

    def until(self, share: float) -> Momentum:
        """The same with the first steps of every path."""
        points = tuple(replace(point, path=point.path.until(share)) for point in self.points)
        return replace(self, points=points)


def quadratic(w: Tensor) -> Tensor:
    r"""$f(w) = \tfrac12 (\lambda_1 w_1^2 + \lambda_2 w_2^2)$."""
    low, high = EIGENVALUES
    return 0.5 * (low * w[0] ** 2 + high * w[1] ** 2)


def facts() -> Momentum:
    """The facts of the figure: four choices on a quadratic with condition number 20.

    Example:
        >>> best = facts().points[1]
        >>> round(best.predicted, 3), abs(best.predicted - best.measured) < 0.01
        (0.635, True)
    """
    best = optimum()
    choices = (
        (0.085, 0.0, "no momentum: zigzag"),
        (*best, "the optimum"),
        (0.02, 0.99, "too much momentum: oscillation"),
        (0.13, 0.1, "too large a step: divergence"),
    )
    alpha, beta = np.linspace(0.0005, 0.21, 300), np.linspace(0, 0.9995, 300)
    plane = np.meshgrid(alpha, beta)
    box: Box = BOX
    return Momentum(
        terrain(quadratic, box, 0.0),
        tuple(_point(*choice) for choice in choices),
        alpha,
        beta,
        rate(*plane),
        regime(*plane),
    )


def _point(alpha: float, beta: float, what: str) -> Point:
    start = torch.tensor(START, dtype=torch.float64)
    run = minimize(quadratic, start, Polyak(alpha, beta), steps=MEASURED)
    first = Path(
        "polyak" if beta else "gradient-descent",
        what,
        run.points[: STEPS + 1].numpy(),
        run.values[: STEPS + 1].numpy(),
    )
    predicted = float(rate(np.array(alpha), np.array(beta)))
    return Point(alpha, beta, what, first, predicted, measured_rate(run.points.numpy()))


def measured_rate(points: Numbers) -> float:
    """The factor by which the distance from 0 changed a step, in the later half of a run.

    An oscillating error passes near 0: the root of the mean square of a tenth of the run is taken
    for its size.
    """
    size, n = np.linalg.norm(points, axis=1), len(points)
    with np.errstate(over="ignore", invalid="ignore"):
        tenth = n // 10
        early, late = (
            0.5 * np.log(np.mean(size[at : at + tenth] ** 2)) for at in (n // 2, n - tenth)
        )
    return float(np.exp((late - early) / (n - tenth - n // 2)))


def draw(found: Momentum) -> Figure:
    """Four paths, and the map of rates with the four choices on it."""
    with style.lecture():
        figure = style.canvas(17.5, 8.6)
        grid = figure.add_gridspec(2, 3, width_ratios=(1, 1, 1.35))
        for index, point in enumerate(found.points):
            axes = figure.add_subplot(grid[index // 2, index % 2])
            _draw_point(axes, point, "ABCD"[index], found)
        _draw_map(figure, figure.add_subplot(grid[:, 2]), found)
    return figure


def _draw_point(axes: Axes, point: Point, letter: str, found: Momentum) -> None:
    draw_terrain(axes, found.above)
    draw_path(axes, point.path, METHOD_STYLES[point.path.name], linestyle="-", linewidth=1.6,
              markersize=6, markevery=1)  # fmt: skip
    mark(axes, (0, 0), "minimum", xytext=(8, -22))
    axes.set_title(f"{letter}   {point.what}\nα = {point.alpha:.3g},  β = {point.beta:.2g}")
    axes.annotate(
        f"rate {point.predicted:.3f}\nmeasured {point.measured:.3f}", (0.98, 0.95),
        xycoords="axes fraction", ha="right", va="top", fontsize=13,
        bbox=PAPER,
    )  # fmt: skip


def _draw_map(figure: Figure, axes: Axes, found: Momentum) -> None:
    inside = np.ma.masked_where(found.regimes == DIVERGENT, found.rates)
    levels = np.linspace(0.6, 1.0, 17)
    mesh = axes.contourf(found.alpha, found.beta, inside, levels=levels, cmap="cividis_r",
                         extend="min")  # fmt: skip
    axes.contourf(found.alpha, found.beta, found.regimes == DIVERGENT, levels=(0.5, 1.5),
                  colors=["#f3d9d5"])  # fmt: skip
    axes.contour(found.alpha, found.beta, found.regimes, levels=(0.5, 1.5), colors="#fdfdfd",
                 linewidths=2.5)  # fmt: skip
    bar = figure.colorbar(mesh, ax=axes, location="bottom", pad=0.02, aspect=32)
    bar.set_label("rate: the error shrinks by this factor a step", fontsize=13)
    bar.outline.set_visible(False)
    plain: dict[str, Any] = {"fontsize": 15, "ha": "center", "va": "center"}
    axes.annotate("divergent", (0.165, 0.22), **plain)
    pale = {**plain, "color": "#fdfdfd", "weight": "bold"}
    axes.annotate("oscillating", (0.105, 0.72), **pale)
    axes.annotate("monotone", (0.012, 0.08), xytext=(0.048, 0.30), **pale,
                  arrowprops={"arrowstyle": "-", "color": "#fdfdfd", "linewidth": 2})  # fmt: skip
    for letter, point in zip("ABCD", found.points, strict=True):
        best = point.what == "the optimum"
        axes.plot(point.alpha, point.beta, "*" if best else "o", markersize=20 if best else 13,
                  color="#fdfdfd", markeredgecolor=style.INK, markeredgewidth=1.8, clip_on=False,
                  zorder=5)  # fmt: skip
        beside = (-24, 8 if point.beta < 0.9 else -26)
        axes.annotate(letter, (point.alpha, point.beta), xytext=beside, fontsize=17,
                      textcoords="offset points", weight="bold", bbox=PAPER)  # fmt: skip
    eigenvalues = ", ".join(f"{value:g}" for value in EIGENVALUES)
    style.dress(axes, x="learning rate α", y="momentum factor β",
                title=f"Polyak's method, eigenvalues {eigenvalues}")  # fmt: skip
    axes.grid(visible=False)
    axes.set_ylim(0, 1)
