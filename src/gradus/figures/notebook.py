"""A result in a notebook: a picture and a table that are read on light and on dark ground.

A notebook does not say which theme it has, and may change it later. Ink is the colour that the
notebook writes in, the ground is its own, and curves have colours that stand out from both.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import singledispatch
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from gradus.figures import style
from gradus.figures.curves import Overlay, draw_overlay, overlay
from gradus.figures.document import table
from gradus.figures.page import ranking_table
from gradus.figures.run.loop_page import figures_of, lost_of
from gradus.figures.scores import rows_of
from gradus.figures.sweep_figures import told_apart
from gradus.methods.minimize import Trajectory
from gradus.models.own import shown
from gradus.runs.curve import CONSTANT, MINI_BATCH, SMOOTH, VALIDATION
from gradus.runs.lost import what_came_of
from gradus.runs.record import Run
from gradus.runs.recorded import RecordedRun
from gradus.sweep.comparison import Comparison
from gradus.sweep.groups import RUN_NAME, Compared, Grouped
from gradus.sweep.measures import measure_of, measured
from gradus.sweep.sweep import Sweep

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROWS = 10
"""Of a table, at most."""

MIDTONES = {
    SMOOTH: "#2f83c4",
    MINI_BATCH: "rgb(47 131 196 / 45%)",
    VALIDATION: "#2c9a50",
    CONSTANT: "#8a8b8c",
    style.ENDED: "#d5473f",
    "#0868ac": "#2f83c4",
    "#8c4bb0": "#a56cc6",
    "#7a5c3e": "#a37f5b",
}
"""Colours that are too dark for a dark ground, and those that stand for them on any."""

STYLE = """<style>
.gradus-cell { --ink: currentColor; --pale: color-mix(in srgb, currentColor 65%, transparent);
  --grid: color-mix(in srgb, currentColor 20%, transparent); --ground: transparent;
  max-width: 46rem; font-variant-numeric: tabular-nums; }
