"""How much depends on one option: a measure against its values, and where runs diverge."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gradus.engine.selection import rises
from gradus.figures import style
from gradus.figures.curve_styles import STYLES
from gradus.sweep.compare import cells
from gradus.sweep.groups import Compared, shown
from gradus.sweep.measures import in_percent, measure_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Numbers = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Response:
    """One curve of a measure against the values of an option.

    Attributes:
        title: for which value of the facet.
        values: of the option, in order.
        best: ``[values]``, the best configuration at each, NaN where no run finished.
        half_width: ``[values]``, half of its 95 % interval, NaN where there is one seed.
        mean: ``[values]``, over all configurations there.
        worst: ``[values]``.
        configurations: ``[values]``, how many there are.
        counts: ``[values]``, runs by status.
        without: how many runs do not take the option.
    """

    title: str
    values: tuple[Any, ...]
    best: Numbers
    half_width: Numbers
    mean: Numbers
    worst: Numbers
    configurations: tuple[int, ...]
    counts: tuple[Mapping[str, int], ...]
    without: int


@dataclass(frozen=True, eq=False)
class Sensitivity:
    """Responses to one scale; ``clipped`` counts values above the ceiling.

    ``binned`` says of which options many values stand together.
    """

    title: str
    by: str
    measure: str
    responses: tuple[Response, ...]
    ceiling: float | None
    clipped: int
    binned: tuple[str, ...] = ()


def response(
    sweep: Compared, by: str = "lr", facet: str | None = None, measure: str | None = None
) -> Sensitivity:
    """The facts of a sensitivity figure.

    Raises:
        InputError: as `gradus.sweep.compare.sensitivity`.
    """
    measure = measure_of(sweep.runs) if measure is None else measure
    options = (by,) if facet is None else (facet, by)
    rows = cells(sweep, options, measure, bins=True).to_pylist()
    facets: list[Any] = list(dict.fromkeys(row[facet] for row in rows)) if facet else [None]
    responses = []
    for value in facets:
        part = [row for row in rows if facet is None or row[facet] == value]
        taken = [row for row in part if row[by] is not None]
        if not taken:
            continue
        responses.append(
            Response(
                title="" if facet is None else style.told(facet, value),
                values=tuple(row[by] for row in taken),
                best=_column(taken, "best"),
                half_width=0.5 * (_column(taken, "high") - _column(taken, "low")),
                mean=_column(taken, "mean"),
                worst=_column(taken, "worst"),
                configurations=tuple(row["configurations"] for row in taken),
                counts=tuple(style.counts_of(row) for row in taken),
                without=sum(row["runs"] for row in part if row[by] is None),
            )
        )
    every = np.concatenate([np.concatenate([r.best, r.worst]) for r in responses])
    finite = every[np.isfinite(every)]
    ceiling = None
    if len(finite) and not rises(measure):
        ceiling = style.ceiling(finite, 50 * float(np.median(finite)))
    clipped = 0 if ceiling is None else sum(int((r.worst > ceiling).sum()) for r in responses)
    title = f"{sweep.name}: {style.word(measure)} against {style.word(by)}"
    binned = style.binned(sweep.runs, (by,))
    return Sensitivity(title, by, measure, tuple(responses), ceiling, clipped, binned)


def _column(rows: Sequence[Mapping[str, Any]], name: str) -> Numbers:
    return np.array([math.nan if row[name] is None else row[name] for row in rows], float)


@dataclass(frozen=True, eq=False)
class Scale:
    """Where values stand on an axis, which ticks it has, and what they say."""

    at: Numbers
    ticks: Numbers
    labels: tuple[str, ...]


def scale_of(values: Sequence[Any]) -> Scale:
    """Numbers by their logarithm where they span more than 20, else by themselves; names evenly.

    Example:
        >>> scale_of([0.001, 0.1, 10.0]).at.tolist(), scale_of(["adam", "sgd"]).at.tolist()
        ([-3.0, -1.0, 1.0], [0.0, 1.0])
    """
    even = Scale(np.arange(len(values), dtype=float), np.arange(len(values), dtype=float),
                 tuple(map(shown, values)))  # fmt: skip
    numeric = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values)
    if not numeric or len(values) < 2:
        return even
    given = np.array(values, float)
    logarithmic = given.min() > 0 and given.max() / given.min() > 20
    at = np.log10(given) if logarithmic else given
    if len(values) <= 12:
        crowded = np.diff(at).min() < 0.07 * (at[-1] - at[0])
        return even if crowded else Scale(at, at, even.labels)
    if logarithmic:
        ticks = np.arange(math.ceil(at[0]), math.floor(at[-1]) + 1, dtype=float)
        return Scale(at, ticks, tuple(shown(10.0**tick) for tick in ticks))
    ticks = np.linspace(at[0], at[-1], 6)
    return Scale(at, ticks, tuple(f"{tick:.3g}" for tick in ticks))


def draw_sensitivity(facts: Sensitivity) -> Figure:
    """The best configuration at each value with its interval, the others as a band."""
    columns = min(3, len(facts.responses))
    rows = math.ceil(len(facts.responses) / max(1, columns))
    with style.lecture():
        figure = style.canvas({1: 9.5, 2: 14.0}.get(columns, 18.0), 5.2 * rows)
        grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
        for axes in grid.flat[len(facts.responses) :]:
            axes.set_axis_off()
        for axes, one in zip(grid.flat, facts.responses, strict=False):
            _draw_response(axes, one, facts)
        figure.suptitle(facts.title, fontsize=16)
        style.caption(figure, _caption(facts))
        named: dict[str, Any] = {}
        for axes in grid.flat:
            handles, labels = axes.get_legend_handles_labels()
            named |= dict(zip(labels, handles, strict=True))
        figure.legend(
            named.values(),
            named,
            loc="outside lower center",
            frameon=False,
            ncols=min(4, columns + 1),
        )
    return figure


def _draw_response(axes: Axes, one: Response, facts: Sensitivity) -> None:
    scale, line, other = scale_of(one.values), STYLES[0], STYLES[1]
    factor = 100.0 if in_percent(facts.measure) else 1.0
    best, mean, worst = factor * one.best, factor * one.mean, factor * one.worst
    if max(one.configurations) > 1:
        axes.fill_between(
            scale.at, best, worst, color=line.color, alpha=0.15, linewidth=0,
            label="all configurations, best to worst",
        )  # fmt: skip
        axes.plot(scale.at, mean, color=other.color, linestyle=other.dashes, linewidth=1.8,
                  marker=other.marker, markersize=6, label="mean of them")  # fmt: skip
    axes.errorbar(
        scale.at,
        best,
        yerr=None if np.isnan(one.half_width).all() else np.nan_to_num(factor * one.half_width),
        color=line.color,
        linewidth=2.8,
        marker=line.marker,
        markersize=9,
        capsize=6,
        label="best configuration" if max(one.configurations) > 1 else style.word(facts.measure),
    )
    finite = np.concatenate([best, worst])
    finite = finite[np.isfinite(finite)]
    if in_percent(facts.measure):
        axes.set_ylim(0, 100)
    elif rises(facts.measure):
        # R² of a model that is worse than the mean is below 0, without a bound.
        axes.set_ylim(max(-1.0, min(0.0, *finite)), 1)
    elif len(finite) and 0 < finite.min() < finite.max() / 30:
        axes.set_yscale("log")
    if facts.ceiling is not None:
        axes.set_ylim(top=facts.ceiling)
    style.dress(axes, x=style.word(facts.by), y=_axis(facts.measure), title=one.title)
    _shade(axes, one, scale)
    axes.set_xticks(scale.ticks, scale.labels)
    if sum(map(len, scale.labels)) > style.CROWDED:
        axes.tick_params("x", rotation=40)
    axes.tick_params(labelleft=True)


def _axis(measure: str) -> str:
    return style.word(measure) + (" (%)" if in_percent(measure) else "")


def _shade(axes: Axes, one: Response, scale: Scale) -> None:
    """The values at which runs were lost: hatched where all were, grey where some were."""
    at = scale.at
    between = (at[1:] + at[:-1]) / 2
    step = 0.5 if len(at) < 2 else 0.5 * float(np.diff(at).mean())
    edges = np.concatenate([[at[0] - step], between, [at[-1] + step]])
    axes.set_xlim(edges[0], edges[-1])
    named: set[str] = set()
    for i, counts in enumerate(one.counts):
        ended = counts["diverged"] + counts["stopped"]
        if ended:
            every = ended == counts["runs"]
            label = "all runs diverged" if every else "some runs diverged"
            axes.axvspan(
                edges[i],
                edges[i + 1],
                facecolor="#eec9c7" if every else "#f9eceb",
                hatch="//" if every else None,
                edgecolor="#cf7d79",
                linewidth=0,
                zorder=0.4,  # under the grid
                label=None if label in named else label,
            )
            named.add(label)
        note = style.lost(counts)
        if note and len(at) <= 24:
            axes.annotate(
                note,
                ((edges[i] + edges[i + 1]) / 2, 0.97),
                xycoords=("data", "axes fraction"),
                rotation=90,
                ha="center",
                va="top",
                fontsize=12,
                color=style.ENDED,
                bbox={"facecolor": "#fdf3f2", "edgecolor": "none", "pad": 2.5, "alpha": 0.92},
            )


def _caption(facts: Sensitivity) -> list[str]:
    told = [*facts.binned]
    if any(n > 1 for one in facts.responses for n in one.configurations):
        told.append(f"best: chosen at each value, by {style.word(facts.measure)}")
    lost = {
        name: sum(counts[name] for one in facts.responses for counts in one.counts)
        for name in ("diverged", "stopped", "failed", "pruned")
    }
    told += [f"{n:,} {name}" for name, n in lost.items() if n]
    if facts.clipped:
        told.append(f"clipped: {facts.clipped:,} values are above {facts.ceiling:.3g}")
    without = sum(one.without for one in facts.responses)
    if without:
        told.append(f"{without:,} runs take no {style.word(facts.by)}")
    return told
