"""Whether the losses of several runs have one unit: only then they can be ranked by them.

Runs that minimise different losses, or learn their target at another scale, have losses that are
numbers of different things. Accuracy, log loss and F1 of classes, RMSE, MAE and R² of numbers are
the same thing in all of them, in the target's unit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

OF_CLASSES, OF_NUMBERS = "log-loss, accuracy or f1", "rmse, mae or r2"
"""Measures that are the same thing whatever a run minimises."""

UNKNOWN = f"{OF_CLASSES} (classes); {OF_NUMBERS} (numbers)"

UNITS: Mapping[str, str] = {
    "loss": UNKNOWN,
    "label_smoothing": OF_CLASSES,
    "class_weight": OF_CLASSES,
    "standardize_target": OF_NUMBERS,
    "delta": OF_NUMBERS,
    "quantile": OF_NUMBERS,
    "weights": UNKNOWN,
}
"""Options that decide what a loss is a number of, and what to compare by where they vary."""

SAME = {"nll": "cross-entropy"}
"""Losses that are the same number of the same outputs."""


def is_loss(measure: str) -> bool:
    """Whether a measure is the loss that a run minimises, on any part.

    Example:
        >>> [is_loss(each) for each in ("validation-loss", "best_test_loss", "test-log-loss")]
        [True, True, False]
    """
    named = measure.replace("_", "-")
    return named.endswith("-loss") and not named.endswith("-log-loss")


def measures_beside(option: str, values: Iterable[Any]) -> str:
    """Which measures are the same thing whatever value an option has, in words.

    Example:
        >>> measures_beside("loss", ["mse", "huber"]), measures_beside("class_weight", [])
        ('rmse, mae or r2', 'log-loss, accuracy or f1')
    """
    losses = set(values) - {None} if option == "loss" else set()
    if losses and losses <= {"mse", "l1", "huber", "pinball"}:
        return OF_NUMBERS
    return OF_CLASSES if losses and losses <= {"cross-entropy", "nll"} else UNITS[option]


def of_several_units(values: Mapping[str, Iterable[Any]]) -> str | None:
    """The first option of which the losses have several units; None where they have one.

    Args:
        values: those that each option takes; what is not known is None, and may be any, but for
            ``weights``, where it says that all examples count alike.

    Example:
        >>> of_several_units({"loss": ["cross-entropy", "nll"], "lr": [0.1, 1.0]})
        >>> of_several_units({"loss": ["mse", "l1"]})
        'loss'
        >>> of_several_units({"loss": [None, "mse"], "weights": [None, "area"]})
        'weights'
    """
    for option in UNITS:
        known = {SAME.get(str(value), str(value)) for value in values.get(option, ())
                 if value is not None or option == "weights"}  # fmt: skip
        if len(known) > 1:
            return option
    return None
