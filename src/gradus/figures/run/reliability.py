"""Whether a model is right as often as it says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gradus.figures import style
from gradus.figures.curve_styles import STYLES
from gradus.metrics.calibration import reliability
from gradus.metrics.predictions import ClassPredictions
from gradus.metrics.uncertainty import wilson_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Numbers = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Calibration:
    """The facts of a reliability diagram; arrays are ``[bins]``, of the bins with examples.

    Attributes:
        confidence: mean confidence.
        accuracy: share of the examples for which the model is right.
        low: where Wilson's interval of 95 % of that begins.
        high: where it ends.
        count: examples.
        width: of a bin.
        lowest: confidence that there can be: one over the number of classes.
        error: the expected calibration error.
    """

    confidence: Numbers
    accuracy: Numbers
    low: Numbers
    high: Numbers
    count: NDArray[np.int64]
    width: float
    lowest: float
    error: float


def calibration(said: ClassPredictions) -> Calibration:
    """How often a model is right, by how sure it is.

    Example:
        >>> p = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6]])
        >>> found = calibration(ClassPredictions(p, np.array([0, 1, 1]), ("a", "b")))
        >>> found.confidence.tolist(), found.accuracy.tolist(), found.count.tolist()
        ([0.6, 0.9], [1.0, 0.5], [1, 2])
    """
    right = said.probabilities.argmax(axis=1) == said.labels
    found = reliability(said.probabilities.max(axis=1), right)
    there = found.count > 0
    count, accuracy = found.count[there], found.accuracy[there]
    ends = [
        wilson_interval(round(share * n), n)
        for share, n in zip(accuracy.tolist(), count.tolist(), strict=True)
    ]
    low, high = np.transpose(ends)
    return Calibration(
        found.confidence[there],
        accuracy,
        low,
        high,
        count,
        float(found.edges[1]),
        1 / len(said.classes),
        found.error,
    )


def onto(axes: Axes, facts: Calibration) -> None:
    """Draw accuracy against confidence; the area of a point is its share of the examples."""
    axes.plot([0, 1], [0, 1], color=style.PALE, linewidth=1.4, linestyle=(0, (1, 2)))
    whiskers = [facts.accuracy - facts.low, facts.high - facts.accuracy]
    axes.errorbar(facts.confidence, facts.accuracy, yerr=whiskers, fmt="none",
                  ecolor=STYLES[0].color, elinewidth=1.6, capsize=3)  # fmt: skip
    area = 20 + 380 * facts.count / facts.count.sum()
    axes.scatter(facts.confidence, facts.accuracy, s=area, color=STYLES[0].color, alpha=0.85,
                 edgecolors=style.INK, linewidths=0.6, clip_on=False, zorder=3)  # fmt: skip
    axes.set_xlim(max(0.0, facts.lowest - 0.03), 1.02)
    axes.set_ylim(-0.02, 1.03)
    style.dress(axes, x="confidence of the model", y="share of its decisions that are right",
                title=f"Calibration: off by {facts.error:.3f} on average")  # fmt: skip


def draw(facts: Calibration) -> Figure:
    """A picture of its own."""
    with style.lecture():
        figure = style.canvas(8.0, 6.4)
        onto(figure.subplots(), facts)
        style.caption(
            figure,
            ["whiskers: 95 % of the share", "area: examples", "dotted: as often as it says"],
        )
    return figure