.gradus-cell p { margin: .2rem 0; }
.gradus-cell .lost { color: #d5473f; }
.gradus-cell svg { width: 100%; height: auto; display: block; }
.gradus-cell table { border-collapse: collapse; margin: .4rem 0; background: transparent;
  font-size: .92em; }
.gradus-cell th, .gradus-cell td { padding: .15rem .6rem; text-align: right; color: inherit;
  background: transparent; white-space: nowrap; border: 0; }
.gradus-cell th:first-child, .gradus-cell td:first-child { text-align: left; padding-left: 0; }
.gradus-cell thead tr { border-bottom: 1px solid var(--pale); }
.gradus-cell div { overflow-x: auto; }
</style>"""


@singledispatch
def cell(result: object) -> str:
    """A result as HTML.

    Args:
        result: a run, a sweep, a comparison or a trajectory.

    Raises:
        TypeError: it is something else.
    """
    raise TypeError(f"no picture of a {type(result).__name__}")


@cell.register
def _(run: Run) -> str:
    tables, rows = [], rows_of(run.summary)[:ROWS]
    if rows:
        tables = [table(["", "on the test part", "95 % interval", "constant", ""], rows)]
    else:
        final = run.summary["final"] or {}
        known = [n for n in ("train_loss", "validation_loss", "test_loss") if final.get(n)]
        if last := [(style.word(n), style.figure_of(n, final[n])) for n in known]:
            tables = [table(["", "last"], last)]
    title = f"{run.title} on {shown(run.spec.data)}: {run.status}"
    return _cell(title, tables, _curve(run), what_came_of(run))


@cell.register
def _(run: RecordedRun) -> str:
    lost, rows = lost_of(run), list(figures_of(run))[:ROWS]
    figures = table(["", "last", "best"], rows) if rows else ""
    return _cell(f"{run.title}: {run.status}", [figures], _curve(run), lost)


@cell.register
def _(sweep: Sweep) -> str:
    return _compared(sweep)


@cell.register
def _(comparison: Comparison) -> str:
    runs = comparison.runs
    if RUN_NAME not in runs.column_names:  # few runs have a curve each
        runs = runs.append_column(RUN_NAME, runs["run"])
    named = replace(comparison, runs=runs)
    return _compared(comparison, overlay(named, RUN_NAME))


@cell.register
def _(path: Trajectory) -> str:
    values = path.values.detach().cpu().double().numpy()
    points = path.points.detach().cpu().double().numpy().reshape(len(values), -1)
    told = sorted({0, 1, len(values) // 2, len(values) - 1} & set(range(len(values))))
    rows = [(f"{at:,}", f"{values[at]:.6g}", _vector(points[at])) for at in told]
    title = f"{len(values) - 1:,} steps in {points.shape[1]:,} dimensions"
    return _cell(title, [table(["step", "f(w)", "w"], rows)], _path(values, points))


def _compared(sweep: Compared, curves: Overlay | None = None) -> str:
    if sweep.runs.num_rows == 0 or not measured(sweep.runs):
        return _cell(f"{sweep.name}: no run has a figure yet", [], None)
    counts = {name: int(count[0]) for name, count in Grouped(sweep.runs, ()).counts.items()}
    measure = measure_of(sweep.runs)
    if measure not in measured(sweep.runs):
        measure = measured(sweep.runs)[0]
    figure = None
    if sweep.history.num_rows:
        figure = draw_overlay(curves or overlay(sweep, *told_apart(sweep, measure)))
    title = style.named_count(sweep.name, counts)
    return _cell(title, [ranking_table(sweep, measure, ROWS)], figure)


def _cell(title: str, tables: Sequence[str], figure: Figure | None, lost: str | None = None) -> str:
    parts = [f"<p><b>{escape(title)}</b></p>"]
    if lost is not None:
        parts.append(f'<p class="lost">{escape(lost)}</p>')
    parts += [f"<div>{each}</div>" for each in tables]
    if figure is not None:
        parts.append(_drawn(figure, title))
    return f'<div class="gradus-cell">{STYLE}{"".join(parts)}</div>'


def _drawn(figure: Figure, title: str) -> str:
    """A figure whose identifiers are those of its content: all cells share one space of them."""
    text = style.in_page(figure, "gradus-own")
    for dark, midtone in MIDTONES.items():
        text = text.replace(dark, midtone)
    own = hashlib.sha256(text.encode()).hexdigest()[:10]
    text = text.replace("gradus-own", f"g{own}")
    return text.replace(f'aria-label="g{own}"', f'aria-label="{escape(title, quote=True)}"', 1)


def _curve(run: Run) -> Figure | None:
    if not run.history.num_rows:
        return None
    with style.lecture():
        return run.plot()


def _path(values: np.ndarray, points: np.ndarray) -> Figure:
    """How f fell, and in two dimensions where the points lie."""
    flat = points.shape[1] == 2
    with style.lecture():
        figure = style.canvas(12 if flat else 8, 4.4)
        axes = list(figure.subplots(1, 2 if flat else 1, squeeze=False).flat)
        axes[0].plot(values, color=SMOOTH, marker="o" if len(values) <= 50 else None)
        style.dress(axes[0], x="step", y="f(w)")
        finite = values[np.isfinite(values)]
        if len(finite) and finite.min() > 0 and finite.max() > 100 * finite.min():
            axes[0].set_yscale("log")
        if flat:
            axes[1].plot(*points.T, color=SMOOTH, marker="o" if len(points) <= 50 else None)
            axes[1].plot(*points[-1], color="#d94801", marker="D", markersize=9)
            style.dress(axes[1], x="first entry of w", y="second entry of w")
        return figure


def _vector(w: np.ndarray) -> str:
    entries = ", ".join(f"{entry:.4g}" for entry in w[:4])
    return f"({entries}{', …' if len(w) > 4 else ''})"
