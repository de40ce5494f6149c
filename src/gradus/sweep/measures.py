"""The statuses of runs, and the figures that they are compared by."""

from __future__ import annotations

import difflib
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gradus.errors import InputError

FINISHED, PRUNED, STOPPED, DIVERGED = STATUSES = ("finished", "pruned", "stopped", "diverged")

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
)
"""The figures of a run that configurations are compared by."""

Codes = NDArray[np.int64]
Numbers = NDArray[np.float64]


def check_measure(runs: pa.Table, measure: str) -> None:
    """Refuse a measure that no run has.

    Raises:
        InputError: it is unknown, or missing in every run.
    """
    if measure not in MEASURES:
        near = difflib.get_close_matches(measure, MEASURES, n=1)
        meant = f" (did you mean {near[0]}?)" if near else ""
        raise InputError(f"measure {measure}: choose {' | '.join(MEASURES)}{meant}")
    found = measured(runs)
    if measure not in found and not (measure == "test_loss" and not found):
        raise InputError(f"measure {measure}: no run of this sweep has one; choose "
                         f"{' | '.join(found) or 'another'}")  # fmt: skip


def rises(measure: str) -> bool:
    """Whether more of it is better.

    Example:
        >>> rises("test_accuracy"), rises("test_loss")
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
    return np.asarray(runs["status"].to_pylist(), dtype=np.str_)


def epochs_trained(runs: pa.Table) -> Codes:
    """``[runs]``: how many epochs each was trained; 0 where that is missing."""
    return np.asarray(np.nan_to_num(numbers(runs, "epochs_trained")), np.int64)


def measured(runs: pa.Table) -> list[str]:
    """The measures that at least one run has."""
    return [name for name in MEASURES if np.isfinite(numbers(runs, name)).any()]


def floats(values: Numbers) -> Any:
    """NaN is written as a missing value."""
    return pa.array(values, pa.float64(), mask=np.isnan(values))
