"""What the page of a run says of a loop that is not Gradus's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape

from gradus.figures.document import drawn, table
from gradus.figures.run.pictures import pictures
from gradus.figures.style import figure_of, word
from gradus.runs.curve import Against
from gradus.runs.recorded import RecordedRun

COUNTS = ("epoch", "samples", "work", "seconds")
"""Of an evaluation, what is no figure."""


def parts_of_loop(run: RecordedRun, against: Against) -> dict[str, str]:
    """The parts of the page, by their names in its template."""
    loop, lost = run.summary["loop"], lost_of(run)
    return {
        "title": escape(run.title),
        "description": escape(f"a loop of its own, {loop['model']['class']}"),
        "lost": "" if lost is None else f'<p class="lost">{escape(lost)}</p>',
        "verdicts": "",
        "figures": table(["", "last", "best"], list(figures_of(run))),
        "figures_note": "As the loop gave them, after its last epoch and after its best.",
        "course": table(["", ""], list(course_of(run))),
        "pictures": drawn(pictures(run, against)),
        "columns": "",
        "specification_name": "what it was",
        "specification": escape(json.dumps(loop, indent=1, ensure_ascii=False)),
    }


def figures_of(run: RecordedRun) -> Iterator[tuple[str, str, str]]:
    """The figures of the last epoch, and of the best by each."""
    for name in run.evaluation.column_names:
        values = [value for value in run.evaluation[name].to_pylist() if value is not None]
        if name in COUNTS or not values:
            continue
        # Of a figure of the user's own it is not known which way it is better.
        better = min if name.endswith("loss") else max if name.endswith("accuracy") else None
        best = "" if better is None else figure_of(name, better(values))
        yield word(name), figure_of(name, values[-1]), best


def course_of(run: RecordedRun) -> Iterator[tuple[str, str]]:
    """What happened, in words."""
    summary, loop = run.summary, run.summary["loop"]
    yield "status", run.status
    if run.evaluation.num_rows:
        yield "epochs", f"{run.evaluation['epoch'][-1].as_py():,}"
    yield "steps", f"{summary['steps']:,} in {summary['timings']['train_seconds']:.1f} s"
    yield "samples", f"{summary['samples']:,}"
    yield "parameters", f"{summary['parameters']:,}"
    if loop["optimizer"] is not None:
        yield "optimizer", loop["optimizer"]["class"]
    for name, value in loop["config"].items():
        yield name, str(value)


def lost_of(run: RecordedRun) -> str | None:
    """Why a loop did not end as it should; None where it did."""
    if (error := run.summary["error"]) is not None:
        return f"{run.status} by {error['kind']}: {error['message']}"
    if (found := run.summary["divergence"]) is not None:
        return f"diverged at step {found['step']:,} (epoch {found['epoch']}): {found['hint']}"
    return None
