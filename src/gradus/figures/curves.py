"""How the loss fell: the curves of many runs side by side, overlaid or in panels."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gradus.figures import style
from gradus.figures.curve_styles import STYLES, CurveStyle, style_of
from gradus.figures.thinning import Curves, curves_of
from gradus.runs.curve import AXES, CONSTANT, Against, TrainingCurve, place
from gradus.sweep.compare import evenly, places
from gradus.sweep.groups import Compared, Grouped, check_varied, levels, varied
from gradus.sweep.measures import (
    COMPLETE,
    PRUNED,
    STATUSES,
    measure_of,
    measured,
    numbers,
    statuses,
)
from gradus.sweep.store import listed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Numbers = NDArray[np.float64]

NAMED = len(STYLES)
"""So many values of an option get a bold curve in one panel; more cannot be told apart."""

FEW_MARKS = 30
"""More of a kind are drawn small."""

POINTS = 200_000
"""About so many points are drawn in a figure."""

DRAWN = 2_000
"""So many runs have a thin curve; of more, some do, evenly spread over their places."""


@dataclass(frozen=True, eq=False)
class Bold:
    """The curve that stands for one value of an option.

    Attributes:
        label: the value in words.
        line: how it is told apart.
        x: ``[n]``.
        loss: ``[n]``, the running mean of the best configuration with this value, over its seeds.
        averaged: over how many runs.
        counts: the runs with this value by status.
    """

    label: str
    line: CurveStyle
    x: Numbers
    loss: Numbers
    averaged: int
    counts: Mapping[str, int]


@dataclass(frozen=True, eq=False)
class Thin:
    """The curve of one run as it was recorded, thinned with its extremes."""

    run: str
    line: CurveStyle | None
    x: Numbers
    loss: Numbers


@dataclass(frozen=True)
class End:
    """Where a run ended that did not finish: x, the last loss, and how."""

    run: str
    x: float
    loss: float
    status: str


@dataclass(frozen=True, eq=False)
class Pane:
    """The curves in one pair of axes.

    Attributes:
        title: what it is about.
        bold: a curve a value, ``NAMED`` at most.
        thin: a curve a run: of all, or of ``DRAWN`` that are spread evenly over their places.
        ends: where runs ended that did not finish, of those that have a curve.
        counts: runs by status.
        values: how many values the option has here.
        without: runs that recorded nothing.
        chosen: whether a bold curve is that of the best of several configurations.
    """

    title: str
    bold: tuple[Bold, ...]
    thin: tuple[Thin, ...]
    ends: tuple[End, ...]
    counts: Mapping[str, int]
    values: int
    without: int
    chosen: bool


@dataclass(frozen=True, eq=False)
class Overlay:
    """Loss curves side by side, to one scale.

    Attributes:
        title: of the figure.
        panes: its pairs of axes.
        ceiling: the loss above which curves are clipped, or None.
        clipped: how many recorded losses lie above it, and of how many runs.
        logarithmic: whether the loss is drawn on a logarithmic scale.
        chosen_by: the measure by which bold curves were chosen, of several configurations of one
            value; None where each value has one.
        against: what x counts.
        constant: the training loss of the best constant prediction, the line to beat, where it is
            the same for all runs.
        counts: the runs in all panes, by status.
        drawn: how many runs have a thin curve, where not all have.
    """

    title: str
    panes: tuple[Pane, ...]
    ceiling: float | None
    clipped: tuple[int, int]
    logarithmic: bool
    chosen_by: str | None
    against: Against = "samples"
    constant: float | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    drawn: int | None = None


def overlay(
    sweep: Compared,
    by: str | None = None,
    facet: str | None = None,
    against: Against = "samples",
) -> Overlay:
    """The facts of all loss curves of a sweep, told apart by one option, in panes by another.

    Raises:
        InputError: an option does not vary in this sweep.
    """
    runs = sweep.runs
    for option in filter(None, (by, facet)):
        check_varied(runs, option)
    parts: list[tuple[str, NDArray[np.bool_]]]
    if facet is None:
        parts = [("", np.ones(runs.num_rows, bool))]
    else:
        named, codes = levels(runs, facet)
        parts = [(style.told(facet, value), codes == at) for at, value in enumerate(named)]
    title = style.named_count(sweep.name, _counts(statuses(runs)))
    return _overlay(title, runs, sweep.history, [(name, by, kept) for name, kept in parts], against)


def panels(sweep: Compared, against: Against = "samples") -> Overlay:
    """The facts of the panels of a one-at-a-time sweep: in each, one option varies."""
    runs, ids = sweep.runs, sweep.runs["run"].to_numpy()
    parts = [
        (p.title, p.option, np.isin(ids, [run for seeds in p.runs for run in seeds]))
        for p in sweep.panels
    ]
    title = style.named_count(sweep.name, _counts(statuses(runs)))
    return _overlay(title, runs, sweep.history, parts, against)


def _overlay(
    title: str,
    runs: pa.Table,
    history: pa.Table,
    parts: Sequence[tuple[str, str | None, NDArray[np.bool_]]],
    against: Against,
) -> Overlay:
    curves = curves_of(history, _x_of(history, runs, against))
    reference = float(np.median(curves.loss[curves.starts])) if curves.runs else math.nan
    ceiling = style.ceiling(curves.loss, reference)
    over = np.zeros(len(curves.loss), bool) if ceiling is None else curves.loss > ceiling
    hit = np.add.reduceat(over, curves.starts) > 0 if curves.runs else np.zeros(0, bool)
    drawn = evenly(runs, _placing(runs), DRAWN)
    some = curves if len(drawn) == runs.num_rows else curves.among(drawn)
    thinned = some.thinned(max(16, min(400, POINTS // max(1, len(some.runs)))))
    panes = [
        _pane(name, by, runs.filter(pa.array(kept)), curves, thinned, set(drawn), against)
        for name, by, kept in parts
    ]
    in_panes = np.any([kept for *_, kept in parts], axis=0)
    lowest = min((b.loss.min() for p in panes for b in p.bold if len(b.loss)), default=math.nan)
    return Overlay(
        title,
        tuple(panes),
        ceiling,
        (int(over.sum()), int(hit.sum())),
        bool(0 < lowest < reference / 50 and (curves.loss > 0).all()),
        measure_of(runs) if any(pane.chosen for pane in panes) else None,
        against,
        _constant(runs),
        _counts(statuses(runs)[in_panes]),
        None if len(drawn) == runs.num_rows else len(drawn),
    )


def _placing(runs: pa.Table) -> str:
    """The measure that gives runs their places."""
    measure = measure_of(runs)
    return measure if measure in measured(runs) else "running_train_loss"


def _constant(runs: pa.Table) -> float | None:
    """The training loss of the best constant prediction, where all runs have the same."""
    found = set(numbers(runs, "constant_train_loss").tolist())
    (constant,) = found if len(found) == 1 else (math.nan,)
    return constant if math.isfinite(constant) else None


def _x_of(history: pa.Table, runs: pa.Table, against: Against) -> NDArray[Any]:
    """``[rows]``: where the rows of a history stand on the x axis, each run at its own pace."""

    def pace() -> Numbers:
        paces = numbers(runs, "train_seconds") / np.maximum(numbers(runs, "work"), 1)
        pace_of = dict(zip(listed(runs, "run"), paces.tolist(), strict=True))
        return np.array([pace_of[run] for run in listed(history, "run")])

    return place(history, against, pace, "runs were")


def _pane(
    title: str,
    by: str | None,
    runs: pa.Table,
    curves: Curves,
    thinned: Curves,
    drawn: Container[str],
    against: Against,
) -> Pane:
    ids, status = listed(runs, "run"), statuses(runs)
    named, codes = levels(runs, by) if by else ([None], np.zeros(len(ids), np.int64))
    bold_of = np.unique(np.linspace(0, len(named) - 1, NAMED).round().astype(int))
    lines = {int(level): style_of(by, named[level], place) for place, level in enumerate(bold_of)}
    whole = Grouped(runs, tuple(varied(runs)))
    place = places(runs, _placing(runs))
    bold = []
    for level, line in lines.items():
        here = np.flatnonzero(codes == level)
        if len(here) == 0:
            continue
        best = here[np.argmin(_mean_places(whole, place)[whole.codes[here]])]
        chosen = np.flatnonzero(whole.codes == whole.codes[best])
        label = style.told(by, named[level]) if by else "all runs"
        x, loss, averaged = _mean_curve([ids[i] for i in chosen], status[chosen], curves)
        bold.append(Bold(label, line, x, loss, averaged, _counts(status[here])))
    own = np.array([at for at, run in enumerate(ids) if run in drawn], np.int64)
    thin = [Thin(ids[at], lines.get(int(codes[at])), *thinned[ids[at]]) for at in own.tolist()]
    return Pane(
        title,
        tuple(bold),
        tuple(thin),
        tuple(_ends(runs.take(own), [ids[at] for at in own], status[own], curves, against)),
        _counts(status),
        len(named),
        sum(run not in curves for run in ids),
        any(len(np.unique(whole.codes[codes == level])) > 1 for level in lines),
    )


def _mean_places(whole: Grouped, place: Numbers) -> Numbers:
    return np.asarray(np.bincount(whole.codes, place) / np.bincount(whole.codes))


def _mean_curve(
    ids: Sequence[str], status: NDArray[np.str_], curves: Curves
) -> tuple[Numbers, Numbers, int]:
    """The running mean, over the seeds that finished; else of the run that came furthest."""
    finished = [run for run, how in zip(ids, status, strict=True) if how in COMPLETE]
    if not finished:
        finished = [max(ids, key=lambda run: len(curves[run][0]))]
    smooth = []
    for run in finished:
        x, loss = curves[run]
        none = np.zeros(0)
        smooth.append(TrainingCurve("", x, loss, none, none).smooth)
    rows = min(map(len, smooth))
    return curves[finished[0]][0][:rows], np.mean([s[:rows] for s in smooth], axis=0), len(smooth)


def _ends(
    runs: pa.Table,
    ids: Sequence[str],
    status: NDArray[np.str_],
    curves: Curves,
    against: Against,
) -> list[End]:
    ends = []
    diverged_at, samples_of = numbers(runs, "diverged_samples"), numbers(runs, "samples")
    for i in np.flatnonzero(~np.isin(status, COMPLETE)).tolist():
        x, loss = curves[ids[i]]
        at = diverged_at[i] if np.isfinite(diverged_at[i]) else samples_of[i]
        if not np.isfinite(at) or against != "samples":
            at = x[-1] if len(x) else 0
        ends.append(End(ids[i], float(at), float(loss[-1]) if len(loss) else math.nan, status[i]))
    return ends


def _counts(status: NDArray[np.str_]) -> dict[str, int]:
    return {"runs": len(status)} | {name: int((status == name).sum()) for name in STATUSES}


def draw_overlay(facts: Overlay) -> Figure:
    """Training loss: a bold curve a value, a thin one a run."""
    columns = min(3, len(facts.panes))
    rows = math.ceil(len(facts.panes) / max(1, columns))
    width = {1: 9.5, 2: 14.0}.get(columns, 18.0)
    with style.lecture():
        figure = style.canvas(width, 5.4 * rows)
        grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
        for axes in grid.flat[len(facts.panes) :]:
            axes.set_axis_off()
        for axes, pane in zip(grid.flat, facts.panes, strict=False):
            _draw_pane(axes, pane, facts)
        figure.suptitle(facts.title, fontsize=16)
        style.caption(figure, _caption(facts))
    return figure


def _draw_pane(axes: Axes, pane: Pane, facts: Overlay) -> None:
    from matplotlib.collections import LineCollection

    many = len(pane.thin)
    lines = [np.column_stack([curve.x, curve.loss]) for curve in pane.thin if len(curve.loss)]
    colors = [
        style.PALE if curve.line is None else curve.line.color
        for curve in pane.thin
        if len(curve.loss)
    ]
    thin = LineCollection(
        lines, colors=colors, linewidths=0.7, alpha=max(0.06, min(0.32, 12 / max(1, many)))
    )
    thin.set_rasterized(sum(map(len, lines)) > 4000)
    axes.add_collection(thin)
    for curve in pane.bold:
        line = curve.line
        note = style.lost(curve.counts)
        axes.plot(
            curve.x,
            curve.loss,
            color=line.color,
            linestyle=line.dashes,
            linewidth=2.6,
            marker=line.marker,
            markersize=8,
            markevery=max(1, len(curve.loss) // 8),
            label=curve.label + (f" ({note})" if note else ""),
        )
    axes.autoscale_view()
    if facts.logarithmic:
        axes.set_yscale("log")
    else:
        lowest = min((curve.loss.min() for curve in pane.thin if len(curve.loss)), default=0.0)
        axes.set_ylim(bottom=min(0.0, 1.05 * lowest))
    if facts.ceiling is not None:
        axes.set_ylim(top=facts.ceiling)
        for curve in pane.bold:
            above = curve.loss > facts.ceiling
            leaves = np.flatnonzero(above & ~np.append(False, above[:-1]))
            if not len(leaves):
                continue
            axes.plot(
                curve.x[leaves],
                np.full(len(leaves), facts.ceiling),
                linestyle="none",
                marker="^",
                color=curve.line.color,
                markersize=12,
                clip_on=False,
                zorder=5,
            )
    top = axes.get_ylim()[1]
    for status, mark in MARKS.items():
        ends = [end for end in pane.ends if end.status == status]
        if not ends:  # marks without a place would count in the layout
            continue
        height = [min(top, end.loss) if math.isfinite(end.loss) else top for end in ends]
        axes.plot(
            [end.x for end in ends],
            height,
            linestyle="none",
            marker=mark,
            markersize=11 if len(ends) <= FEW_MARKS else 5,
            markeredgewidth=2.4 if len(ends) <= FEW_MARKS else 1.0,
            markerfacecolor="none",
            color=style.ENDED,
            clip_on=False,
            zorder=6,
        )
    if facts.constant is not None:
        axes.axhline(facts.constant, color=CONSTANT, linestyle=(0, (1, 2)), linewidth=1.4,
                     label="best constant prediction")  # fmt: skip
    style.dress(axes, x=AXES[facts.against], y="training loss", title=pane.title)
    axes.xaxis.set_major_formatter("{x:,.3g}" if facts.against == "seconds" else "{x:,.0f}")
    axes.xaxis.set_major_locator(_few_ticks())
    axes.set_xlim(left=0)
    axes.tick_params(labelleft=True)
    axes.legend(framealpha=0.85, edgecolor="none", loc="best", handlelength=3.4)


MARKS = {"diverged": "x", "failed": "1", "stopped": "+", PRUNED: "s"}
SIGNS = {"diverged": "✕", "failed": "Y", "stopped": "+", PRUNED: "□"}


def _few_ticks() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(5)


def _caption(facts: Overlay) -> list[str]:
    """What the marks mean and what is not drawn to scale, with counts."""
    told = []
    if facts.drawn is not None:
        told.append(f"thin: {facts.drawn:,} of {facts.counts['runs']:,} runs, evenly by rank")
    if facts.chosen_by is not None:
        told.append(f"bold: of each value the best, by {style.word(facts.chosen_by)}")
    for status, sign in SIGNS.items():
        if facts.counts[status]:
            told.append(f"{sign} {facts.counts[status]:,} {status}")
    if facts.ceiling is not None:
        points, runs = facts.clipped
        losses, of = "loss" if points == 1 else "losses", "run" if runs == 1 else "runs"
        told.append(
            f"▲ clipped at {facts.ceiling:.3g}: {points:,} recorded {losses} of {runs:,} {of}"
        )
    without = sum(pane.without for pane in facts.panes)
    if without:
        told.append(f"{without:,} without a recorded loss")
    values = max((pane.values for pane in facts.panes), default=0)
    if values > NAMED:
        told.append(f"bold: {NAMED} of {values:,} values")
    return told
