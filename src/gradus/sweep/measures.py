"""The statuses of runs, and the figures that they are compared by."""

from __future__ import annotations

import difflib
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gradus.engine.selection import rises
from gradus.errors import InputError
from gradus.runs.choices import flag
from gradus.runs.parts.training import full_measure
from gradus.sweep.result import SCORED
from gradus.sweep.units import UNITS, is_loss, measures_beside, of_several_units

FINISHED, FAILED, PRUNED, STOPPED, DIVERGED = STATUSES = (
    "finished",
    "failed",
    "pruned",
    "stopped",
    "diverged",
)

COMPLETE = (FINISHED, FAILED)
"""Statuses of runs that were trained to their end, and whose figures are compared."""

MEASURES = (
    "validation_loss",
    "validation_accuracy",
    "test_loss",
    "test_accuracy",
    "train_loss",
    "running_train_loss",
    "best_validation_loss",
    "best_validation_accuracy",
    "best_test_loss",
    "best_test_accuracy",
    *SCORED,
    *(f"best_{each}" for each in SCORED),
)
"""The figures of a run that configurations are compared by."""

Codes = NDArray[np.int64]
Numbers = NDArray[np.float64]


def measure_of(runs: pa.Table) -> str:
    """The measure that the runs of a sweep were asked to be compared by.

    Example:
        >>> import pyarrow as pa
        >>> measure_of(pa.table({"measure": ["validation-loss"]})), measure_of(pa.table({}))
        ('validation_loss', 'test_loss')
    """
    asked = pc.unique(runs["measure"]).to_pylist() if "measure" in runs.column_names else []
    known = next((measure for measure in asked if measure is not None), "test-loss")
    return str(known).replace("-", "_")


def named(measure: str) -> str:
    """The column of a measure as the user writes it.

    Example:
        >>> named("test-accuracy"), named("f1"), named("best_test_loss")
        ('test_accuracy', 'validation_f1', 'best_test_loss')
    """
    return str(full_measure(measure.replace("_", "-"))).replace("-", "_")


def accuracy_of(runs: pa.Table, measure: str) -> str:
    """The accuracy on the part of a measure, where runs have one; else the measure itself.

    Example:
        >>> import pyarrow as pa
        >>> accuracy_of(pa.table({"test_accuracy": [0.9]}), "test_loss")
        'test_accuracy'
    """
    named = measure.replace("_loss", "_accuracy")
    return named if named in measured(runs) else measure


def check_measure(runs: pa.Table, measure: str) -> None:
    """Refuse a measure that no run has.

    Raises:
        InputError: it is unknown, or missing in every run; or it is a loss, and not the same thing
            in all.
    """
    found = measured(runs)
    if measure in MEASURES and is_loss(measure) and (mixed := _mixed(runs)) is not None:
        beside = measures_beside(mixed, pc.unique(runs[mixed]).to_pylist())
        there = f"take {' | '.join(found)}" if found else f"train them with --measure {beside}"
        raise InputError(
            f"measure {measure}: {flag(mixed)} varies, and losses of different units cannot be "
            f"ranked: {there}"
        )
    if measure not in MEASURES:
        known = found or MEASURES
        near = difflib.get_close_matches(measure, known, n=1)
        meant = f" (did you mean {near[0]}?)" if near else ""
        raise InputError(f"measure {measure}: choose {' | '.join(known)}{meant}")
    if _known(runs) and measure not in found:
        there = " | ".join(found)
        way = f"choose {there}" if found else f"train with --measure {measure.replace('_', '-')}"
        raise InputError(f"measure {measure}: none of these runs has one; {way}")


def in_percent(measure: str) -> bool:
    """Whether it is shown in percent: accuracies are.

    Example:
        >>> in_percent("test_accuracy"), in_percent("test_f1")
        (True, False)
    """
    return measure.endswith("accuracy")


def sign(measure: str) -> float:
    """What a measure is multiplied with so that less of it is better.

    Example:
        >>> sign("test_accuracy")
        -1.0
    """
    return -1.0 if rises(measure) else 1.0


def numbers(runs: pa.Table, name: str) -> Numbers:
    """A column as float64, NaN where it is missing.

    Example:
        >>> import pyarrow as pa
        >>> numbers(pa.table({"test_loss": [0.5, None]}), "test_loss").tolist()
        [0.5, nan]
    """
    if name not in runs.column_names:
        return np.full(runs.num_rows, np.nan)
    column: Any = runs[name].cast(pa.float64()).combine_chunks()
    return np.asarray(pc.fill_null(column, float("nan")).to_numpy(zero_copy_only=False))


def statuses(runs: pa.Table) -> NDArray[np.str_]:
    """``[runs]``: the status of each.

    Example:
        >>> import pyarrow as pa
        >>> statuses(pa.table({"status": ["finished", "diverged"]})) == "diverged"
        array([False,  True])
    """
    encoded: Any = runs["status"].dictionary_encode().combine_chunks()
    names = np.asarray(encoded.dictionary.to_pylist(), dtype=np.str_)
    return np.asarray(names[encoded.indices.to_numpy()])


def complete(runs: pa.Table, measure: str) -> NDArray[np.bool_]:
    """``[runs]``: whether a run was trained to its end, and has a finite measure.

    Example:
        >>> import pyarrow as pa
        >>> complete(pa.table({"status": ["finished", "diverged"], "test_loss": [0.5, 0.1]}),
        ...          "test_loss")
        array([ True, False])
    """
    return np.isin(statuses(runs), COMPLETE) & np.isfinite(numbers(runs, measure))


def epochs_trained(runs: pa.Table) -> Codes:
    """``[runs]``: how many epochs each was trained; 0 where that is missing."""
    return np.asarray(np.nan_to_num(numbers(runs, "epochs_trained")), np.int64)


def measured(runs: pa.Table) -> list[str]:
    """The measures that at least one run has; losses only where they are the same thing in all."""
    there = _known(runs)
    return there if _mixed(runs) is None else [name for name in there if not is_loss(name)]


def _known(runs: pa.Table) -> list[str]:
    """The measures that at least one run has, whatever they are the measures of."""
    return [name for name in MEASURES if np.isfinite(numbers(runs, name)).any()]


def _mixed(runs: pa.Table) -> str | None:
    """The option of which the losses of runs have several units."""
    there = [name for name in UNITS if name in runs.column_names]
    return of_several_units({name: pc.unique(runs[name]).to_pylist() for name in there})


def floats(values: Numbers) -> Any:
    """NaN is written as a missing value."""
    return pa.array(values, pa.float64(), mask=np.isnan(values))
