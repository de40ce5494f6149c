"""How far predictions of numbers are off, and where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gradus.figures import style
from gradus.figures.curve_styles import STYLES
from gradus.metrics.predictions import NumberPredictions

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Numbers = NDArray[np.float64]

POINTS = 3_000
"""Examples that are drawn; of more, a fixed draw of them."""

FEWEST = 20
"""Examples in a stretch of predictions whose quantiles are drawn, at least."""

STRETCHES = 12
"""Of predictions, at most."""

PANES = 4
"""Targets that have a pane."""


@dataclass(frozen=True, eq=False)
class Residuals:
    """The facts of residuals of one target against its predictions.

    Attributes:
        name: of the target.
        predicted: ``[points]``.
        residual: ``[points]``, target less prediction.
        examples: of how many those are a draw.
        middle: ``[stretches]``, the median prediction of each stretch of predictions.
        quantiles: ``[3, stretches]``, of all residuals there: of 10, 50 and 90 %.
    """

    name: str
    predicted: Numbers
    residual: Numbers
    examples: int
    middle: Numbers
    quantiles: Numbers


def residuals(said: NumberPredictions) -> tuple[Residuals, ...]:
    """How far the predictions of each target are off.

    Example:
        >>> y = np.linspace(0, 1, 60)[:, None]
        >>> (found,) = residuals(NumberPredictions(np.zeros((60, 1)), y, ("price",)))
        >>> found.name, float(found.residual.max()), found.quantiles.shape
        ('price', 1.0, (3, 3))
    """
    n = len(said.targets)
    drawn = np.arange(n)
    if n > POINTS:
        drawn = np.sort(np.random.default_rng(0).permutation(n)[:POINTS])
    return tuple(
        _of_one(name, values, targets - values, drawn)
        for name, values, targets in zip(said.names, said.values.T, said.targets.T, strict=True)
    )


def _of_one(name: str, predicted: Numbers, off: Numbers, drawn: NDArray[np.int64]) -> Residuals:
    stretches = max(1, min(STRETCHES, len(off) // FEWEST))
    order = np.argsort(predicted, kind="stable")
    pieces = np.array_split(order, stretches) if len(off) >= FEWEST else []
    return Residuals(
        name,
        predicted[drawn],
        off[drawn],
        len(off),
        np.array([np.median(predicted[piece]) for piece in pieces]),
        np.transpose([np.quantile(off[piece], (0.1, 0.5, 0.9)) for piece in pieces])
        if pieces
        else np.empty((3, 0)),
    )


def onto(axes: Axes, facts: Residuals) -> None:
    """Draw them, with the quantiles of each stretch of predictions."""
    axes.axhline(0, color=style.PALE, linewidth=1.4, linestyle=(0, (1, 2)))
    crowded = len(facts.predicted)
    axes.plot(facts.predicted, facts.residual, "o", markersize=3 if crowded > 500 else 5,
              color=STYLES[0].color, alpha=max(0.15, min(0.7, 60 / crowded**0.5 / 3)),
              markeredgewidth=0)  # fmt: skip
    if len(facts.middle) > 1:
        for quantile, width in zip(facts.quantiles, (1.6, 2.6, 1.6), strict=True):
            axes.plot(facts.middle, quantile, color=STYLES[1].color, linewidth=width)
    style.dress(axes, x=f"predicted {style.literal(facts.name)}", y="target less prediction",
                title=f"Residuals of {style.literal(facts.name)}")  # fmt: skip


def draw(facts: tuple[Residuals, ...]) -> Figure:
    """A pane for each target."""
    shown = facts[:PANES]
    with style.lecture():
        figure = style.canvas(3 + 6.0 * min(2, len(shown)), 5.6 * ((len(shown) + 1) // 2))
        rows, columns = (len(shown) + 1) // 2, min(2, len(shown))
        panes = list(figure.subplots(rows, columns, squeeze=False).flat)
        for axes, one in zip(panes, shown, strict=False):
            onto(axes, one)
        for axes in panes[len(shown) :]:
            axes.set_visible(False)
        notes = ["lines: median, and 10 and 90 % of the residuals"]
        if len(facts[0].predicted) < facts[0].examples:
            notes.append(f"{len(facts[0].predicted):,} of {facts[0].examples:,} examples")
        if len(facts) > len(shown):
            notes.append(f"not shown: {len(facts) - len(shown):,} targets")
        style.caption(figure, notes)
    return figure
