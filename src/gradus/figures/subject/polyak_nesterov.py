"""Where Nesterov's momentum differs from Polyak's, and a function on which that decides."""

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
from gradus.figures.subject.landscapes import Box, ravine
from gradus.methods.method import FirstOrder
from gradus.methods.minimize import minimize
from gradus.methods.momentum import Nesterov, Polyak
from gradus.risk.function import Function

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Numbers = NDArray[np.float64]

LR, BETA = 0.05, 0.8
START: Final = (-9.0, 1.9)
BOX: Final[Box] = (-10.2, 5.8, -2.9, 2.9)
STEPS: Final = 45
AT: Final = 3
"""The step whose parts are drawn."""

M, L = 1.0, 25.0
CYCLE_START: Final = 3.3
CYCLE_STEPS: Final = 40
CYCLE: Final = (792 / 1225, -2208 / 1225, 2592 / 1225)
"""The three points between which Polyak's method goes round for ever."""


def carefully_built(w: Tensor) -> Tensor:
    r"""A convex function on which Polyak's method goes round, though tuned to its curvature.

    $$f'(x) = \begin{cases} 25 x & x < 1 \\ x + 24 & 1 \le x < 2 \\ 25 x - 24 & x \ge 2
      \end{cases}$$

    f is strongly convex with m = 1, and its gradient Lipschitz with L = 25. Its minimum is at 0.

    Source: Lessard, Recht, Packard (2016), "Analysis and design of optimization algorithms via
        integral quadratic constraints", section 4.6.
    """
    x = w[0]
    return torch.where(
        x < 1,
        12.5 * x**2,
        torch.where(x < 2, 0.5 * x**2 + 24 * x - 12, 12.5 * x**2 - 24 * x + 36),
    )


@dataclass(frozen=True, eq=False)
class Parts:
    """One step, as the sum of two.

    Attributes:
        name: of the method.
        previous: w_{t-1}, ``[2]``.
        at: w_t.
        query: where the gradient is taken.
        momentum: the momentum step.
        gradient: the gradient step.
        after: w_{t+1} = w_t + momentum + gradient.
    """

    name: str
    previous: Numbers
    at: Numbers
    query: Numbers
    momentum: Numbers
    gradient: Numbers
    after: Numbers


@dataclass(frozen=True, eq=False)
class TwoMomenta:
    """Polyak's and Nesterov's momentum side by side.

    Attributes:
        parts: one step of each from the same two points.
        above: a valley.
        paths: of both over it.
        errors: of both on the carefully built function, ``[steps + 1]``: w_t itself, as w* = 0.
    """

    parts: tuple[Parts, Parts]
    above: Terrain
    paths: tuple[Path, Path]
    errors: tuple[Numbers, Numbers]

    def until(self, share: float) -> TwoMomenta:
        """The same with the first steps of all paths."""
        first, second = (e[: 1 + round(share * (len(e) - 1))] for e in self.errors)
        polyak, nesterov = (path.until(share) for path in self.paths)
        return replace(self, paths=(polyak, nesterov), errors=(first, second))


def tuned() -> tuple[Polyak, Nesterov]:
    r"""Both methods as they are tuned to $m \le f'' \le L$.

    Polyak: $\alpha = 4 / (\sqrt L + \sqrt m)^2$,
    $\beta = \big((\sqrt L - \sqrt m) / (\sqrt L + \sqrt m)\big)^2$. Nesterov: $\alpha = 1 / L$,
    $\beta = (\sqrt L - \sqrt m) / (\sqrt L + \sqrt m)$.
    """
    low, high = M**0.5, L**0.5
    share = (high - low) / (high + low)
    return Polyak(lr=4 / (high + low) ** 2, beta=share**2), Nesterov(lr=1 / L, beta=share)


def facts() -> TwoMomenta:
    """The facts of the figure.

    Example:
        >>> polyak, nesterov = facts().errors
        >>> abs(polyak[-1]) > 0.5, abs(nesterov[-1]) < 1e-3
        (np.True_, np.True_)
    """
    start = torch.tensor(START, dtype=torch.float64)
    methods: dict[str, FirstOrder] = {
        "polyak": Polyak(LR, BETA),
        "nesterov": Nesterov(LR, BETA),
    }
    runs = {name: minimize(ravine, start, m, steps=STEPS) for name, m in methods.items()}
    previous, at = runs["polyak"].points[AT - 1 : AT + 1]
    errors = [
        minimize(
            carefully_built,
            torch.tensor([CYCLE_START], dtype=torch.float64),
            method,
            steps=CYCLE_STEPS,
        ).points[:, 0]
        for method in tuned()
    ]
    polyak, nesterov = (
        Path(name, f"{name.capitalize()}", run.points.numpy(), run.values.numpy())
        for name, run in runs.items()
    )
    first, second = (_parts(name, method, previous, at) for name, method in methods.items())
    return TwoMomenta(
        (first, second),
        terrain(ravine, BOX, 0.0),
        (polyak, nesterov),
        (errors[0].numpy(), errors[1].numpy()),
    )


