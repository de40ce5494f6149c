"""What is chosen in a run, by which figure on which part; and what is said of what was chosen."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast

from gradus.engine.selection import Keep, Measure, Selection
from gradus.errors import InputError
from gradus.metrics import standard_error, wilson_interval

if TYPE_CHECKING:
    from gradus.data.dataset import Split
    from gradus.engine.job import Evaluation, Job, Outcome, Tested
    from gradus.runs.spec import RunSpec


def column_of(measure: str) -> Measure:
    """The column of a measure: ``validation_loss`` of ``validation-loss``."""
    return cast(Measure, measure.replace("-", "_"))


def selection_of(spec: RunSpec, split: Split) -> Selection:
    """What a run chooses on these data.

    Where there is a validation part, the parameters of the epoch with the least validation loss
    remain, unless the spec says otherwise; where there is none, those of the last epoch.

    Raises:
        InputError: something is to be chosen and there is nothing to choose by, or the measure is
            none of these data.
    """
    held = split.validation is not None
    measure = spec.measure
    if measure is not None and measure.startswith("validation") and not held:
        raise InputError(
            f"--measure {measure}: no examples are held for validation; give --validation-fraction "
            "0.15, or --measure test-loss"
        )
    if measure is not None and measure.endswith("accuracy") and split.train.classes is None:
        part = measure.partition("-")[0]
        raise InputError(
            f"--measure {measure}: the targets are numbers, of which there is no accuracy; give "
            f"--measure {part}-loss"
        )
    if measure is None and held:
        measure = "validation-loss"
    given = f"--patience {spec.patience}" if spec.patience is not None else f"--keep {spec.keep}"
    if measure is None and (spec.patience is not None or spec.keep == "best"):
        raise InputError(
            f"{given}: no examples are held for validation, to compare epochs on; give "
            "--validation-fraction 0.15, or name what else to compare by, as --measure train-loss"
        )
    usual: Keep = "best" if held else "last"
    column = None if measure is None else column_of(measure)
    return Selection(column, spec.keep or usual, spec.patience)


def figures(job: Job, outcome: Outcome) -> dict[str, Any]:
    """The last figures of a run, which epoch they are of, and how far its test figures carry."""
    rows = outcome.evaluation
    kept = next((row for row in rows if row.epoch == outcome.kept_epoch), None)
    row = kept or (rows[-1] if rows else None)
    return {
        "final": row and row._asdict(),
        "kept": kept and _kept(job.selection, kept, rows),
        "test": outcome.tested and tested(outcome.tested),
    }


def _kept(selection: Selection, kept: Evaluation, rows: list[Evaluation]) -> dict[str, Any]:
    measure = selection.measure
    best = selection.best(rows)
    return {
        "which": selection.keep,
        "epoch": kept.epoch,
        "measure": measure,
        "best": None if measure is None or best is None else getattr(best, measure),
        "last": None if measure is None else getattr(rows[-1], measure),
        "note": note(selection),
    }


def note(selection: Selection) -> str | None:
    """What is to be said where a choice was made on the test part, because it was asked for."""
    chooses = selection.keep == "best" or selection.patience is not None
    if not chooses or not (selection.measure or "").startswith("test"):
        return None
    return "chosen on the test part, as asked for: expect worse figures on other examples"


def tested(found: Tested) -> dict[str, Any]:
    """The figures on the test part with their uncertainty.

    Of the loss that is its standard error over the examples; of the accuracy, Wilson's interval of
    95 %.
    """
    n = len(found.losses)
    error = standard_error(found.losses.numpy(), found.masses.numpy())
    interval = None
    if found.accuracy is not None:
        interval = list(wilson_interval(round(found.accuracy * n), n))
    return {
        "loss": found.loss,
        "standard_error": None if math.isnan(error) else error,
        "accuracy": found.accuracy,
        "interval": interval,
        "examples": n,
    }
