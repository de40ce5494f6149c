"""How two options act together: a measure in a grid of their values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gradus.engine.selection import rises
from gradus.figures import style
from gradus.sweep.compare import cells
from gradus.sweep.groups import Compared, shown
from gradus.sweep.measures import in_percent, measure_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Numbers = NDArray[np.float64]

WRITTEN = 14
"""Grids with more rows or columns have no figures written in their cells."""

NOTED = 8
"""With more columns, how many runs did not finish has no room in the cells: frames say that."""


@dataclass(frozen=True, eq=False)
class Grid:
    """A measure in a grid.

    Attributes:
        title: for which value of the facet.
        rows: values of the first option, from the bottom.
        columns: values of the second option.
        best: ``[rows, columns]``, the best configuration in each cell, NaN where no run finished.
        counts: runs by status of the cells that have any, by row and column.
        configurations: how many there are in a cell, at most.
    """

    title: str
    rows: tuple[Any, ...]
    columns: tuple[Any, ...]
    best: Numbers
    counts: Mapping[tuple[int, int], Mapping[str, int]]
    configurations: int


@dataclass(frozen=True, eq=False)
class HeatMap:
    """Grids to one scale; values above ``ceiling`` have its colour and are counted.

    ``binned`` says of which options many values stand together.
    """

    title: str
    row: str
    column: str
    measure: str
    grids: tuple[Grid, ...]
    ceiling: float | None
    clipped: int
    binned: tuple[str, ...] = ()


def heat_map(
    sweep: Compared, row: str, column: str, facet: str | None = None, measure: str | None = None
) -> HeatMap:
    """The facts of a heat map.

    Raises:
        InputError: an option does not vary in this sweep, or no run has the measure.
    """
    options = (row, column) if facet is None else (facet, row, column)
    measure = measure_of(sweep.runs) if measure is None else measure
    found = cells(sweep, options, measure, bins=True).to_pylist()
    found = [cell for cell in found if cell[row] is not None and cell[column] is not None]
    facets: list[Any] = list(dict.fromkeys(cell[facet] for cell in found)) if facet else [None]
    grids = []
    for value in facets:
        part = [cell for cell in found if facet is None or cell[facet] == value]
        rows = sorted({cell[row] for cell in part})
        columns = sorted({cell[column] for cell in part})
        best, counts = np.full((len(rows), len(columns)), np.nan), {}
        for cell in part:
            at = rows.index(cell[row]), columns.index(cell[column])
            best[at] = math.nan if cell["best"] is None else cell["best"]
            counts[at] = style.counts_of(cell)
        title = "" if facet is None else style.told(facet, value)
        if len(rows) > 1 or len(columns) > 1:
            most = max(cell["configurations"] for cell in part)
            grids.append(Grid(title, tuple(rows), tuple(columns), best, counts, most))
    every = np.concatenate([np.zeros(0), *(grid.best.ravel() for grid in grids)])
    finite = every[np.isfinite(every)]
    ceiling = None
    if len(finite) and not rises(measure):
        ceiling = style.ceiling(finite, 50 * float(np.median(finite)))
    clipped = 0 if ceiling is None else int((finite > ceiling).sum())
    title = f"{sweep.name}: {style.word(measure)}, {style.word(row)} × {style.word(column)}"
    binned = style.binned(sweep.runs, (row, column))
    return HeatMap(title, row, column, measure, tuple(grids), ceiling, clipped, binned)


def draw_heat_map(facts: HeatMap) -> Figure:
    """Bright is good; cells without a finished run are hatched, cells without a run are empty."""
    from matplotlib.colors import LogNorm, Normalize

    n = max(1, len(facts.grids))
    values = np.concatenate([np.zeros(0), *(grid.best.ravel() for grid in facts.grids)])
    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if len(finite) else (0.0, 1.0)
    high = min(high, facts.ceiling) if facts.ceiling is not None else high
    # R² of a model that is worse than the mean is below 0, without a bound.
    low = max(low, -1.0) if rises(facts.measure) else low
    norm = LogNorm(low, high) if 0 < low < high / 30 else Normalize(low, high)
    map_name = "cividis" if rises(facts.measure) else "cividis_r"
    with style.lecture():
        width = max((len(grid.columns) for grid in facts.grids), default=1)
        height = max((len(grid.rows) for grid in facts.grids), default=1)
        each = min(9.0, max(5.2, 1.7 * width))
        figure = style.canvas(2.0 + each * n, min(9.0, max(4.6, 1.6 + 1.15 * height)))
        axes_list = list(figure.subplots(1, n, squeeze=False).flat)
        mesh: Any = None
        for axes, grid in zip(axes_list, facts.grids, strict=False):
            mesh = _draw_grid(axes, grid, facts, norm, map_name)
        if mesh is not None and len(finite):
            bar = figure.colorbar(mesh, ax=axes_list, pad=0.02)
            bar.set_label(style.word(facts.measure))
            if in_percent(facts.measure):
                bar.ax.yaxis.set_major_formatter("{x:.0%}")
            bar.outline.set_visible(False)
        figure.suptitle(facts.title, fontsize=16)
        style.caption(figure, _caption(facts))
    return figure


def _draw_grid(axes: Axes, grid: Grid, facts: HeatMap, norm: Any, map_name: str) -> Any:
    from matplotlib import colormaps
    from matplotlib.patches import Rectangle

    mesh = axes.imshow(grid.best, origin="lower", aspect="auto", cmap=map_name, norm=norm)
    written = len(grid.rows) <= WRITTEN and len(grid.columns) <= WRITTEN
    for (i, j), counts in grid.counts.items():
        value, note = grid.best[i, j], style.lost(counts)
        empty = not math.isfinite(value)
        if note:
            axes.add_patch(
                Rectangle(
                    (j - 0.5, i - 0.5),
                    1,
                    1,
                    facecolor="#f6dcd8" if empty else "none",
                    edgecolor=style.ENDED,
                    hatch="//" if empty else None,
                    linewidth=0 if empty else 2.5,
                )
            )
        if not written:
            continue
        red, green, blue, _ = colormaps[map_name](norm(value)) if not empty else (1, 1, 1, 1)
        dark = 0.3 * red + 0.59 * green + 0.11 * blue < 0.5
        lines = [] if empty else [style.figure_of(facts.measure, value)]
        if note and len(grid.columns) <= NOTED:
            lines.append(_short(counts) if len(grid.columns) > 3 else note.replace(", ", "\n"))
        axes.text(
            j,
            i,
            "\n".join(lines),
            ha="center",
            va="center",
            fontsize=13 if len(grid.columns) <= NOTED else 10,
            color=style.ON_DARK if dark else style.ON_LIGHT,
            bbox={"facecolor": "#fdf3f2", "edgecolor": "none", "pad": 2}
            if empty and lines
            else None,
        )
    style.dress(axes, x=style.word(facts.column), y=style.word(facts.row), title=grid.title)
    axes.grid(visible=False)
    for axis, values in ((axes.xaxis, grid.columns), (axes.yaxis, grid.rows)):
        every = max(1, math.ceil(len(values) / 16))
        axis.set_ticks(range(0, len(values), every), [shown(v) for v in values[::every]])
    if sum(len(shown(value)) for value in grid.columns) > style.CROWDED:
        axes.tick_params("x", rotation=40)
    return mesh


def _short(counts: Mapping[str, int]) -> str:
    names = {"diverged": "div.", "stopped": "stop.", "pruned": "pruned"}
    return "\n".join(
        f"{counts[name]}/{counts['runs']} {said}" for name, said in names.items() if counts[name]
    )


def _caption(facts: HeatMap) -> list[str]:
    told = [*facts.binned]
    if any(grid.configurations > 1 for grid in facts.grids):
        told.append(f"each cell: its best configuration, by {style.word(facts.measure)}")
    ended = len(told)
    for name in ("diverged", "stopped", "failed", "pruned"):
        n = sum(counts[name] for grid in facts.grids for counts in grid.counts.values())
        if n:
            told.append(f"{n:,} {name}")
    if len(told) > ended:
        told[-1] += " (hatched: no run finished; framed: some did not)"
    absent = sum(grid.best.size - len(grid.counts) for grid in facts.grids)
    if absent:
        told.append(f"empty: {absent:,} combinations were not run")
    if facts.clipped:
        told.append(f"clipped: {facts.clipped:,} cells are above {facts.ceiling:.3g}")
    return told
