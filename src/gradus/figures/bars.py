"""How configurations end, and which option mattered: figures made of bars."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gradus.figures import style
from gradus.figures.curve_styles import STYLES
from gradus.sweep.compare import ranking
from gradus.sweep.groups import Compared, Grouped, varied
from gradus.sweep.importance import importance
from gradus.sweep.measures import FINISHED, numbers, rises, statuses

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Numbers = NDArray[np.float64]
SHOWN = 24
"""So many configurations have a row in the figure of final measures."""


@dataclass(frozen=True, eq=False)
class FinalMeasures:
    """How configurations end.

    Attributes:
        title: of the figure.
        measure: what is shown.
        labels: ``[n]``, the configurations in words, the best first.
        mean: ``[n]``, over the seeds that finished, NaN where none did.
        error: ``[n]``, standard error, NaN where there is one seed.
        seeds: ``[n]``, the measures of the single runs that finished.
        counts: ``[n]``, runs by status.
        hidden: counts of configurations and runs that have no row here: the worst.
        ceiling: above which bars are clipped, or None.
        clipped: how many bars are.
    """

    title: str
    measure: str
    labels: tuple[str, ...]
    mean: Numbers
    error: Numbers
    seeds: tuple[Numbers, ...]
    counts: tuple[Mapping[str, int], ...]
    hidden: Mapping[str, int]
    ceiling: float | None
    clipped: int


def final_measures(sweep: Compared, measure: str | None = None) -> FinalMeasures:
    """The facts of the final figures; accuracy where there is one, else the test loss.

    Raises:
        InputError: no run has the measure.
    """
    runs = sweep.runs
    if measure is None:
        accuracies = np.isfinite(numbers(runs, "test_accuracy")).any()
        measure = "test_accuracy" if accuracies else "test_loss"
    options = tuple(varied(runs))
    rows = ranking(sweep, measure).to_pylist()
    whole = Grouped(runs, options)
    values, status = numbers(runs, measure), statuses(runs)
    good = (status == FINISHED) & np.isfinite(values)
    firsts = runs.take(whole.first).select(list(options)).to_pylist() if options else [{}]
    place = {tuple(row.values()): at for at, row in enumerate(firsts)}
    kept, dropped = rows[:SHOWN], rows[SHOWN:]
    seeds = tuple(
        values[good & (whole.codes == place[tuple(row[name] for name in options)])] for row in kept
    )
    mean = np.array([math.nan if row[measure] is None else row[measure] for row in kept])
    error = np.array(
        [math.nan if row[f"{measure}_error"] is None else row[f"{measure}_error"] for row in kept]
    )
    finite = mean[np.isfinite(mean)]
    ceiling = None
    if len(finite) and not rises(measure):
        ceiling = style.ceiling(finite, 10 * float(np.median(finite)))
    hidden = {"configurations": len(dropped)}
    for name in ("runs", FINISHED, "pruned", "stopped", "diverged"):
        hidden[name] = sum(row[name] for row in dropped)
    return FinalMeasures(
        f"{sweep.name}: final {style.word(measure)}",
        measure,
        tuple(style.titled(row, options) for row in kept),
        mean,
        error,
        seeds,
        tuple(style.counts_of(row) for row in kept),
        hidden,
        ceiling,
        0 if ceiling is None else int((finite > ceiling).sum()),
    )


def draw_final(facts: FinalMeasures) -> Figure:
    """A bar a configuration with its standard error and seeds; runs that were lost are named."""
    factor = 100.0 if rises(facts.measure) else 1.0
    n = len(facts.labels)
    with style.lecture():
        figure = style.canvas(13.0, 2.0 + 0.46 * n)
        axes = figure.subplots()
        at = np.arange(n)[::-1]
        shown = np.nan_to_num(facts.mean)
        shown = shown if facts.ceiling is None else np.minimum(shown, facts.ceiling)
        axes.barh(at, factor * shown, height=0.68, color=STYLES[0].color, alpha=0.35)
        there = np.isfinite(facts.error)
        axes.errorbar(
            factor * shown[there], at[there], xerr=factor * facts.error[there],
            fmt="none", ecolor=style.INK, elinewidth=2, capsize=5,
        )  # fmt: skip
        right = factor * (1.0 if rises(facts.measure) else max(*shown, 0.0) or 1.0)
        for y, mean, error, seeds, counts, drawn in zip(
            at, facts.mean, facts.error, facts.seeds, facts.counts, shown, strict=True
        ):
            if len(seeds) > 1:
                inside = seeds if facts.ceiling is None else np.minimum(seeds, facts.ceiling)
                axes.plot(factor * inside, np.full(len(seeds), y), "o", markersize=6,
                          markerfacecolor="none", markeredgewidth=1.4, color=style.INK)  # fmt: skip
            note = style.lost(counts)
            text = style.figure_of(facts.measure, mean, error) if math.isfinite(mean) else ""
            if facts.ceiling is not None and mean > facts.ceiling:
                text = f"▶ {text} (clipped)"
            text = "   ".join(part for part in (text, note) if part)
            far = max(
                factor * drawn, factor * max(seeds, default=0) if facts.ceiling is None else 0
            )
            if math.isfinite(error):
                far = max(far, factor * (drawn + error))
            axes.annotate(
                text, (far, y), xytext=(8, 0), textcoords="offset points", va="center",
                fontsize=12.5, color=style.ENDED if note else style.INK,
            )  # fmt: skip
            if not math.isfinite(mean):
                axes.barh(y, 0.012 * right, height=0.68, color="none", hatch="////",
                          edgecolor=style.ENDED)  # fmt: skip
        unit = " (%)" if rises(facts.measure) else ""
        style.dress(axes, x=f"final {style.word(facts.measure)}{unit}", y="", title=facts.title)
        axes.set_yticks(at, facts.labels)
        axes.set_ylim(-0.6, n - 0.4)
        axes.set_xlim(0, 1.28 * right)
        if rises(facts.measure):
            axes.set_xticks(range(0, 101, 20))
        axes.grid(visible=False, axis="y")
        told = "bars: mean over seeds, circles: seeds, whiskers: standard error"
        notes = [told] if any(len(seeds) > 1 for seeds in facts.seeds) else []
        if facts.hidden["configurations"]:
            where = {k: v for k, v in facts.hidden.items() if k != "configurations"}
            notes.append(
                f"not shown: {facts.hidden['configurations']:,} configurations that rank lower "
                f"({style.counted(where)})"
            )
        style.caption(figure, notes)
    return figure


@dataclass(frozen=True, eq=False)
class Importance:
    """Which option mattered.

    Attributes:
        title: of the figure.
        measure: whose variance is explained.
        options: ``[n]``, the most important first; ``seed`` last, where there are several.
        explained: ``[n]``, share of the variance of the measure, over runs that finished; NaN
            where there is none.
        explained_ranks: ``[n]``, share of the variance of the places of all runs.
        best: ``[n]``, the value with the best mean place.
        counts: all runs by status.
    """

    title: str
    measure: str
    options: tuple[str, ...]
    explained: Numbers
    explained_ranks: Numbers
    best: tuple[str | None, ...]
    counts: Mapping[str, int]


def importances(sweep: Compared, measure: str = "test_loss") -> Importance:
    """The facts of the figure of importance.

    Raises:
        InputError: no run has the measure.
    """
    rows = importance(sweep, measure).to_pylist()
    counts = Grouped(sweep.runs, ()).counts
    return Importance(
        f"{sweep.name}: what explains the {style.word(measure)}",
        measure,
        tuple(row["option"] for row in rows),
        np.array([math.nan if r["explained"] is None else r["explained"] for r in rows]),
        np.array(
            [math.nan if r["explained_ranks"] is None else r["explained_ranks"] for r in rows]
        ),
        tuple(row["best"] for row in rows),
        {name: int(count[0]) for name, count in counts.items()},
    )


def draw_importance(facts: Importance) -> Figure:
    """Two bars an option: of the places of all runs, and of the measure of those that finished."""
    n = len(facts.options)
    with style.lecture():
        figure = style.canvas(11.0, 2.2 + 0.95 * n)
        axes = figure.subplots()
        at = np.arange(n)[::-1]
        first, second = STYLES[0], STYLES[1]
        for values, offset, line, label in (
            (facts.explained_ranks, 0.2, first, "places of all runs, the diverged last"),
            (facts.explained, -0.2, second, f"{style.word(facts.measure)} of runs that finished"),
        ):
            axes.barh(
                at + offset, 100 * np.nan_to_num(values), height=0.38, color=line.color,
                alpha=0.75, hatch=line.hatch, edgecolor="#fdfdfd", linewidth=0, label=label,
            )  # fmt: skip
            for y, value in zip(at + offset, values, strict=True):
                text = f"{100 * value:.1f} %" if math.isfinite(value) else "–"
                axes.annotate(text, (100 * np.nan_to_num(value), y), xytext=(6, 0), fontsize=12.5,
                              textcoords="offset points", va="center")  # fmt: skip
        names = [
            "seed (what options leave)" if name == "seed" else f"{style.word(name)}\nbest: {best}"
            for name, best in zip(facts.options, facts.best, strict=True)
        ]
        axes.set_yticks(at, names)
        axes.set_xlim(0, 112)
        axes.set_xticks(range(0, 101, 20))
        style.dress(axes, x="variance explained (%)", y="", title=facts.title)
        axes.grid(visible=False, axis="y")
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper right", frameon=False, ncols=1)
        style.caption(figure, [style.counted(facts.counts)])
    return figure
