"""How configurations end, and which option mattered: figures made of bars."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gradus.engine.selection import rises
from gradus.figures import style
from gradus.figures.curve_styles import STYLES
from gradus.sweep.compare import ranking
from gradus.sweep.groups import Compared, Grouped, varied
from gradus.sweep.importance import importance
from gradus.sweep.measures import STATUSES, complete, in_percent, measure_of, numbers

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
        mean: ``[n]``, over the seeds that are complete, NaN where none is.
        half_width: ``[n]``, half of the 95 % interval, NaN where there is one seed.
        seeds: ``[n]``, the measures of the single runs that are complete.
        counts: ``[n]``, runs by status.
        hidden: counts of configurations and runs that have no row here: the worst.
        ceiling: above which bars are clipped, or None.
        clipped: how many bars are.
    """

    title: str
    measure: str
    labels: tuple[str, ...]
    mean: Numbers
    half_width: Numbers
    seeds: tuple[Numbers, ...]
    counts: tuple[Mapping[str, int], ...]
    hidden: Mapping[str, int]
    ceiling: float | None
    clipped: int


def final_measures(sweep: Compared, measure: str | None = None) -> FinalMeasures:
    """The facts of the final figures, by the measure of the sweep unless another is given.

    Raises:
        InputError: no run has the measure.
    """
    runs = sweep.runs
    measure = measure_of(runs) if measure is None else measure
    options = tuple(varied(runs))
    ranked = ranking(sweep, measure)
    kept, dropped = ranked.slice(0, SHOWN).to_pylist(), ranked.slice(SHOWN)
    whole = Grouped(runs, options)
    values, good = numbers(runs, measure), complete(runs, measure)
    firsts = runs.take(whole.first).select(list(options)).to_pylist() if options else [{}]
    place = {tuple(row.values()): at for at, row in enumerate(firsts)}
    seeds = tuple(
        values[good & (whole.codes == place[tuple(row[name] for name in options)])] for row in kept
    )
    mean, low, high = (
        np.array([math.nan if row[name] is None else row[name] for row in kept])
        for name in (measure, f"{measure}_low", f"{measure}_high")
    )
    finite = mean[np.isfinite(mean)]
    ceiling = None
    if len(finite) and not rises(measure):
        ceiling = style.ceiling(finite, 10 * float(np.median(finite)))
    hidden = {"configurations": dropped.num_rows}
    for name in ("runs", *STATUSES):
        hidden[name] = int(numbers(dropped, name).sum())
    return FinalMeasures(
        f"{sweep.name}: final {style.word(measure)}",
        measure,
        tuple(style.titled(row, options) for row in kept),
        mean,
        (high - low) / 2,
        seeds,
        tuple(style.counts_of(row) for row in kept),
        hidden,
        ceiling,
        0 if ceiling is None else int((finite > ceiling).sum()),
    )


