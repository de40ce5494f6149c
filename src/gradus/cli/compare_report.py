"""What comparing a sweep tells on the terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from gradus.cli.sweep_report import WIDE
from gradus.figures.choice_notes import interval_note, notes
from gradus.figures.style import counts_of, figure_of, lost, noise, word
from gradus.sweep.compare import ranking
from gradus.sweep.groups import Compared, cell, shown, varied
from gradus.sweep.importance import importance
from gradus.sweep.measures import accuracy_of


def show(sweep: Compared, measure: str, top: int) -> None:
    """The ranking, what was chosen on what, and which option mattered."""
    console = Console(highlight=False, markup=False, emoji=False)
    console.width = max(console.width, WIDE)  # no column is dropped; a terminal wraps its lines
    options = varied(sweep.runs)
    ranked = ranking(sweep, measure)
    rows = ranked.slice(0, top).to_pylist()
    several = any(row["runs"] > 1 for row in rows)
    accuracy = accuracy_of(sweep.runs, measure)
    measures = list(dict.fromkeys((measure, accuracy)))
    names = [name.replace("_", " ") for name in options]
    table = _table("", *names, *map(word, measures))
    if several:
        table.add_column("to the best", justify="right")
        table.add_column("runs", justify="right")
    table.add_column("", no_wrap=True)
    for row in rows:
        cells = [shown(row["rank"]) if row["rank"] else "–"]
        cells += [cell(name, row[name]) for name in options]
        cells += [_figure(name, row) for name in measures]
        cells += [_figure(measure, row, "difference"), f"{row['runs']:,}"] if several else []
        untold = "not told from the best" if row["may_be_best"] and row["difference"] else ""
        table.add_row(*cells, ", ".join(filter(None, (untold, lost(counts_of(row))))))
    console.print(table)
    if ranked.num_rows > top:
        console.print(f"and {ranked.num_rows - top:,} more: --top {ranked.num_rows}", style="dim")
    console.print(interval_note(rows, measure), style="dim", soft_wrap=True)
    console.print()
    for note in notes(sweep, measure):
        console.print(note, soft_wrap=True)
    if options:
        _show_importance(console, sweep, measure)


def _show_importance(console: Console, sweep: Compared, measure: str) -> None:
    table = _table("option", "share of the differences", "best")
    for row in importance(sweep, measure).to_pylist():
        share = row["explained"]
        told = noise(row["p"]) if share is None else f"{100 * share:.1f} %"
        table.add_row(row["option"].replace("_", " "), told, row["best"] or "")
    console.print()
    console.print(table)


def _figure(measure: str, row: dict[str, Any], column: str | None = None) -> str:
    name = column or measure
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return figure_of(measure, row[name], None if low is None else (high - low) / 2)


def _table(first: str, *names: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column(first)
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    return table
