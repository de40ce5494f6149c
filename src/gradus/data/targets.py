"""What the targets are, classes or numbers: it follows from their values and from the loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gradus.data.dataset import Task
from gradus.errors import InputError, brief

CLASS_LOSSES = ("cross-entropy", "nll", "kl-div")
NUMBER_LOSSES = ("mse", "l1", "huber", "pinball")

MOST_CLASSES = 20
"""Integers with more distinct values than this are numbers, unless the loss says otherwise."""

_SUM_TOLERANCE = 1e-3  # a row of probabilities that was stored in half precision


@dataclass(frozen=True, eq=False)
class Targets:
    """Targets as a Dataset takes them.

    Args:
        y: int64 ``[N]``, or float64 ``[N, m]``.
        classes: their names, None for numbers.
        labels: int64 ``[N]`` where every example has one class, else None.
    """

    y: Tensor
    classes: tuple[str, ...] | None
    labels: Tensor | None

    @property
    def task(self) -> Task:
        """Whether the targets are classes or numbers."""
        return "regression" if self.classes is None else "classification"


def check_loss(loss: str | None) -> None:
    """Refuse a loss that is not known.

    Raises:
        InputError: the loss is unknown.
    """
    if loss is not None and loss not in CLASS_LOSSES + NUMBER_LOSSES:
        known = " | ".join(CLASS_LOSSES + NUMBER_LOSSES)
        raise InputError(f"--loss {loss}: unknown; choose {known}")


def class_targets(labels: Tensor, classes: tuple[str, ...], loss: str | None, what: str) -> Targets:
    """Targets out of class indices; for ``kl-div`` one row of probabilities (0 or 1) per example.

    Args:
        labels: int64 ``[N]``.
        classes: names of the classes.
        loss: name of the loss, or None.
        what: whose targets these are, for the message: "digits", "column 'species'".

    Raises:
        InputError: the loss is for numbers.

    Example:
        >>> class_targets(torch.tensor([1, 0]), ("no", "yes"), "kl-div", "column 'a'").y.tolist()
        [[0.0, 1.0], [1.0, 0.0]]
    """
    if loss in NUMBER_LOSSES:
        raise InputError(
            f"--loss {loss}: is for numbers, {what} holds classes ({_some(classes)}); "
            f"choose --loss {' | '.join(CLASS_LOSSES)}"
        )
    y = labels
    if loss == "kl-div":
        y = torch.nn.functional.one_hot(labels, len(classes)).double()
    return Targets(y, classes, labels)


def column_targets(values: NDArray[Any], loss: str | None, what: str) -> Targets:
    """Targets out of one value per example.

    Text and booleans are classes, real numbers are numbers. Integers (in a floating column too)
    are what the loss needs; without a loss, classes if at most 20 values differ.

    Args:
        values: ``[N]``: text, bool or numbers, none of them missing.
        loss: name of the loss, or None.
        what: whose targets these are, for the message: "column 'species'".

    Raises:
        InputError: the loss is for the other kind of target; or all targets are one class.

    Example:
        >>> column_targets(np.array([3, 5, 3]), None, "column 'a'").classes
        ('3', '5')
        >>> column_targets(np.array([3, 5, 3]), "mse", "column 'a'").y.tolist()
        [[3.0], [5.0], [3.0]]
    """
    if values.dtype.kind in "iuf":
        integral = values.dtype.kind in "iu" or bool((values == np.round(values)).all())
        if not integral and loss in CLASS_LOSSES:
            example = values[values != np.round(values)][0]
            raise InputError(
                f"--loss {loss}: is for classes, {what} holds real numbers (such as {example:g}); "
                f"choose --loss {' | '.join(NUMBER_LOSSES)}"
            )
        few = loss is None and integral and len(np.unique(values)) <= MOST_CLASSES
        if not (few or loss in CLASS_LOSSES):
            return Targets(torch.from_numpy(values.astype(np.float64))[:, None], None, None)
    distinct, labels = np.unique(values, return_inverse=True)
    classes = tuple(label(value) for value in distinct)
    if len(classes) == 1:
        raise InputError(
            f"{what} holds one class only ({brief(classes[0])}): at least two are needed"
        )
    return class_targets(torch.from_numpy(labels.astype(np.int64)), classes, loss, what)


def row_targets(values: NDArray[np.float64], loss: str | None, what: str) -> Targets:
    """Targets out of m >= 2 numbers per example: to predict, or probabilities of m classes.

    Args:
        values: ``[N, m]``, none of them missing.
        loss: ``cross-entropy`` and ``kl-div`` take the rows as probabilities of the classes 0..m-1;
            every other as numbers.
        what: whose targets these are, for the message: "y".

    Raises:
        InputError: rows that are to be probabilities are negative or do not sum to one; the loss
            is ``nll``, which takes class indices only.
    """
    y = torch.from_numpy(values.astype(np.float64))
    if loss not in CLASS_LOSSES:
        return Targets(y, None, None)
    if loss == "nll":
        raise InputError(
            f"--loss nll: takes class indices, {what} has {values.shape[1]} numbers per example; "
            "choose --loss cross-entropy | kl-div (probabilities) or "
            f"{' | '.join(NUMBER_LOSSES)} (numbers)"
        )
    wrong = (values < 0).any(axis=1) | (np.abs(values.sum(axis=1) - 1) > _SUM_TOLERANCE)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        fault = "has a negative value" if (values[row] < 0).any() else f"sums to {y[row].sum():g}"
        raise InputError(
            f"--loss {loss}: takes class probabilities, {what}[{row}] {fault}; rows must be "
            f"non-negative and sum to 1 (or choose --loss {' | '.join(NUMBER_LOSSES)})"
        )
    return Targets(y, tuple(str(index) for index in range(values.shape[1])), None)


def label(value: Any) -> str:
    """Name of a class or category, as a user would write it: ``3`` for 3.0, ``true`` for True.

    Example:
        >>> label(3.0), label(True), label("red")
        ('3', 'true', 'red')
    """
    if isinstance(value, bool | np.bool_):
        return str(value).lower()
    if isinstance(value, float | np.floating):
        return f"{value:.15g}"
    return str(value)


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(map(brief, names[:3])) + (", .." if len(names) > 3 else "")
