"""What comparing a sweep tells on the terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from gradus.figures.style import counts_of, figure_of, lost, word
from gradus.sweep.compare import ranking
from gradus.sweep.groups import cell, shown, varied
from gradus.sweep.importance import importance
from gradus.sweep.sweep import Sweep


def show(sweep: Sweep, measure: str, top: int) -> None:
    """The ranking, and which option mattered."""
    console = Console(highlight=False, markup=False, emoji=False)
    options = varied(sweep.runs)
    ranked = ranking(sweep, measure)
    rows = ranked.slice(0, top).to_pylist()
    several = any(row["runs"] > 1 for row in rows)
    accuracy = "test_accuracy" in ranked.column_names and measure != "test_accuracy"
    names = [name.replace("_", " ") for name in options]
    table = _table("", *names, word(measure), *(["accuracy"] if accuracy else []))
    if several:
        table.add_column("runs", justify="right")
    table.add_column("", no_wrap=True)
    for row in rows:
        cells = [shown(row["rank"]) if row["rank"] else "–"]
        cells += [cell(name, row[name]) for name in options]
        cells += [_figure(measure, row)]
        cells += [_figure("test_accuracy", row)] if accuracy else []
        cells += [f"{row['runs']:,}"] if several else []
        table.add_row(*cells, lost(counts_of(row)))
    console.print(table)
    if ranked.num_rows > top:
        console.print(f"and {ranked.num_rows - top:,} more: --top {ranked.num_rows}", style="dim")
    if options:
        _show_importance(console, sweep, measure)


def _show_importance(console: Console, sweep: Sweep, measure: str) -> None:
    table = _table("variance explained", "of all places", f"of {word(measure)}", "best")
    for row in importance(sweep, measure).to_pylist():
        shares = [row["explained_ranks"], row["explained"]]
        told = ["–" if share is None else f"{100 * share:.1f} %" for share in shares]
        table.add_row(row["option"].replace("_", " "), *told, row["best"] or "")
    console.print()
    console.print(table)


def _figure(measure: str, row: dict[str, Any]) -> str:
    return figure_of(measure, row[measure], row[f"{measure}_error"])


def _table(first: str, *names: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column(first)
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    return table
