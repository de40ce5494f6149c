"""A sweep as one page: everything in one file of HTML, which needs no network."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gradus.engine.selection import rises
from gradus.figures import style
from gradus.figures.choice_notes import interval_note, notes
from gradus.figures.document import drawn, filled, table
from gradus.figures.sweep_figures import pictures
from gradus.figures.thinning import Curves, curves_of
from gradus.runs.curve import Against
from gradus.sweep.compare import evenly, ranking
from gradus.sweep.groups import Compared, Grouped, cell, varied
from gradus.sweep.measures import accuracy_of, check_measure, measure_of, measured
from gradus.sweep.store import listed
from gradus.sweep.toml_file import to_toml

if TYPE_CHECKING:
    from gradus.sweep.sweep import Sweep

POINTS = 70_000
"""About so many points of all curves stand in a page."""

FEWEST, MOST = 16, 500
"""Points of one curve, at least and at most."""

FIGURES = (
    "train_loss", "validation_loss", "validation_accuracy", "test_loss", "test_accuracy",
)  # fmt: skip
"""Of every run, in the table of runs, where it has them."""

RANKED = 200
"""Configurations in the ranking; the table of runs has all."""


def page(
    sweep: Sweep,
    *,
    by: str | None = None,
    facet: str | None = None,
    measure: str | None = None,
    against: Against = "samples",
) -> str:
    """The ranking, the figures, all runs of a sweep and their curves, as one HTML document.

    Curves with many points are thinned so that the extremes of every stretch, and so of the whole
    curve, stay what they are, to the bit; of very many runs, some have a curve.

    Args:
        sweep: what is shown.
        by: as in ``gradus.figures.sweep_figures.pictures``.
        facet: as there.
        measure: as there.
        against: as there; the curves that can be pointed at are against samples.

    Raises:
        InputError: an option does not vary in this sweep, or no run has the measure.

    Example:
        >>> import tempfile, gradus
        >>> from gradus.figures.page import page
        >>> folder = tempfile.TemporaryDirectory()
        >>> spec = gradus.SweepSpec(base={"model": "linear", "epochs": 1}, vary={"lr": "1,0.1"})
        >>> content = page(gradus.train_sweep(spec, name="rates", out=folder.name))
        >>> content.startswith("<!doctype html>"), "<script src" in content
        (True, False)
        >>> folder.cleanup()
    """
    measure = measure_of(sweep.runs) if measure is None else measure
    check_measure(sweep.runs, measure)
    curves = curves_of(sweep.history)
    chosen = evenly(sweep.runs, measure, POINTS // FEWEST)
    some = curves if len(chosen) == sweep.runs.num_rows else curves.among(chosen)
    thinned = some.thinned(max(FEWEST, min(MOST, POINTS // max(1, len(some.runs)))))
    counts = {name: int(count[0]) for name, count in Grouped(sweep.runs, ()).counts.items()}
    parts = {
        "title": escape(sweep.name),
        "counts": escape(style.counted(counts)),
        "ranking_note": "<br>".join(map(escape, _ranking_notes(sweep, measure))),
        "ranking": ranking_table(sweep, measure),
        "figures": drawn(pictures(sweep, by, facet, measure, against)),
        "thinned": _thinned(curves, thinned, sweep.runs.num_rows),
        "specification_name": "sweep.toml",
        "specification": escape(to_toml(sweep.spec)),
        "data": json.dumps(_data(sweep, thinned, measure)).replace("<", "\\u003c"),
    }
    return filled("page.html", parts)


def ranking_table(sweep: Compared, measure: str, most: int = RANKED) -> str:
    """The configurations of a sweep as a table, the best first.

    Args:
        sweep: what is shown.
        measure: what is compared.
        most: rows, at most; how many more there are is said below.
    """
    options = varied(sweep.runs)
    ranked = ranking(sweep, measure)
    measures = list(dict.fromkeys((measure, accuracy_of(sweep.runs, measure))))
    rows = []
    for row in ranked.slice(0, most).to_pylist():
        cells = ["–" if row["rank"] is None else str(row["rank"])]
        cells += [cell(name, row[name]) for name in options]
        cells += [_figure(name, row, name) for name in measures]
        cells += [_figure(measure, row, "difference"), str(row["runs"])]
        untold = "not told from the best" if row["may_be_best"] and row["difference"] else ""
        rows.append((*cells, ", ".join(filter(None, (untold, style.lost(style.counts_of(row)))))))
    head = ["", *map(style.word, (*options, *measures)), "to the best", "runs", ""]
    more = ranked.num_rows - len(rows)
    note = f"<p class='note'>and {more:,} that rank lower</p>" if more > 0 else ""
    return table(head, rows) + note


def _ranking_notes(sweep: Sweep, measure: str) -> list[str]:
    """What was chosen on what, and what the figures of the ranking mean."""
    rows = ranking(sweep, measure).to_pylist()
    told = f"by {style.word(measure)}, over complete runs; {interval_note(rows, measure)}"
    return [*notes(sweep, measure), told]


def _figure(measure: str, row: Mapping[str, Any], name: str) -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return style.figure_of(measure, row[name], None if low is None else (high - low) / 2)


def _thinned(curves: Curves, thinned: Curves, runs: int) -> str:
    kept, all_points = len(thinned.loss), len(curves.loss)
    if len(thinned.runs) < len(curves.runs):
        return (
            f"The curves of {len(thinned.runs):,} of {runs:,} runs, evenly by rank; "
            f"{kept:,} of {all_points:,} recorded losses: of every stretch the first, the lowest "
            "and the highest, exactly as recorded."
        )
    if kept == all_points:
        return f"All {all_points:,} recorded losses."
    return (
        f"{kept:,} of {all_points:,} recorded losses: of every stretch the first, the lowest and "
        "the highest, exactly as recorded."
    )


def _data(sweep: Sweep, curves: Curves, measure: str) -> dict[str, Any]:
    """What the script reads: columns with a value a run, and the curves in the order of runs."""
    known = measured(sweep.runs)
    figures = ["epochs_trained", *(name for name in FIGURES if name in known)]
    columns = ["status", *varied(sweep.runs), "seed", *figures, "engine", "run"]
    if measure not in columns:
        columns.insert(1, measure)
    ordered = curves.among(runs := listed(sweep.runs, "run"))
    lengths = [len(curves[run][1]) for run in runs]
    reference = float(np.median(curves.loss[curves.starts])) if curves.runs else math.nan
    return {
        "columns": [name.replace("_", " ") for name in columns],
        "runs": len(runs),
        "values": [_column(sweep.runs[name]) for name in columns],
        "status": columns.index("status"),
        "sorted": columns.index(measure),
        "rises": rises(measure),
        "starts": np.concatenate([[0], np.cumsum(lengths)]).astype(int).tolist(),
        "samples": _packed(ordered.x),
        "loss": _packed(ordered.loss),
        "ceiling": style.ceiling(ordered.loss, reference),
    }


def _column(column: Any) -> Any:
    """The values of runs: numbers packed, NaN where one is missing; others once each, and which.

    Where each run has another, there is no which: they stand in the order of runs.
    """
    if pa.types.is_floating(column.type):
        return _packed(np.asarray(column.fill_null(math.nan).to_numpy()))
    encoded = column.combine_chunks().dictionary_encode(null_encoding="encode")
    found = {"of": encoded.dictionary.to_pylist()}
    if len(found["of"]) < len(column):
        found["which"] = _packed(encoded.indices.to_numpy(), "<i4")
    return found


def _packed(values: NDArray[Any], kind: str = "<f8") -> str:
    return base64.b64encode(values.astype(kind).tobytes()).decode()
