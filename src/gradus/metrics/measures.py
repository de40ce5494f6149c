"""The figures that things are chosen by, as values alone: cheap enough for after every epoch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from gradus.metrics.classes import auc, log_losses
from gradus.metrics.decisions import Labels, balanced_accuracy, confusion_matrix, macro_f1
from gradus.metrics.figure import Linearised, Values
from gradus.metrics.numbers import mae, r2, rmse


def _decided(p: Values, labels: Labels) -> NDArray[np.int64]:
    return confusion_matrix(labels, p.argmax(axis=1), p.shape[1])


def _each(figure: Callable[[Values, Values], Linearised | None]) -> Callable[..., float]:
    """The mean over targets."""

    def mean(predictions: Values, targets: Values) -> float:
        found = map(figure, (predictions - targets).T, targets.T)
        return float(np.mean([_value(each) for each in found]))

    return mean


def _value(found: Linearised | None) -> float:
    return math.nan if found is None else found.value


OF_CLASSES: Mapping[str, Callable[[Values, Labels], float]] = {
    "balanced_accuracy": lambda p, y: balanced_accuracy(_decided(p, y)).value,
    "f1": lambda p, y: macro_f1(_decided(p, y)).value,
    "auc": lambda p, y: _value(auc(p, y)),
    "log_loss": lambda p, y: float(log_losses(p, y).mean()),
}
"""Of probabilities ``[n, C]`` and labels ``[n]``; NaN where they have none."""

OF_NUMBERS: Mapping[str, Callable[[Values, Values], float]] = {
    "r2": _each(r2),
    "rmse": _each(lambda errors, targets: rmse(errors)),
    "mae": _each(lambda errors, targets: mae(errors)),
}
"""Of predictions and targets ``[n, m]``, the mean over the m targets; NaN where they have none."""
