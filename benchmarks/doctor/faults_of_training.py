"""Faults of the options: rates, momentum, batches, epochs, penalties, order of examples."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.doctor.faults import (
    Fault,
    between,
    both,
    classifies,
    has_momentum,
    in_parts,
    is_adam,
    is_flat,
    is_hidden,
    is_sgd,
)
from benchmarks.doctor.tasks import Task
from benchmarks.doctor.trials import Trial

Random = np.random.Generator


def _options(trial: Trial, **options: Any) -> Trial:
    return trial.with_(options=options)


def _rows(trial: Trial) -> int:
    return len(trial.arrays["x_train"])


def _lr(mild: float, fatal: float) -> Any:
    def plant(trial: Trial, severity: float, random: Random) -> Trial:
        return _options(trial, lr=trial.options["lr"] * between(severity, mild, fatal))

    return plant


def _momentum_too_high(trial: Trial, severity: float, random: Random) -> Trial:
    return _options(trial, momentum=round(1 - between(severity, 0.02, 0.0005), 6))


def _momentum_too_low(trial: Trial, severity: float, random: Random) -> Trial:
    """As if the learning rate were for none: it is, for what momentum multiplies by ten."""
    return _options(trial, momentum=0.0, lr=trial.options["lr"] * between(severity, 0.7, 0.05))


def _batch_too_large(trial: Trial, severity: float, random: Random) -> Trial:
    largest = _rows(trial)
    return _options(trial, batch_size=round(between(severity, largest / 4, largest)))


def _batch_too_small(trial: Trial, severity: float, random: Random) -> Trial:
    """With the learning rate that a large batch bears."""
    factor = between(severity, 4, 16)
    return _options(trial, batch_size=1, lr=trial.options["lr"] * factor / 4)


def _too_few_epochs(trial: Trial, severity: float, random: Random) -> Trial:
    return _options(trial, epochs=max(1, round(trial.options["epochs"] * (1 - severity) / 5)))


def _too_many_epochs(trial: Trial, severity: float, random: Random) -> Trial:
    """On few examples: those of a tenth to a third of the rows, again and again."""
    few = round(_rows(trial) * between(severity, 0.35, 0.12))
    arrays = dict(trial.arrays)
    arrays |= {f"{what}_train": arrays[f"{what}_train"][:few] for what in "xy"}
    times = between(severity, 6, 25)
    return trial.with_(arrays=arrays, options={"epochs": round(trial.options["epochs"] * times)})


def _weight_decay(trial: Trial, severity: float, random: Random) -> Trial:
    if is_adam_options(trial.options):
        return _options(trial, weight_decay=between(severity, 0.02, 2))
    return _options(trial, weight_decay=min(between(severity, 0.02, 2), 1 / trial.options["lr"]))


def is_adam_options(options: dict[str, Any]) -> bool:
    """Whether the steps are Adam's."""
    return bool(options["method"] == "adam")


def _penalty(trial: Trial, severity: float, random: Random) -> Trial:
    kind = str(random.choice(["l1", "squared-l2"]))
    strength = between(severity, 0.003, 0.1) * (1 if kind == "l1" else 10)
    return _options(trial, penalty=kind, strength=strength)


def _sorted(trial: Trial, severity: float, random: Random) -> Trial:
    """Rows stand in the order of their class, some out of order, and are not mixed."""
    y = trial.arrays["y_train"]
    order = np.argsort(y + (1 - severity) * 1.5 * random.normal(size=len(y)), kind="stable")
    mixed = in_parts(trial, ("train",), lambda rows: rows[order], "x")
    mixed = in_parts(mixed, ("train",), lambda rows: rows[order], "y")
    return _options(mixed, sampling="sequential")


def _shows_epochs(task: Task) -> bool:
    return int(task.options["epochs"]) >= 10


FAULTS = (
    Fault("learning rate too high", "rate", ("learning rate too high",), _lr(3, 1000), is_sgd),
    Fault("Adam's rate too high", "rate", ("learning rate too high",), _lr(6, 1000), is_adam),
    Fault("learning rate too low", "low rate", ("learning rate too low",), _lr(0.1, 0.0001)),
    Fault("momentum too high", "momentum",
          ("momentum too high", "learning rate too high"), _momentum_too_high, has_momentum),
    Fault("momentum too low", "momentum",
          ("momentum too low", "learning rate too low"), _momentum_too_low, has_momentum),
    Fault("batch too large", "batch",
          ("batch too large", "learning rate too low"), _batch_too_large),
    Fault("batch too small", "batch",
          ("batch too small", "learning rate too high"), _batch_too_small, is_flat),
    Fault("too few epochs", "fit", ("too few epochs", "learning rate too low"),
          _too_few_epochs, _shows_epochs),
    Fault("too many epochs on few examples", "fit", ("overfitting",), _too_many_epochs, is_hidden),
    Fault("weight decay too strong", "decay", ("weight decay too strong",), _weight_decay),
    Fault("penalty too strong", "decay",
          ("penalty too strong", "weight decay too strong"), _penalty),
    Fault("sorted, in sequence", "data", ("examples sorted by class",), _sorted,
          both(classifies, lambda task: task.source != "breast")),
)  # fmt: skip
