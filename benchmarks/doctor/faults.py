"""What a fault is: a change of the data, the network or the options, as a user would make it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.doctor.tasks import Task
from benchmarks.doctor.trials import Trial

Plant = Callable[[Trial, float, np.random.Generator], Trial]
"""Makes of a sound trial a faulty one; the severity is from 0, barely harmful, to 1, fatal."""


def anywhere(task: Task) -> bool:
    """A fault that any task can have."""
    return True


@dataclass(frozen=True)
class Fault:
    """A kind of fault.

    Attributes:
        name: of the kind.
        row: of the table of symptoms that it belongs to.
        causes: names of the doctor's that are right: what was changed, or a change that undoes the
            same thing by the same means. Nothing else counts.
        plant: plants it.
        fits: which tasks can have it.
        later: whether it was added after the first drawing.
    """

    name: str
    row: str
    causes: tuple[str, ...]
    plant: Plant
    fits: Callable[[Task], bool] = anywhere
    later: bool = False


def between(severity: float, mild: float, fatal: float) -> float:
    """A factor on the logarithmic scale.

    Example:
        >>> between(0.5, 1, 100)
        10.0
    """
    return float(round(mild * (fatal / mild) ** severity, 10))


def is_adam(task: Task) -> bool:
    """Whether the steps are Adam's."""
    return bool(task.options["method"] == "adam")


def is_sgd(task: Task) -> bool:
    """Whether the steps are proportional to the gradient."""
    return not is_adam(task)


def has_momentum(task: Task) -> bool:
    """Whether they have momentum."""
    return float(task.options.get("momentum", 0)) > 0


def is_flat(task: Task) -> bool:
    """Whether its examples are rows of columns."""
    return task.kind in ("linear", "dense")


def is_hidden(task: Task) -> bool:
    """Whether it has hidden layers."""
    return task.kind != "linear"


def is_image(task: Task) -> bool:
    """Whether its inputs are pixels from 0 to 1."""
    return task.source.startswith(("digit", "fashion"))


def classifies(task: Task) -> bool:
    """Whether it predicts classes."""
    return task.trial.classes is not None


def regresses(task: Task) -> bool:
    """Whether it predicts numbers."""
    return task.trial.classes is None


def both(*conditions: Callable[[Task], bool]) -> Callable[[Task], bool]:
    """Whether all hold."""
    return lambda task: all(condition(task) for condition in conditions)


def in_parts(
    trial: Trial, parts: tuple[str, ...], change: Callable[[Any], Any], what: str
) -> Trial:
    """A trial of which x or y of some parts is changed; ``fresh`` is one of them."""
    arrays = dict(trial.arrays)
    fresh = list(trial.fresh)
    for part in parts:
        if part == "fresh":
            fresh["xy".index(what)] = change(fresh["xy".index(what)])
        else:
            arrays[f"{what}_{part}"] = change(arrays[f"{what}_{part}"])
    return trial.with_(arrays=arrays, fresh=(fresh[0], fresh[1]))
