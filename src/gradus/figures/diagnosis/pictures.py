"""What the doctor saw of a run: its loss, its stability, what reaches each layer, silent units."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gradus.figures import style
from gradus.figures.curve_styles import STYLES
from gradus.figures.picture import Picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from gradus.diagnosis.evidence import Evidence

Numbers = NDArray[np.float64]

MOST = 8
"""Layers that are told apart; of more, the first, the last and some between."""

TRAILING = 50
"""Batches over which the loss is smoothed."""


@dataclass(frozen=True, eq=False)
class Course:
    """What was seen of a run; arrays by step are ``[sights]``.

    Attributes:
        losses: of the mini-batches, ``[steps]``.
        event: the step at which it diverged; None where it did not.
        steps: at which the run was looked at.
        stability: the learning rate times the sharpness there; NaN where it was not measured.
        limit: of that; None where the method has none that is measured.
        limit_of: what has that limit, in words.
        ratios: of each layer, by name, the norm of the gradient over that of the weights.
        silent: of each activation, by name, the share of silent units.
    """

    losses: Numbers
    event: int | None
    steps: NDArray[np.int64]
    stability: Numbers
    limit: float | None
    limit_of: str
    ratios: dict[str, Numbers]
    silent: dict[str, Numbers]


def course_of(evidence: Evidence) -> Course:
    """The facts; what was not measured yet is measured now."""
    sights = evidence.sights
    figures = [evidence.stability_at(sight) for sight in sights]
    products = [np.nan if figure is None else figure.value for figure in figures]
    layers = [evidence.layers_at(sight) for sight in sights]
    activations = [evidence.activations_at(sight) for sight in sights]
    run = evidence.case.run
    lost = None if run is None else run.summary["divergence"]
    return Course(
        losses=evidence.losses,
        event=None if lost is None else int(lost["step"]),
        steps=np.array([sight.step for sight in sights]),
        stability=np.array(products),
        limit=None if evidence.limit is None else evidence.limit.value,
        limit_of="" if evidence.limit is None else evidence.limit.method,
        ratios={
            each[0].name: np.array([layer.ratio for layer in each])
            for each in zip(*layers, strict=True)
        },
        silent={
            each[0].name: np.array([activation.silent for activation in each])
            for each in zip(*activations, strict=True)
        },
    )


def pictures(course: Course) -> list[Picture]:
    """Those of which something was seen."""
    found = [Picture("loss", "The loss", partial(draw_loss, course))]
    if course.limit is not None and np.isfinite(course.stability).any():
        title = "The learning rate beside its limit"
        found.append(Picture("stability", title, partial(draw_stability, course)))
    if course.ratios:
        title = "What reaches each layer"
        found.append(Picture("gradients", title, partial(draw_ratios, course)))
    if any(shares.any() for shares in course.silent.values()):
        found.append(Picture("silent", "Silent units", partial(draw_silent, course)))
    return found


def draw_loss(course: Course) -> Figure:
    """The loss of the mini-batches, step by step, with what happened marked."""

    def onto(axes: Axes) -> None:
        losses = course.losses
        steps = np.arange(len(losses))
        finite = np.isfinite(losses)
        axes.plot(steps[finite], losses[finite], color=STYLES[0].color, alpha=0.35, linewidth=1)
        width = max(1, min(TRAILING, len(losses) // 10))
        if finite.all() and width > 1:
            smooth = np.convolve(losses, np.ones(width) / width, mode="valid")
            axes.plot(steps[width - 1 :], smooth, color=STYLES[0].color, linewidth=2.2)
        seen = losses[finite]
        if len(seen) and seen.min() > 0 and seen.max() > 100 * seen.min():
            axes.set_yscale("log")
        if course.event is not None:
            axes.axvline(course.event, color=style.ENDED, linewidth=1.8, linestyle=(0, (4, 2)))
            axes.annotate(f"lost at step {course.event:,}", (course.event, 0.95),
                          xycoords=("data", "axes fraction"), ha="right", color=style.ENDED,
                          xytext=(-6, 0), textcoords="offset points")  # fmt: skip

    return _drawn(onto, "loss of the mini-batch", [])


def draw_stability(course: Course) -> Figure:
    """The learning rate times the sharpness, and its limit."""

    def onto(axes: Axes) -> None:
        there = np.isfinite(course.stability) & (course.stability > 0)
        axes.plot(course.steps[there], course.stability[there], marker="o",
                  color=STYLES[0].color, linewidth=2)  # fmt: skip
        assert course.limit is not None
        axes.axhline(course.limit, color=style.ENDED, linewidth=1.8, linestyle=(0, (4, 2)))
        axes.set_yscale("log")
        _spread(axes, course)

    said = f"dashed: {course.limit_of} needs less than {course.limit:.3g}"
    return _drawn(onto, "learning rate times sharpness", [said])


def draw_ratios(course: Course) -> Figure:
    """The gradient of each layer over its weights."""
    return _lines(course, course.ratios, "gradient over weights, in norm", log=True)


def draw_silent(course: Course) -> Figure:
    """The share of units of each activation that give the same for every example."""
    return _lines(course, course.silent, "share of units that are silent", log=False)


def _lines(course: Course, lines: dict[str, Numbers], what: str, *, log: bool) -> Figure:
    names = list(lines)
    if len(names) > MOST:
        names = [names[at] for at in np.linspace(0, len(names) - 1, MOST).round().astype(int)]

    def onto(axes: Axes) -> None:
        for name, line in zip(names, itertools.cycle(STYLES), strict=False):
            values = lines[name]
            there = values > 0 if log else np.isfinite(values)
            axes.plot(course.steps[there], values[there], color=line.color, marker=line.marker,
                      linestyle=line.dashes, label=f"layer {name}")  # fmt: skip
        if log:
            axes.set_yscale("log")
        else:
            axes.set_ylim(-0.02, 1.02)
        _spread(axes, course)
        axes.legend(loc="best", framealpha=0.9, edgecolor="none")

    return _drawn(onto, what, [])


def _spread(axes: Axes, course: Course) -> None:
    """Steps evenly in their logarithm, from 0 on."""
    axes.set_xscale("symlog", linthresh=1)
    axes.set_xlim(0, 1.4 * max(1, int(course.steps[-1])))


def _drawn(onto: Callable[[Axes], None], what: str, said: list[str]) -> Figure:
    with style.lecture():
        figure = style.canvas(9.5, 5.2)
        axes = figure.subplots()
        onto(axes)
        style.dress(axes, x="step", y=what)
        if said:
            style.caption(figure, said)
    return figure
