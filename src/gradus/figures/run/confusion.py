"""Which classes a model takes for which."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gradus.figures import style
from gradus.metrics.decisions import confusion_matrix
from gradus.metrics.predictions import ClassPredictions

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST = 30
"""Classes that are shown: of more, those with the most errors."""

WITH_NUMBERS = 15
"""Up to so many classes a cell has room for its number."""


@dataclass(frozen=True, eq=False)
class Confusion:
    """The facts of a confusion matrix.

    Attributes:
        classes: those shown.
        counts: ``[C, C]``, examples of the class of the row that are taken for that of the column.
        shares: ``[C, C]``, the same over all examples of the class of the row; NaN where there are
            none.
        hidden: how many classes are not shown.
        wrong: how many examples are taken for another class, hidden ones counted.
        examples: of how many.
    """

    classes: tuple[str, ...]
    counts: NDArray[np.int64]
    shares: NDArray[np.float64]
    hidden: int
    wrong: int
    examples: int


def confusion(said: ClassPredictions) -> Confusion:
    """What a model takes for what; of many classes, those with the most errors.

    Example:
        >>> p = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]])
        >>> found = confusion(ClassPredictions(p, np.array([0, 1, 1]), ("no", "yes")))
        >>> found.counts.tolist(), found.shares.tolist(), found.wrong
        ([[1, 0], [1, 1]], [[1.0, 0.0], [0.5, 0.5]], 1)
    """
    matrix = confusion_matrix(said.labels, said.decisions, len(said.classes))
    errors = matrix.sum(axis=0) + matrix.sum(axis=1) - 2 * matrix.diagonal()
    shown = np.sort(np.argsort(-errors, kind="stable")[:MOST])
    sizes = matrix.sum(axis=1)[shown]
    counts = matrix[np.ix_(shown, shown)]
    shares = np.full(counts.shape, np.nan)
    np.divide(counts, sizes[:, None], out=shares, where=sizes[:, None] > 0)
    return Confusion(
        tuple(said.classes[k] for k in shown),
        counts,
        shares,
        len(said.classes) - len(shown),
        int(matrix.sum() - matrix.trace()),
        int(matrix.sum()),
    )


def onto(axes: Axes, facts: Confusion) -> None:
    """Draw it: each row by its shares, its counts written into the cells."""
    n = len(facts.classes)
    axes.imshow(np.nan_to_num(facts.shares), cmap="Blues", vmin=0, vmax=1, aspect="auto")
    if n <= WITH_NUMBERS:
        size = min(13.0, 90 / n)
        for (row, column), count in np.ndenumerate(facts.counts):
            if count:
                dark = facts.shares[row, column] > 0.55
                axes.text(column, row, f"{count:,}", ha="center", va="center", fontsize=size,
                          color=style.ON_DARK if dark else style.ON_LIGHT)  # fmt: skip
    names = [style.literal(name, 13) for name in facts.classes]
    slanted = sum(map(len, names)) > style.CROWDED
    fitting = 12 if n <= WITH_NUMBERS and not slanted else 10 if n <= WITH_NUMBERS else 8
    axes.set_xticks(range(n), names, fontsize=fitting, rotation=45 if slanted else 0,
                    ha="right" if slanted else "center", rotation_mode="anchor")  # fmt: skip
    axes.set_yticks(range(n), names, fontsize=fitting)
    title = f"{facts.wrong:,} of {facts.examples:,} taken for another class"
    style.dress(axes, x="taken for", y="class", title=title)
    axes.grid(visible=False)


def draw(facts: Confusion) -> Figure:
    """A picture of its own."""
    n = len(facts.classes)
    with style.lecture():
        side = min(11.0, 4.5 + 0.5 * n)
        figure = style.canvas(side + 1, side)
        onto(figure.subplots(), facts)
        notes = ["colour: the share of the examples of a class"]
        if facts.hidden:
            notes.append(f"not shown: {facts.hidden:,} classes with fewer errors")
        style.caption(figure, notes)
    return figure
