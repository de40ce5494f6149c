"""One method under three samplings: all examples, one, or a few at every step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from numpy.typing import NDArray

from gradus.data.sampling import Sampling, SamplingName
from gradus.figures import style
from gradus.figures.curve_styles import METHOD_STYLES
from gradus.figures.subject.contours import Path, Terrain, draw_path, draw_terrain, mark, terrain
from gradus.figures.subject.datasets import iris_petals, linear_regression
from gradus.methods.descent import GradientDescent
from gradus.methods.minimize import minimize

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EPOCHS: Final = 12
"""Passes over the data that every sampling makes, about."""

START: Final = (-0.95, -0.35)
BOX: Final = (-1.25, 1.1, -0.6, 1.75)


@dataclass(frozen=True, eq=False)
class Descent:
    """Gradient descent under three samplings, from one start, with the same number of samples.

    Attributes:
        above: the empirical risk over the plane of its two parameters.
        minimum: ``[2]``, where it is lowest.
        lowest: the risk there.
        largest: the largest eigenvalue of the Hessian: gradient descent lowers the risk at every
            step where its learning rate is below 2 / largest.
        paths: of gradient descent, the stochastic and the mini-batch form.
        samples: of each path, ``[steps + 1]``: training examples consumed.
        rates: of each path, its learning rate.
        total: samples that each path consumes in all.
        share: of the paths that is shown.
    """

    above: Terrain
    minimum: NDArray[np.float64]
    lowest: float
    largest: float
    paths: tuple[Path, ...]
    samples: tuple[NDArray[np.int64], ...]
    rates: tuple[float, ...]
    total: int
    share: float = 1.0

    def until(self, share: float) -> Descent:
        """The same up to this share of the samples."""
        return replace(
            self,
            paths=tuple(path.until(share) for path in self.paths),
            samples=tuple(s[: 1 + round(share * (len(s) - 1))] for s in self.samples),
            share=share,
        )


def facts(seed: int = 0) -> Descent:
    """The facts of the figure: a regression on two features of 150 irises.

    Example:
        >>> found = facts()
        >>> [path.steps for path in found.paths]
        [12, 1800, 120]
    """
    x, y = iris_petals()
    risk = linear_regression(x, y)
    start = torch.tensor(START, dtype=torch.float64)
    H = risk.hessian(start)
    minimum = start - torch.linalg.solve(H, risk.gradient(start))
    largest = float(torch.linalg.eigvalsh(H)[-1])
    asked: tuple[tuple[str, str, SamplingName, int, float], ...] = (
        ("gradient-descent", "gradient descent: all {N} at a step", "full", len(x), 0.4),
        ("stochastic", "stochastic: 1 at a step", "replacement", 1, 0.02),
        ("mini-batch", "mini-batch: {B} at a step", "shuffle", 15, 0.12),
    )
    paths, samples, rates = [], [], []
    for name, label, sampling_name, size, lr in asked:
        sampling = Sampling(sampling_name, len(x), size, seed)
        steps = EPOCHS * sampling.steps
        run = minimize(risk, start, GradientDescent(lr), steps=steps, batches=sampling)
        paths.append(
            Path(name, label.format(N=len(x), B=size), run.points.numpy(), run.values.numpy())
        )
        samples.append(np.array([sampling.samples_before(step) for step in range(steps + 1)]))
        rates.append(lr)
    lowest = float(risk.value(minimum))
    return Descent(
        terrain(risk.value, BOX, lowest, n=61),
        minimum.numpy(),
        lowest,
        largest,
        tuple(paths),
        tuple(samples),
        tuple(rates),
        EPOCHS * len(x),
    )


def draw(found: Descent) -> Figure:
    """The three paths on the contours of one risk; below, how far the risk is from its lowest."""
    with style.lecture():
        figure = style.canvas(16.0, 10.0)
        grid = figure.add_gridspec(2, 3, height_ratios=(1.35, 1))
        for column, (path, lr) in enumerate(zip(found.paths, found.rates, strict=True)):
            axes = figure.add_subplot(grid[0, column])
            draw_terrain(axes, found.above)
            line = METHOD_STYLES[path.name]
            few = path.name == "gradient-descent"
            draw_path(
                axes, path, line,
                linewidth=0.9 if path.name == "stochastic" else 2.2, markersize=7, markevery=1,
                linestyle="-", marker=line.marker if few else None,
            )  # fmt: skip
            mark(axes, found.minimum, "minimum", xytext=(8, -20))
            mark(axes, START, "start")
            axes.set_title(f"{path.label}\nα = {lr:g},  {path.steps:,} steps", fontsize=15)
            axes.set_aspect("equal")
        below = figure.add_subplot(grid[1, :])
        order = (1, 2, 0)  # the wildest lies below the others
        for which in order:
            path, line = found.paths[which], METHOD_STYLES[found.paths[which].name]
            many = path.name == "stochastic"
            below.semilogy(
                found.samples[which], path.values - found.lowest,
                color=line.color, linewidth=0.8 if many else 2.6, alpha=0.8 if many else 1,
                marker=None if many else line.marker, markersize=7,
                markevery=1 if path.name == "gradient-descent" else 4, linestyle="-",
                label=path.label,
            )  # fmt: skip
        below.set_xlim(0, found.total)
        below.set_ylim(1e-6, 8)
        style.dress(below, x="number of samples", y="risk above its lowest",
                    title="risk after the same number of samples")  # fmt: skip
        handles, labels = below.get_legend_handles_labels()
        legend = below.legend(
            [handles[i] for i in (2, 0, 1)],
            [labels[i] for i in (2, 0, 1)],
            loc="lower left",
            frameon=False,
        )
        for shown in legend.get_lines():
            shown.set_linewidth(3)
    return figure
