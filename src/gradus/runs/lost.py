"""What came of a run that did not end well, in one line and the words of a call."""

from __future__ import annotations

from gradus.errors import InputError
from gradus.runs.record import Run
from gradus.runs.train import Tell, as_warning
from gradus.runs.words import as_call


def what_came_of(run: Run) -> str | None:
    """How a run was lost or stopped, and what would help; nothing of one that ended well."""
    summary = run.summary
    if (found := summary["divergence"]) is not None:
        at = f"diverged at step {found['step']:,} with loss {found['loss']}"
        return f"{at}: {as_call(found['hint'])}"
    if (found := summary["failure"]) is not None:
        return f"ended with training loss {found['train_loss']:.4g}: {as_call(found['hint'])}"
    return None if summary["stopped"] is None else f"stopped at {summary['stopped']}"


def is_on_sparse(run: Run) -> bool:
    """Whether its inputs are sparse, which the doctor does not examine."""
    try:
        return run.preparation.kind == "sparse"
    except InputError:  # of datasets and loaders nothing is prepared
        return False


def told_of_its_end(run: Run, tell: Tell) -> Run:
    """The run, after a word where it is lost: it is returned as any other.

    Where nobody else is told, that is logged as a warning.
    """
    if run.status in ("diverged", "failed"):
        asked = "" if is_on_sparse(run) else "; gradus.diagnose(run) says why"
        said = f"{run.title}: {what_came_of(run)}{asked}"
        as_warning(tell)(said)
    return run