def _parts(name: str, method: FirstOrder, previous: Tensor, at: Tensor) -> Parts:
    """One step of the method from w_t, having come from w_{t-1}."""
    f, state = Function(ravine), replace(method.init(at), previous=previous)
    query = method.query(at, state)
    after, _ = method.step(f, at, state)
    momentum = BETA * (at - previous)
    arrays = (previous, at, query, momentum, after - at - momentum, after)
    return Parts(name, *(array.numpy() for array in arrays))


def draw(found: TwoMomenta) -> Figure:
    """One step of each in its parts, both paths, and the function on which Polyak goes round."""
    with style.lecture():
        figure = style.canvas(17.5, 10.0)
        grid = figure.add_gridspec(2, 2, height_ratios=(1, 1))
        for column, parts in enumerate(found.parts):
            _draw_parts(figure.add_subplot(grid[0, column]), parts, found)
        axes = figure.add_subplot(grid[1, 0])
        draw_terrain(axes, found.above)
        for path in found.paths:
            draw_path(
                axes, path, METHOD_STYLES[path.name], linewidth=2.2, markersize=6, markevery=1
            )
        mark(axes, (0, 0), "minimum", xytext=(8, -22))
        axes.set_title(f"both over one valley, α = {LR:g}, β = {BETA:g}")
        axes.legend(loc="lower left", framealpha=0.9, edgecolor="none")
        _draw_cycle(figure.add_subplot(grid[1, 1]), found)
    return figure


def _draw_parts(axes: Any, parts: Parts, found: TwoMomenta) -> None:
    """w_t, the two arrows, and where the gradient is taken."""
    both = found.parts
    every = np.stack([p for one in both for p in (one.previous, one.at, one.query, one.after)])
    low, high = every.min(0), every.max(0)
    room = 0.22 * (high - low)
    line = METHOD_STYLES[parts.name]
    draw_terrain(axes, found.above)
    axes.set_xlim(low[0] - room[0], high[0] + 1.6 * room[0])
    axes.set_ylim(low[1] - room[1], high[1] + room[1])

    def arrow(start: Numbers, end: Numbers, color: str, text: str, side: str) -> None:
        style_of = {"arrowstyle": "-|>", "linewidth": 3, "color": color, "mutation_scale": 22}
        axes.annotate("", end, xytext=start, zorder=5,
                      arrowprops={**style_of, "shrinkA": 0, "shrinkB": 0})  # fmt: skip
        offset = (-12, 8) if side == "right" else (12, 0)  # the text ends or begins there
        axes.annotate(text, (start + end) / 2, xytext=offset, textcoords="offset points",
                      fontsize=15, color=color, ha=side, va="center")  # fmt: skip

    before = parts.at + parts.momentum
    axes.plot(*np.stack([parts.previous, parts.at]).T, color=style.PALE, linewidth=2)
    axes.plot(*parts.previous, "o", color=style.PALE, markersize=11)
    axes.plot(*parts.at, "o", color=style.INK, markersize=13)
    axes.annotate("$w_{t-1}$", parts.previous, xytext=(10, 4), textcoords="offset points",
                  fontsize=17)  # fmt: skip
    axes.annotate("$w_t$", parts.at, xytext=(-32, -4), textcoords="offset points", fontsize=17)
    arrow(parts.at, before, "#d94801", "momentum step", "right")
    arrow(before, parts.after, METHOD_STYLES["gradient-descent"].color, "gradient step", "left")
    axes.plot(*parts.after, line.marker, color=line.color, markersize=13)
    axes.annotate("$w_{t+1}$", parts.after, xytext=(12, -8), textcoords="offset points",
                  fontsize=17)  # fmt: skip
    axes.plot(*parts.query, "o", markersize=24, markerfacecolor="none", color=line.color,
              markeredgewidth=3)  # fmt: skip
    axes.annotate("the gradient is taken here", parts.query, fontsize=15, color=line.color,
                  xytext=(0.97, 0.06),
                  textcoords="axes fraction", ha="right",
                  arrowprops={"arrowstyle": "-", "color": line.color, "linewidth": 1.8,
                              "shrinkB": 14})  # fmt: skip
    axes.set_title(f"{parts.name.capitalize()}: one step")


def _draw_cycle(axes: Axes, found: TwoMomenta) -> None:
    for value in CYCLE:
        axes.axhline(value, color=style.PALE, linewidth=1.4, linestyle=(0, (4, 3)))
        axes.annotate(f"{value:.3f}", (1.0, value), xycoords=("axes fraction", "data"), fontsize=13,
                      xytext=(5, 0), textcoords="offset points", va="center")  # fmt: skip
    axes.axhline(0, color=style.INK, linewidth=1.2)
    for errors, name in zip(found.errors, ("polyak", "nesterov"), strict=True):
        line = METHOD_STYLES[name]
        axes.plot(errors, color=line.color, linestyle=line.dashes, marker=line.marker,
                  linewidth=2, markersize=7, label=name.capitalize())  # fmt: skip
    axes.set_xlim(0, CYCLE_STEPS)
    axes.set_ylim(-3.4, 4.6)
    style.dress(axes, x="step", y="$w_t$  (minimum at 0)",
                title="a convex function on which Polyak goes round for ever")  # fmt: skip
    axes.legend(frameon=False, loc="upper right", ncols=2)
