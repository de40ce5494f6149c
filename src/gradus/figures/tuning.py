"""What a search for a learning rate saw: losses against rates, the edge, and theory's limit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gradus.engine.selection import rises
from gradus.figures import style
from gradus.figures.curve_styles import STYLES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from gradus.tuning.tune import Tuning

Numbers = NDArray[np.float64]

FAR = 300.0
"""Losses of more than so many times the best lie beyond the axis."""


@dataclass(frozen=True, eq=False)
class Course:
    """Trainings of one length.

    Attributes:
        epochs: their length.
        lrs: ``[n]``, ascending.
        values: ``[n]``, the measure; NaN where the training was lost.
    """

    epochs: int
    lrs: Numbers
    values: Numbers


@dataclass(frozen=True, eq=False)
class Rates:
    """The facts of the picture.

    Attributes:
        title: in words.
        measure: the column by which rates were compared.
        courses: the trainings, the longest first.
        best: the learning rate that was chosen, and its measure.
        plateau: the ends of the rates that cannot be told from it; None where that is not known.
        edge: the learning rate from which on the loss was lost in the range test.
        limit: the learning rate that theory allows at the start, and of what; None: none.
        tested: ``[n]``, the rates of the range test.
        losses: ``[seeds, n]``, infinite where it was no number.
        beginning: the loss before the first step.
        spent: in words.
    """

    title: str
    measure: str
    courses: tuple[Course, ...]
    best: tuple[float, float]
    plateau: tuple[float, float] | None
    edge: float
    limit: tuple[float, str] | None
    tested: Numbers
    losses: Numbers
    beginning: float
    spent: str


def rates_of(tuning: Tuning) -> Rates:
    """The facts of a search: those of its trainings that have the options that were chosen."""
    best, spec = tuning.best, tuning.run.spec
    chosen = best.candidate.options
    courses = []
    for epochs in sorted({trial.candidate.epochs for trial in tuning.trials}, reverse=True):
        trials = sorted(
            (
                trial
                for trial in tuning.trials
                if trial.candidate.epochs == epochs
                and (trial.candidate.options == chosen or not trial.candidate.options)
            ),
            key=lambda trial: trial.candidate.lr,
        )
        values = [math.nan if trial.value is None else trial.value for trial in trials]
        lrs = [trial.candidate.lr for trial in trials]
        courses.append(Course(epochs, np.array(lrs), np.array(values)))
    plateau, limit = tuning.plateau, tuning.limit
    assert best.value is not None
    return Rates(
        title=f"{spec.title.partition(' ')[0].removeprefix('Optimizer-')}: learning rate "
        f"{best.candidate.lr:g}",
        measure=tuning.measure,
        courses=tuple(courses),
        best=(best.candidate.lr, best.value),
        plateau=None if plateau is None else (plateau.low, plateau.high),
        edge=tuning.test.edge,
        limit=None if limit is None else (limit.lr, limit.method),
        tested=tuning.test.lrs,
        losses=tuning.test.losses,
        beginning=tuning.test.beginning,
        spent=f"cost: {tuning.spent:.1f} trainings",
    )


def draw_rates(facts: Rates) -> Figure:
    """The trainings above, the range test below, over one axis of learning rates."""
    with style.lecture():
        figure = style.canvas(10.5, 9.0)
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
        _draw_trainings(above, facts)
        _draw_test(below, facts)
        above.set_xscale("log")
        rates = np.concatenate([course.lrs for course in facts.courses])
        ends = [rates.min(), rates.max(), facts.edge]
        if facts.limit is not None:
            ends.append(facts.limit[0])
        above.set_xlim(min(ends) / 3, max(ends) * 4)
        told = [facts.spent]
        if facts.plateau is not None:
            low, high = facts.plateau
            told.append(f"cannot be told from the best: {low:.2g} to {high:.2g}")
        if facts.limit is not None:
            told.append(f"theory: {facts.limit[1]}, at the initial parameters")
        style.caption(figure, told)
        above.tick_params(labelbottom=True)
    return figure


def _draw_trainings(axes: Axes, facts: Rates) -> None:
    if facts.plateau is not None:
        low, high = facts.plateau
        axes.axvspan(low / 1.03, high * 1.03, color=STYLES[0].color, alpha=0.13, linewidth=0,
                     label="cannot be told from the best")  # fmt: skip
    longest = facts.courses[0].epochs
    for at, course in enumerate(facts.courses):
        there, look = np.isfinite(course.values), STYLES[at]
        name = "whole trainings" if course.epochs == longest else f"{course.epochs} of {longest}"
        name += "" if course.epochs == longest else f" epoch{'s' if longest > 1 else ''}"
        axes.plot(course.lrs[there], course.values[there], color=look.color,
                  linestyle=look.dashes, marker=look.marker, markersize=9 if at == 0 else 7,
                  linewidth=2.8 if at == 0 else 1.6, label=name, zorder=4 - at)  # fmt: skip
        if not there.all():
            gone = course.lrs[~there]
            axes.plot(gone, np.full(len(gone), 0.96), "x", color=style.ENDED, markersize=10,
                      markeredgewidth=2.4, transform=axes.get_xaxis_transform())  # fmt: skip
    _lines(axes, facts, named=True)
    axes.plot(*facts.best, marker="o", markersize=19, markerfacecolor="none",
              markeredgecolor=style.INK, markeredgewidth=2.2, zorder=6)  # fmt: skip
    _scale(axes, facts)
    if any(np.isnan(course.values).any() for course in facts.courses):
        axes.plot([], [], "x", color=style.ENDED, markersize=10, markeredgewidth=2.4,
                  linestyle="none", label="diverged")  # fmt: skip
    axes.legend(loc="best", framealpha=0.9)
    style.dress(axes, x="", y=style.word(facts.measure), title=facts.title)


def _draw_test(axes: Axes, facts: Rates) -> None:
    middle = np.median(facts.losses, axis=0)
    for losses in facts.losses:
        axes.plot(facts.tested, np.where(np.isfinite(losses), losses, np.nan), color=style.PALE,
                  linewidth=1.2)  # fmt: skip
    axes.plot(facts.tested, np.where(np.isfinite(middle), middle, np.nan), color=style.INK,
              linewidth=2.6)  # fmt: skip
    _lines(axes, facts, named=False)
    least = float(middle.min())
    axes.set_ylim(least - 0.15 * (facts.beginning - least), facts.beginning * 1.6)
    style.dress(axes, x=style.word("lr"), y="training loss",
                title="Range test: growing rates, in three orders")  # fmt: skip


def _lines(axes: Axes, facts: Rates, *, named: bool) -> None:
    """Where the loss is lost, and where theory says that it is."""
    lost = "range test: lost from here"
    lines: list[tuple[float, Any, str, str]] = [(facts.edge, "-", style.ENDED, lost)]
    if facts.limit is not None:
        lines.append((facts.limit[0], (0, (2, 2)), style.INK, "limit of theory"))
    for lr, dashes, color, label in lines:
        axes.axvline(lr, color=color, linestyle=dashes, linewidth=2.0,
                     label=label if named else None)  # fmt: skip


def _scale(axes: Axes, facts: Rates) -> None:
    """Losses above 0 by their logarithm, other figures as they are."""
    if rises(facts.measure) or facts.best[1] <= 0:
        return
    every = np.concatenate([course.values for course in facts.courses])
    highest = min(float(np.nanmax(every)), FAR * facts.best[1])
    if highest > 3 * facts.best[1]:
        axes.set_yscale("log")
        axes.set_ylim(facts.best[1] / 1.3, 1.3 * highest)
    else:
        room = 0.1 * (highest - facts.best[1])
        axes.set_ylim(facts.best[1] - room, highest + room)
