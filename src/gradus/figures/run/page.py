"""A run as one page: everything in one file of HTML, which needs no network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import TYPE_CHECKING, Any

import tomli_w

from gradus.figures.document import drawn, filled, table
from gradus.figures.run.loop_page import parts_of_loop
from gradus.figures.run.pictures import pictures
from gradus.figures.scores import measure_name, rows_of, threshold_line, verdicts, what_losses_are
from gradus.models.own import shown
from gradus.runs.curve import Against
from gradus.runs.recorded import RecordedRun

if TYPE_CHECKING:
    from gradus.runs.record import Run

MEANING = (
    "on the test part, for the parameters that were kept; constant: what the best constant "
    "prediction reaches on the same examples; no better: its interval of 95 % holds that, or it "
    "is worse"
)


def page(run: Run, *, against: Against = "samples") -> str:
    """The figures, the pictures and the specification of a run, as one HTML document.

    Args:
        run: trained just now, or opened from its record.
        against: what the loss curve is drawn against: samples, work or seconds of training.

    Raises:
        InputError: work was not counted yet when the run was recorded, or the record of what the
            model says is damaged.

    Example:
        >>> import gradus
        >>> from gradus.figures.run.page import page
        >>> content = page(gradus.train(gradus.RunSpec(model="linear", epochs=1)))
        >>> content.startswith("<!doctype html>"), "balanced accuracy" in content
        (True, True)
    """
    if isinstance(run, RecordedRun):
        return filled("run.html", parts_of_loop(run, against))
    summary = run.summary
    rows = rows_of(summary)
    data = summary["data"]
    return filled(
        "run.html",
        {
            "title": escape(f"{run.spec.title} on {shown(run.spec.data)}"),
            "description": escape(data["description"]),
            "lost": _paragraphs(_lost(summary), "lost"),
            "verdicts": _paragraphs(verdicts(summary), "lost"),
            "figures": table(
                ["", f"of {data['test']:,} examples", "95 % interval", "constant", ""], rows
            ),
            "figures_note": MEANING if rows else "Nothing was measured on a test part.",
            "course": table(["", ""], list(_course(run))),
            "pictures": drawn(pictures(run, against)),
            "columns": _columns(data),
            "specification_name": "run.toml",
            "specification": escape(tomli_w.dumps(_given(run))),
        },
    )


def _paragraphs(texts: Iterator[str] | list[str], kind: str) -> str:
    return "\n".join(f'<p class="{kind}">{escape(text)}</p>' for text in texts)


def _lost(summary: Mapping[str, Any]) -> Iterator[str]:
    """Why a run did not end as it should, and what to try."""
    if summary["divergence"] is not None:
        found = summary["divergence"]
        net = summary.get("history_of_net")
        which = "" if net is None else f"net {net} "
        yield f"{which}diverged at step {found['step']:,} (epoch {found['epoch']}): {found['hint']}"
    if summary["failure"] is not None:
        hint = summary["failure"]["hint"]
        yield f"failed: no better than it began, or than the best constant prediction; {hint}"
    if summary["stopped"] is not None:
        yield f"stopped: {summary['stopped']}"


def _course(run: Run) -> Iterator[tuple[str, str]]:
    """What happened, in words."""
    summary, kept = run.summary, run.summary["kept"]
    yield "status", run.status
    if run.evaluation.num_rows:
        trained = run.evaluation["epoch"][-1].as_py()
        yield "epochs", f"{trained:,} of {run.spec.epochs:,}"
    if kept is not None and kept["measure"] is not None:
        best, last = (_number(kept[name]) for name in ("best", "last"))
        told = f"{measure_name(kept['measure'])} {best}; after the last {last}"
        if epochs := summary.get("kept_epochs"):
            told = f"of {len(epochs)} nets the epochs {', '.join(map(str, epochs))}"
            yield "parameters kept", told
            yield "history", "of the first net, with evaluation and curve"
        else:
            yield "parameters kept", f"of epoch {kept['epoch']} ({told})"
    if decided := threshold_line(summary):
        yield "threshold", decided
    if losses := what_losses_are(run):
        yield "losses are", losses
    seconds = summary["timings"]["train_seconds"]
    yield "steps", f"{summary['steps']:,} in {seconds:.1f} s, {summary['engine']} engine"
    yield "parameters", f"{summary['parameters']:,}"
    parts = [f"{summary['data'][part]:,} {part}" for part in ("train", "test")]
    held = summary["data"].get("validation")
    if held:
        parts.insert(1, f"{held:,} validation")
    yield "examples", ", ".join(parts)
    if chosen := summary.get("auto"):
        said = (f"{name.replace('_', ' ')} {value}" for name, value in chosen.items())
        yield "followed from the data", ", ".join(said)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def _columns(data: Mapping[str, Any]) -> str:
    """What was done with each column of a table, and with its file and rows."""
    columns, notes = data.get("columns") or [], data.get("notes") or []
    if not columns and not notes:
        return ""
    head = ["column", "taken for", "missing", "done"]
    rows = [(c["column"], c["taken_for"], f"{c['missing']:,}", c["done"]) for c in columns]
    listed = f'<div class="scroll course">{table(head, rows)}</div>' if rows else ""
    return f"<h2>The table</h2>\n{_paragraphs(notes, 'note')}\n{listed}"


def _given(run: Run) -> dict[str, Any]:
    """The specification, as ``gradus train --spec`` reads it."""
    options = run.spec.model_dump(mode="json")
    return {name: value for name, value in options.items() if value is not None}
