"""Which columns of its table a model uses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gradus.figures import style
from gradus.figures.curve_styles import STYLES
from gradus.figures.scores import lost as what_is_lost

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 25
"""Columns that have a bar."""


@dataclass(frozen=True, eq=False)
class Importances:
    """The facts of a figure of columns, the most important first; each array is ``[columns]``.

    Attributes:
        columns: their names.
        lost: what the model loses where the values of a column go to other examples.
        low: where the interval of 95 % of that begins; NaN where there is none.
        high: where it ends.
        what: is lost, in words.
        hidden: how many columns are not shown.
    """

    columns: tuple[str, ...]
    lost: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    what: str
    hidden: int


def importances(summary: Mapping[str, Any]) -> Importances:
    """What stands in the record of a run.

    Example:
        >>> found = importances({
        ...     "importance": [{"column": "a", "lost": 0.5, "low": 0.4, "high": 0.6}],
        ...     "data": {"task": "regression"},
        ... })
        >>> found.columns, found.lost.tolist(), found.what
        (('a',), [0.5], 'R² lost')
    """
    rows = summary["importance"][:MOST]
    lost, low, high = (
        np.array([row[name] for row in rows], dtype=np.float64) for name in ("lost", "low", "high")
    )
    columns = tuple(row["column"] for row in rows)
    hidden = len(summary["importance"]) - len(rows)
    return Importances(columns, lost, low, high, what_is_lost(summary["data"]), hidden)


def draw(facts: Importances) -> Figure:
    """A bar for each column; those not told from nothing are hollow."""
    n = len(facts.columns)
    with style.lecture():
        figure = style.canvas(10.0, 1.8 + 0.42 * n)
        axes = figure.subplots()
        at = np.arange(n)[::-1]
        told = ~(facts.low <= 0)  # also where there is no interval
        for y, lost, is_told in zip(at, facts.lost, told, strict=True):
            axes.barh(y, lost, height=0.66, color=STYLES[0].color if is_told else "none",
                      edgecolor=STYLES[0].color, alpha=0.6, linewidth=1.4)  # fmt: skip
        there = np.isfinite(facts.low)
        half = (facts.high - facts.low)[there] / 2
        axes.errorbar(facts.lost[there], at[there], xerr=half, fmt="none", ecolor=style.INK,
                      elinewidth=1.6, capsize=4)  # fmt: skip
        axes.axvline(0, color=style.INK, linewidth=1)
        style.dress(axes, x=f"{facts.what} where its values go to other examples", y="")
        axes.set_yticks(at, [style.literal(name) for name in facts.columns])
        axes.set_ylim(-0.6, n - 0.4)
        axes.grid(visible=False, axis="y")
        notes = ["whiskers: 95 % over examples"]
        if not told.all():
            notes.append("hollow: not told from nothing")
        if facts.hidden:
            notes.append(f"not shown: {facts.hidden:,} columns that matter less")
        style.caption(figure, notes)
    return figure