def draw_final(facts: FinalMeasures) -> Figure:
    """A bar a configuration with its interval and seeds; runs that were lost are named."""
    factor = 100.0 if in_percent(facts.measure) else 1.0
    n = len(facts.labels)
    with style.lecture():
        figure = style.canvas(13.0, 2.0 + 0.46 * n)
        axes = figure.subplots()
        at = np.arange(n)[::-1]
        shown = np.nan_to_num(facts.mean)
        shown = shown if facts.ceiling is None else np.minimum(shown, facts.ceiling)
        axes.barh(at, factor * shown, height=0.68, color=STYLES[0].color, alpha=0.35)
        there = np.isfinite(facts.half_width)
        axes.errorbar(
            factor * shown[there], at[there], xerr=factor * facts.half_width[there],
            fmt="none", ecolor=style.INK, elinewidth=2, capsize=5,
        )  # fmt: skip
        right = factor * (1.0 if rises(facts.measure) else max(*shown, 0.0) or 1.0)
        # R² of a model that is worse than the mean is below 0, without a bound.
        left = max(-1.0, min(*shown, 0.0))
        for y, mean, half, seeds, counts, drawn in zip(
            at, facts.mean, facts.half_width, facts.seeds, facts.counts, shown, strict=True
        ):
            if len(seeds) > 1:
                inside = seeds if facts.ceiling is None else np.minimum(seeds, facts.ceiling)
                axes.plot(factor * inside, np.full(len(seeds), y), "o", markersize=6,
                          markerfacecolor="none", markeredgewidth=1.4, color=style.INK)  # fmt: skip
            note = style.lost(counts)
            text = style.figure_of(facts.measure, mean, half) if math.isfinite(mean) else ""
            if facts.ceiling is not None and mean > facts.ceiling:
                text = f"▶ {text} (clipped)"
            text = "   ".join(part for part in (text, note) if part)
            far = max(
                factor * drawn, factor * max(seeds, default=0) if facts.ceiling is None else 0
            )
            if math.isfinite(half):
                far = max(far, factor * (drawn + half))
            axes.annotate(
                text, (far, y), xytext=(8, 0), textcoords="offset points", va="center",
                fontsize=12.5, color=style.ENDED if note else style.INK,
            )  # fmt: skip
            if not math.isfinite(mean):
                axes.barh(y, 0.012 * right, height=0.68, color="none", hatch="////",
                          edgecolor=style.ENDED)  # fmt: skip
        unit = " (%)" if in_percent(facts.measure) else ""
        style.dress(axes, x=f"final {style.word(facts.measure)}{unit}", y="", title=facts.title)
        axes.set_yticks(at, facts.labels)
        axes.set_ylim(-0.6, n - 0.4)
        axes.set_xlim(left, 1.28 * right)
        if rises(facts.measure):  # nothing is above 1
            axes.set_xticks(factor * np.arange(np.ceil(5 * left), 6) / 5)
        axes.grid(visible=False, axis="y")
        told = "bars: mean over seeds, circles: seeds, whiskers: 95 % interval of the mean"
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
        measure: by which runs have their places.
        options: ``[n]``, the most important first.
        explained: ``[n]``, share of what differs between configurations; NaN where the option
            cannot be told from noise.
        p: ``[n]``, the chance of so much without any effect; NaN where it cannot be said.
        best: ``[n]``, the value with the best mean place.
        counts: all runs by status.
    """

    title: str
    measure: str
    options: tuple[str, ...]
    explained: Numbers
    p: Numbers
    best: tuple[str | None, ...]
    counts: Mapping[str, int]


def importances(sweep: Compared, measure: str | None = None) -> Importance:
    """The facts of the figure of importance.

    Raises:
        InputError: no run has the measure.
    """
    measure = measure_of(sweep.runs) if measure is None else measure
    rows = importance(sweep, measure).to_pylist()
    counts = Grouped(sweep.runs, ()).counts
    return Importance(
        f"{sweep.name}: what explains the {style.word(measure)}",
        measure,
        tuple(row["option"] for row in rows),
        np.array([math.nan if r["explained"] is None else r["explained"] for r in rows]),
        np.array([math.nan if r["p"] is None else r["p"] for r in rows]),
        tuple(row["best"] for row in rows),
        {name: int(count[0]) for name, count in counts.items()},
    )


def draw_importance(facts: Importance) -> Figure:
    """A bar an option; those that cannot be told from noise have none, and say so."""
    n = len(facts.options)
    with style.lecture():
        figure = style.canvas(11.0, 2.2 + 0.7 * n)
        axes = figure.subplots()
        at = np.arange(n)[::-1]
        line = STYLES[0]
        axes.barh(
            at, 100 * np.nan_to_num(facts.explained), height=0.6, color=line.color, alpha=0.75,
            edgecolor="#fdfdfd", linewidth=0,
        )  # fmt: skip
        for y, share, p in zip(at, facts.explained, facts.p, strict=True):
            told = f"{100 * share:.0f} %" if math.isfinite(share) else style.noise(p)
            axes.annotate(told, (100 * np.nan_to_num(share), y), xytext=(6, 0), fontsize=12.5,
                          textcoords="offset points", va="center")  # fmt: skip
        names = [
            style.word(name) + ("" if best is None else f"\nbest: {best}")
            for name, best in zip(facts.options, facts.best, strict=True)
        ]
        axes.set_yticks(at, names)
        axes.set_ylim(-0.6, n - 0.4)
        axes.set_xlim(0, 112)
        axes.set_xticks(range(0, 101, 20))
        style.dress(
            axes, x="share of what differs between configurations (%)", y="", title=facts.title
        )
        axes.grid(visible=False, axis="y")
        ranked = "of the places of runs within seeds, the diverged last"
        style.caption(figure, [style.counted(facts.counts), ranked])
    return figure
