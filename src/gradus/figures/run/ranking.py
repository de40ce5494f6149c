"""How well the scores of a model tell classes apart, wherever the line is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from gradus.figures import style
from gradus.figures.curve_styles import STYLES
from gradus.metrics.predictions import ClassPredictions
from gradus.metrics.ranking import average_precision, counts_by_score, roc_auc

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Numbers = NDArray[np.float64]

MOST = 6
"""Classes that have curves: of more, those that are told from the rest worst."""

POINTS = 400
"""Of one curve, at most."""


@dataclass(frozen=True, eq=False)
class Curve:
    """How one class is told from the rest; arrays are ``[points]``, as the line is lowered.

    Attributes:
        name: of the class.
        share: of the examples that are of it.
        false_positives: share of the rest that is above the line.
        found: share of the class that is above it.
        precision: share of what is above it that is of the class.
        auc: area under ``found`` against ``false_positives``.
        average_precision: the mean precision at the examples of the class.
    """

    name: str
    share: float
    false_positives: Numbers
    found: Numbers
    precision: Numbers
    auc: float
    average_precision: float


@dataclass(frozen=True, eq=False)
class Ranking:
    """The facts of ROC and precision-recall curves.

    Attributes:
        curves: of two classes that of one, of more one a class.
        hidden: how many classes have none because others are told apart worse.
        absent: how many have none because all or no examples are of them.
    """

    curves: tuple[Curve, ...]
    hidden: int
    absent: int


def ranking(said: ClassPredictions, rarer: int | None = None) -> Ranking:
    """How each class is told from the rest.

    Args:
        said: probabilities and labels.
        rarer: of two classes that whose curve is drawn; None: the one with fewer examples.

    Example:
        >>> p = np.array([[0.9, 0.1], [0.6, 0.4], [0.65, 0.35], [0.2, 0.8]])
        >>> (curve,) = ranking(ClassPredictions(p, np.array([0, 0, 1, 1]), ("a", "b")), 1).curves
        >>> curve.name, curve.auc, curve.found.tolist()
        ('b', 0.75, [0.0, 0.5, 0.5, 1.0, 1.0])
    """
    sizes = np.bincount(said.labels, minlength=len(said.classes))
    if len(said.classes) == 2:
        asked = [int(np.argmin(sizes)) if rarer is None else rarer]
    else:
        asked = list(range(len(said.classes)))
    there = [k for k in asked if 0 < sizes[k] < len(said.labels)]
    areas = {k: roc_auc(said.probabilities[:, k], said.labels == k).value for k in there}
    shown = sorted(sorted(there, key=areas.__getitem__)[:MOST])
    return Ranking(
        tuple(_curve(said, k, areas[k]) for k in shown),
        len(there) - len(shown),
        len(asked) - len(there),
    )


def _curve(said: ClassPredictions, k: int, area: float) -> Curve:
    scores, of_class = said.probabilities[:, k], said.labels == k
    right, taken = counts_by_score(scores, of_class)
    if len(taken) > POINTS:  # the ends stay, and so does the order
        kept = np.unique(np.linspace(0, len(taken) - 1, POINTS).round().astype(int))
        right, taken = right[kept], taken[kept]
    total = int(of_class.sum())
    return Curve(
        said.classes[k],
        total / len(scores),
        np.append(0.0, (taken - right) / (len(scores) - total)),
        np.append(0.0, right / total),
        # Where nothing is taken yet, as precise as the first that is.
        np.append(right[0] / taken[0], right / taken),
        area,
        average_precision(scores, of_class).value,
    )


def roc_onto(axes: Axes, facts: Ranking) -> None:
    """Draw what is found against what is falsely taken."""
    axes.plot([0, 1], [0, 1], color=style.PALE, linewidth=1.4, linestyle=(0, (1, 2)))
    for line, curve in zip(STYLES, facts.curves, strict=False):
        told = f"{style.literal(curve.name, 16)}: {curve.auc:.3f}"
        axes.plot(curve.false_positives, curve.found, color=line.color, linestyle=line.dashes,
                  linewidth=2.2, label=told)  # fmt: skip
    style.dress(axes, x="share of the rest taken for it", y="share of the class found",
                title="ROC")  # fmt: skip
    _square(axes, "lower right", "area under it")


def precision_onto(axes: Axes, facts: Ranking) -> None:
    """Draw how precise what is found is."""
    for line, curve in zip(STYLES, facts.curves, strict=False):
        axes.axhline(curve.share, color=line.color, linewidth=1.2, linestyle=(0, (1, 2)))
        told = f"{style.literal(curve.name, 16)}: {curve.average_precision:.3f}"
        axes.plot(curve.found, curve.precision, color=line.color, linestyle=line.dashes,
                  linewidth=2.2, label=told)  # fmt: skip
    style.dress(axes, x="share of the class found", y="precision", title="Precision and recall")
    low = np.mean([curve.average_precision for curve in facts.curves] or [1.0]) < 0.5
    _square(axes, "upper right" if low else "lower left", "average precision")


def _square(
    axes: Axes, place: Literal["upper right", "lower right", "lower left"], what: str
) -> None:
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, 1.03)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc=place, title=what, framealpha=0.85, edgecolor="none")
    else:
        axes.annotate("no class to tell from others", (0.5, 0.5), ha="center", color=style.PALE)


def draw(facts: Ranking) -> Figure:
    """Both side by side."""
    with style.lecture():
        figure = style.canvas(13.0, 5.6)
        left, right = figure.subplots(1, 2)
        roc_onto(left, facts)
        precision_onto(right, facts)
        notes = ["dotted: scores that say nothing"]
        if len(facts.curves) > 1:
            notes.insert(0, "each class against the rest")
        if facts.hidden:
            notes.append(f"not shown: {facts.hidden:,} classes that are told apart better")
        if facts.absent:
            notes.append(f"{facts.absent:,} without an example")
        style.caption(figure, notes)
    return figure
