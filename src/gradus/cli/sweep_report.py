"""What a sweep tells on the terminal: a live table of its runs, then the best of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType

import pyarrow as pa
from rich import live
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from gradus.engine.selection import rises
from gradus.figures.choice_notes import notes
from gradus.figures.style import figure_of
from gradus.formatting import number
from gradus.runs.choices import flag
from gradus.sweep.configurations import SEEDS
from gradus.sweep.groups import cell, varied
from gradus.sweep.measures import FINISHED, accuracy_of, complete, measure_of, statuses
from gradus.sweep.progress import ENDED, SweepProgress, words_of
from gradus.sweep.sweep import Sweep

LINE_EVERY = 2.0
"""Seconds between two plain lines off a terminal."""

WIDE = 160
"""Characters that tables may take at least."""

SHOWN = 10
"""How many of the best runs the closing table shows."""


class Live:
    """The progress of a sweep, on stderr: one live table on a terminal, plain lines elsewhere.

    Args:
        quiet: say nothing.
    """

    def __init__(self, *, quiet: bool) -> None:
        self.quiet = quiet
        self.console = Console(stderr=True, highlight=False, markup=False, emoji=False)
        self.live = live.Live(console=self.console, transient=True, auto_refresh=False)
        self.told = time.monotonic()

    def __enter__(self) -> Live:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.live.is_started:
            self.live.stop()

    def observe(self, progress: SweepProgress) -> None:
        """Show the progress."""
        if self.quiet:
            return
        now = time.monotonic()
        if self.console.is_terminal:
            if not self.live.is_started:
                self.live.start()
            if now - self.told > 0.1:
                self.told = now
                self.live.update(table_of(progress), refresh=True)
        elif now - self.told >= LINE_EVERY:
            self.told = now
            self.console.print("  ".join(words_of(progress)), soft_wrap=True)


def table_of(progress: SweepProgress) -> Group:
    """The runs under way, and what is known of all."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("run", "epoch", "loss"):
        table.add_column(name, no_wrap=True, justify="left" if name == "run" else "right")
    for spec, under in progress.under_way:
        epoch = f"{under.epoch if under else 1}/{spec.epochs}"
        table.add_row(
            f"{spec.title} seed-{spec.seed}", epoch, number(under.loss if under else None)
        )
    return Group(table, Text("  ".join(words_of(progress))))


def close(sweep: Sweep) -> None:
    """The closing words: how many runs ended how, the best of them, and where the record stands."""
    console = Console(highlight=False, markup=False, emoji=False)
    console.width = max(console.width, WIDE)  # no column is dropped; a terminal wraps its lines
    runs = sweep.runs
    statuses = runs["status"].to_pylist()
    counted = [f"{statuses.count(status):,} {status}" for status in ENDED if status in statuses]
    measure = measure_of(runs)
    best = _best(runs, measure)
    if best.num_rows:
        seeds = [name for name in SEEDS if pa.compute.count_distinct(runs[name]).as_py() > 1]
        console.print(_table(best, [*varied(runs), *seeds], measure))
        if (more := runs.num_rows - best.num_rows) > 0:
            console.print(f"and {more:,} more", style="dim")
    if best.num_rows:
        for note in notes(sweep, measure):
            console.print(note, soft_wrap=True)
    words = {
        "runs": f"{runs.num_rows:,}: " + ", ".join(counted) if counted else "0",
        "record": str(sweep.folder),
    }
    if (kept := sweep.kept) is not None:
        words["model"] = str(kept)
    words["next"] = f"gradus compare {sweep.folder}"
    for name, said in words.items():
        console.print(f"{name:8} {said}", soft_wrap=True)


def _best(runs: pa.Table, measure: str) -> pa.Table:
    """The best of the runs that finished, by their measure."""
    kept = runs.filter(pa.array(complete(runs, measure) & (statuses(runs) == FINISHED)))
    return kept.sort_by([(measure, "descending" if rises(measure) else "ascending")]).slice(
        0, SHOWN
    )


def _table(runs: pa.Table, options: Sequence[str], measure: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    measures = list(dict.fromkeys((measure, accuracy_of(runs, measure))))
    names = [*options, *measures]
    for name in names:
        table.add_column(flag(name)[2:].replace("-", " "), justify="right", no_wrap=True)
    for row in runs.select(names).to_pylist():
        cells = [cell(name, row[name]) for name in options]
        table.add_row(*cells, *(figure_of(name, row[name]) for name in measures))
    return table
