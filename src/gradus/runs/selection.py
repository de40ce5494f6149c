"""What is chosen in a run, by which figure on which part; and what is said of what was chosen."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gradus.engine.selection import ON_TEST, Keep, Scores, Selection
from gradus.errors import InputError, brief
from gradus.metrics.measures import OF_CLASSES, OF_NUMBERS
from gradus.metrics.uncertainty import standard_error, wilson_interval
from gradus.runs.judging import labels_of, score_of
from gradus.runs.record_tables import figures_after

if TYPE_CHECKING:
    from gradus.data.dataset import Split
    from gradus.engine.job import Evaluation, Job, Outcome, Tested
    from gradus.metrics.own import Metric
    from gradus.runs.spec import RunSpec


def column_of(measure: str) -> str:
    """The column of a measure: ``validation_loss`` of ``validation-loss``."""
    return measure.replace("-", "_")


def figure_of(measure: str) -> str:
    """What a measure takes on its part: ``log_loss`` of ``test-log-loss``."""
    return column_of(measure.partition("-")[2])


def is_scored(measure: str) -> bool:
    """Whether a measure is a figure of its own: neither a loss nor an accuracy.

    Example:
        >>> [is_scored(each) for each in ("test-loss", "validation-f1", "test-log-loss")]
        [False, True, True]
    """
    return figure_of(measure) in (*OF_CLASSES, *OF_NUMBERS)


def selection_of(
    spec: RunSpec, split: Split, own: Mapping[str, Metric], scores: Scores
) -> Selection:
    """What a run chooses on these data, which may be by one of the user's own metrics.

    What is among the ``scores`` that are taken anyhow is taken once.

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
            f"0.15, or --measure {measure.replace('validation', 'test')}"
        )
    if measure is not None:
        _check_measure(measure, split)
    if measure is None and held:
        measure = "validation-loss"
    given = f"--patience {spec.patience}" if spec.patience is not None else f"--keep {spec.keep}"
    if measure is None and (spec.patience is not None or spec.keep == "best"):
        raise InputError(
            f"{given}: no examples are held for validation, to compare epochs on; give "
            "--validation-fraction 0.15, or name what else to compare by, as --measure train-loss"
        )
    keep: Keep = spec.keep or ("best" if held else "last")
    if measure is None:
        return Selection(None, keep, spec.patience)
    if (metric := own.get(figure_of(measure))) is not None:
        if metric.rises is None:
            raise InputError(
                f"--measure {measure}: whether more of {metric.name} is better is not said; give "
                f"gradus.metrics.Metric({metric.name}, rises=True), or False"
            )
        score = scores[metric.name]
        return Selection(column_of(measure), keep, spec.patience, score, metric.rises)
    scored = None
    if is_scored(measure):
        scored = scores.get(figure_of(measure)) or score_of(spec, split, figure_of(measure))
    return Selection(column_of(measure), keep, spec.patience, scored)


def _check_measure(measure: str, split: Split) -> None:
    """Refuse a measure that the targets do not have.

    Raises:
        InputError: it is of classes and they are numbers, or the other way round; or their values
            on its part leave it without a value.
    """
    name, _, figure = measure.partition("-")
    part = {"train": split.train, "validation": split.validation, "test": split.test}[name]
    assert part is not None
    of_classes = figure == "accuracy" or column_of(figure) in OF_CLASSES
    if of_classes and part.classes is None:
        other = "rmse" if figure == "log-loss" else "r2"
        raise InputError(
            f"--measure {measure}: the targets are numbers, of which there is no {figure}; give "
            f"--measure {name}-{other}"
        )
    if figure in OF_NUMBERS and part.classes is not None:
        raise InputError(
            f"--measure {measure}: the targets are classes, of which there is no {figure}; give "
            f"--measure {name}-f1"
        )
    if figure == "auc" and part.classes is not None:
        present = set(labels_of(part.y).unique().tolist())
        lacking = [each for k, each in enumerate(part.classes) if k not in present]
        if lacking:
            raise InputError(
                f"--measure {measure}: the {name} part has no example of class "
                f"{brief(lacking[0])}, to be told from the rest; give --measure {name}-f1, or "
                f"hold more examples"
            )
    if figure == "r2" and bool((part.y == part.y[0]).all(dim=0).any()):
        raise InputError(
            f"--measure {measure}: the targets of the {name} part are all the same, with no "
            f"variance to explain; give --measure {name}-rmse"
        )


def figures(job: Job, outcome: Outcome) -> dict[str, Any]:
    """The last figures of a run, which epoch they are of, and how far its test figures carry."""
    rows = outcome.evaluation
    kept = next((row for row in rows if row.epoch == outcome.kept_epoch), None)
    row = kept or (rows[-1] if rows else None)
    return {
        "final": row and figures_after(outcome.averaged or row, job.selection),
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
        "best": None if best is None else selection.value(best),
        "last": None if measure is None else selection.value(rows[-1]),
        "note": note(selection),
    }


def note(selection: Selection) -> str | None:
    """What is to be said where a choice was made on the test part, because it was asked for."""
    chooses = selection.keep == "best" or selection.patience is not None
    if not chooses or not (selection.measure or "").startswith("test"):
        return None
    return ON_TEST


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
