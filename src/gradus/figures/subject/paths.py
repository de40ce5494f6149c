"""Where methods go on one landscape, each at the learning rate that serves it best there."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from torch import Tensor

from gradus.figures import style
from gradus.figures.curve_styles import METHOD_STYLES
from gradus.figures.subject.contours import Path, Terrain, draw_path, draw_terrain, mark, terrain
from gradus.figures.subject.landscapes import Landscape
from gradus.methods import adaptive, descent, momentum, scaled
from gradus.methods.method import FirstOrder
from gradus.methods.minimize import minimize

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STEPS: Final = 120
BETA: Final = 0.9

CONTENDERS: Final[Mapping[str, tuple[str, Callable[[float], FirstOrder]]]] = {
    "gradient-descent": ("SGD", descent.GradientDescent),
    "polyak": ("momentum", lambda lr: momentum.Polyak(lr, BETA)),
    "nesterov": ("Nesterov", lambda lr: momentum.Nesterov(lr, BETA)),
    "adagrad": ("Adagrad", scaled.Adagrad),
    "rmsprop": ("RMSprop", lambda lr: scaled.RMSprop(lr, alpha=0.9)),
    "adam": ("Adam", adaptive.Adam),
}
"""The methods by their names in ``METHOD_STYLES``: in words, and as functions of the rate."""

RATES: Final = tuple(float(f"{d}e{p}") for p in range(-5, 1) for d in (1, 2, 5))
"""The grid of learning rates."""


@dataclass(frozen=True, eq=False)
class Paths:
    """The paths of several methods on one landscape.

    Attributes:
        landscape: the function.
        above: its values.
        paths: of the methods.
        rates: of each, its learning rate; NaN where none of ``RATES`` keeps it in the box.
        chosen: whether each rate was chosen from ``RATES`` as the one that ends lowest in the box.
        steps: how many each takes.
    """

    landscape: Landscape
    above: Terrain
    paths: tuple[Path, ...]
    rates: tuple[float, ...]
    chosen: bool
    steps: int

    def until(self, share: float) -> Paths:
        """The same with the first steps of every path."""
        paths = tuple(path.until(share) for path in self.paths)
        return replace(self, paths=paths)


def facts(landscape: Landscape, *, lr: float | None = None, steps: int = STEPS) -> Paths:
    """The paths of six methods over a landscape.

    Args:
        landscape: where.
        lr: of every method; None: for each, that one of ``RATES`` with which it ends lowest, of
            those with which it stays in the box. The mean of f over its last quarter counts, so
            that no lucky last step does. A method that no rate keeps there stays at the start.
        steps: how many.

    Example:
        >>> from gradus.figures.subject.landscapes import LANDSCAPES
        >>> found = facts(LANDSCAPES["ravine"], lr=0.05, steps=10)
        >>> [path.name for path in found.paths][:2], found.paths[0].values.shape
        (['gradient-descent', 'polyak'], (11,))
    """
    paths, rates = [], []
    for name, (label, method) in CONTENDERS.items():
        tried = RATES if lr is None else (lr,)
        runs = [(_run(landscape, method(rate), steps), rate) for rate in tried]
        (points, values), rate = min(runs, key=lambda run: _ends(landscape, *run[0]))
        said = f"{label}, α = {rate:g}"
        if lr is None and math.isinf(_ends(landscape, points, values)):
            points, values, rate = points[:1], values[:1], math.nan
            said = f"{label}: no α stays in the picture"
        paths.append(Path(name, said, points.numpy(), values.numpy()))
        rates.append(rate)
    above = terrain(landscape.f, landscape.box, landscape.lowest)
    return Paths(landscape, above, tuple(paths), tuple(rates), lr is None, steps)


def _run(landscape: Landscape, method: FirstOrder, steps: int) -> tuple[Tensor, Tensor]:
    start = torch.tensor(landscape.start, dtype=torch.float64)
    run = minimize(landscape.f, start, method, steps=steps)
    return run.points, run.values


def _ends(landscape: Landscape, points: Tensor, values: Tensor) -> float:
    """How low a path ends; infinite where it left the picture."""
    low, high = (torch.tensor(landscape.box[at::2], dtype=torch.float64) for at in (0, 1))
    inside = ((points >= low) & (points <= high)).all()  # NaN is not inside
    late = values[-max(1, len(values) // 4) :].mean()
    return float(late) if bool(inside) and bool(late.isfinite()) else float("inf")


def draw(found: Paths) -> Figure:
    """The paths from above, and the values of f against the step."""
    landscape = found.landscape
    with style.lecture():
        figure = style.canvas(16.5, 7.0)
        left, right = figure.subplots(1, 2, width_ratios=(1.2, 1))
        draw_terrain(left, found.above)
        for path in found.paths:
            draw_path(left, path, METHOD_STYLES[path.name], linewidth=2.4, markersize=7,
                      markevery=max(1, path.steps // 20))  # fmt: skip
        for minimum in landscape.minima:
            mark(left, minimum, "minimum", xytext=(8, -20))
        mark(left, landscape.start, "start")
        left.set_title(landscape.name)
        _draw_values(found, right)
        how = (
            "each at its best α that stays in the picture"
            if found.chosen
            else "all with the same α"
        )
        style.dress(right, x="step", title=how,
                    y="f" if landscape.lowest is None else "f above its lowest")  # fmt: skip
        figure.legend(*right.get_legend_handles_labels(), loc="outside lower center",
                      ncols=min(6, len(found.paths)), frameon=False, fontsize=13)  # fmt: skip
    return figure


def _draw_values(found: Paths, axes: Axes) -> None:
    lowest = found.landscape.lowest
    for path in found.paths:
        line = METHOD_STYLES[path.name]
        values = path.values if lowest is None else np.maximum(path.values - lowest, 1e-17)
        axes.plot(values, color=line.color, linestyle=line.dashes, marker=line.marker,
                  linewidth=2.2, markersize=7, markevery=max(1, path.steps // 14),
                  label=path.label)  # fmt: skip
    first = float(found.paths[0].values[0])
    if lowest is not None:
        axes.set_yscale("log")
        top = max(first - lowest, 1e-12)
        axes.set_ylim(top * 1e-9, 8 * top)
    else:
        ends = [float(v) for path in found.paths for v in path.values if np.isfinite(v)]
        low = max(min(ends), first - 50 * max(abs(first), 1))
        axes.set_ylim(low - 0.05 * (first - low), first + 0.35 * (first - low) + 1e-9)
    axes.set_xlim(0, found.steps)


def own(
    f: Callable[[Tensor], Tensor],
    name: str,
    box: Sequence[float],
    start: Sequence[float] | None = None,
) -> Landscape:
    """A function of the user's own as a landscape; it starts near a corner of the box.

    Args:
        f: of a tensor ``[2]``, a scalar tensor.
        name: what the picture calls it.
        box: the part of the plane that is drawn.
        start: where methods begin.
    """
    x0, x1, y0, y1 = map(float, box)
    first = (x0 + 0.1 * (x1 - x0), y0 + 0.85 * (y1 - y0)) if start is None else start
    return Landscape(name, f, (x0, x1, y0, y1), (float(first[0]), float(first[1])))
