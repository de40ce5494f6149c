"""How the columns of the targets become y, and what the outputs of the model then are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from gradus.data.columns import Column, among
from gradus.data.preparation.fit import LARGEST, deviation
from gradus.data.preparation.goal import Classes, Goal, Quantities, Quantity
from gradus.data.preparation.names import in_order
from gradus.data.targets import (
    CLASS_LOSSES,
    NUMBER_LOSSES,
    Targets,
    class_targets,
    column_targets,
    label,
)
from gradus.errors import InputError, brief, quoted


def targets_of(columns: Sequence[Column], loss: str | None, where: str) -> Targets:
    """The targets of all rows, in the unit of their columns.

    Args:
        columns: of the targets, complete.
        loss: name of the loss, or None.
        where: the file, for the message.

    Raises:
        InputError: a column holds what cannot be predicted, or the loss is for another kind.
    """
    for column in columns:
        if column.form.kind in ("text", "date", "time"):
            what = "free text or identifiers" if column.form.kind == "text" else "dates or times"
            raise InputError(
                f"{where}: target column {brief(column.name)!r} holds {what}, which differ in "
                "nearly every row; numbers and names can be predicted: use another --target, or "
                f"make numbers of it{_if_names(column)}"
            )
    if len(columns) == 1:
        return _targets(columns[0], loss)
    if loss in CLASS_LOSSES:
        raise InputError(
            f"--loss {loss}: is for classes, of which one column at a time is predicted; name one "
            f"--target, or choose --loss {' | '.join(NUMBER_LOSSES)}"
        )
    for column in columns:
        if not _is_numeric(column):
            raise InputError(
                f"{where}: target column {brief(column.name)!r} holds names, and several targets "
                "are numbers: name it alone as --target, or leave it out of them"
            )
    found = [_targets(column, loss or "mse") for column in columns]
    return Targets(torch.cat([targets.y for targets in found], dim=1), None, None)


def _if_names(column: Column) -> str:
    if column.form.kind != "text":
        return ""
    return f"; if these are names, declare --categorical {quoted(column.name, 60)}"


def _targets(column: Column, loss: str | None) -> Targets:
    what = f"target column {brief(column.name)!r}"
    if _is_numeric(column):
        return column_targets(column.values, loss, what)
    names = names_of(column)
    there = in_order(names[code] for code in np.unique(column.values.astype(np.int64)))
    if len(there) == 1:
        raise InputError(
            f"{what} holds one class only ({brief(there[0])}): at least two are needed"
        )
    return class_targets(_labels(column, there), there, loss, what)


def _is_numeric(column: Column) -> bool:
    """Whether its values are numbers: so are the flags that are written as 0 and 1."""
    return column.form.kind == "number" or column.form.flags == ("0", "1")


def names_of(column: Column) -> Sequence[str]:
    """What the values of a flag or of names stand for, by their number."""
    return column.form.flags or column.words


def _labels(column: Column, classes: Sequence[str]) -> torch.Tensor:
    """Int64 ``[N]``: the place of each row's name among the classes, -1 where it is none."""
    if _is_numeric(column):
        distinct, at = np.unique(column.values, return_inverse=True)
        names: Sequence[str] = [label(value) for value in distinct]
    else:
        names, at = names_of(column), column.values.astype(np.int64)
    return torch.from_numpy(among(names, classes)[at].astype(np.int64))


def goal_of(
    columns: Sequence[Column], targets: Targets, train: NDArray[np.int64], *, scale: bool
) -> tuple[Goal, Targets]:
    """What is predicted, and the targets as they are learned.

    Args:
        columns: of the targets.
        targets: in the unit of their columns.
        train: the rows that train.
        scale: whether numbers are brought to mean 0 and deviation 1 over these rows.

    Raises:
        InputError: a number is too large for a loss.
    """
    if targets.classes is not None:
        (column,) = columns
        assert targets.labels is not None
        counts = np.bincount(targets.labels.numpy()[train], minlength=len(targets.classes))
        shares = tuple((counts / len(train)).tolist())
        goal = Classes(name=column.name, form=column.form, names=targets.classes, shares=shares)
        return goal, targets
    y = targets.y.numpy()

    def quantity(column: Column, values: NDArray[np.float64]) -> Quantity:
        if np.abs(values).max() > LARGEST:
            raise InputError(
                f"target {brief(column.name)!r} holds {values[np.abs(values).argmax()]:g}, of "
                f"which no mean square can be taken: bring it below {LARGEST:g}"
            )
        mean = float(values.mean())
        return Quantity(
            name=column.name,
            form=column.form,
            centre=mean if scale else 0.0,
            scale=deviation(values) if scale else 1.0,
            mean=mean,
            median=float(np.median(values)),
        )

    found = tuple(
        quantity(column, values) for column, values in zip(columns, y[train].T, strict=True)
    )
    quantities = Quantities(targets=found)
    if scale:
        targets = replace(targets, y=torch.from_numpy(quantities.scaled(y)))
    return quantities, targets


def labels_for(goal: Classes, column: Column, where: str) -> NDArray[np.int64]:
    """The classes of other rows by their numbers in training, ``[N]``.

    Raises:
        InputError: a row is of a class that was not trained on.
    """
    labels = _labels(column, goal.names)
    if (unknown := labels < 0).any():
        row = int(unknown.nonzero()[0, 0])
        value = column.values[row]
        numeric = _is_numeric(column)
        name = label(value) if numeric else names_of(column)[int(value)]
        known = ", ".join(map(brief, goal.names[:5])) + (", .." if len(goal.names) > 5 else "")
        raise InputError(
            f"{where}: target column {brief(column.name)!r} holds {brief(name)!r}, a class that "
            f"was not trained on; known are {known}"
        )
    found: NDArray[np.int64] = labels.numpy()
    return found
