"""Faults of the data: scales, labels, leaks, duplicates, balance, values out of the world."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.doctor.faults import (
    Fault,
    between,
    both,
    classifies,
    in_parts,
    is_flat,
    is_hidden,
    is_image,
    is_sgd,
    regresses,
)
from benchmarks.doctor.tasks import Task
from benchmarks.doctor.trials import Trial

Random = np.random.Generator
PARTS = ("train", "validation", "test")
ALL = (*PARTS, "fresh")


def _pixels(trial: Trial, severity: float, random: Random) -> Trial:
    factor = 255.0 if severity > 0.4 else 16.0
    return in_parts(trial, ALL, lambda x: x * np.float32(factor), "x")


def _columns_apart(trial: Trial, severity: float, random: Random) -> Trial:
    """Each column in a unit of its own."""
    decades = between(severity, 1, 3.5)
    units = 10 ** random.uniform(-decades / 2, decades / 2, size=trial.fresh[0].shape[1])
    return in_parts(trial, ALL, lambda x: (x * units).astype(np.float32), "x")


def _far_from_0(trial: Trial, severity: float, random: Random) -> Trial:
    """Columns with a mean far from 0, as years are."""
    means = between(severity, 2, 1_000) * random.uniform(0.5, 1, size=trial.fresh[0].shape[1])
    return in_parts(trial, ALL, lambda x: (x + means).astype(np.float32), "x")


def _target_in_its_unit(trial: Trial, severity: float, random: Random) -> Trial:
    deviation = between(severity, 30, 30_000)
    mean = 3 * deviation
    moved = in_parts(trial, PARTS, lambda y: (mean + deviation * y).astype(np.float32), "y")
    return replace(moved, unit=(mean, deviation))


def _shuffled(share: float, trial: Trial, random: Random, parts: tuple[str, ...]) -> Trial:
    def mixed(y: NDArray[np.generic]) -> NDArray[np.generic]:
        y = y.copy()
        chosen = np.flatnonzero(random.random(len(y)) < share)
        y[chosen] = y[random.permutation(chosen)]
        return y

    return in_parts(trial, parts, mixed, "y")


def _label_noise(trial: Trial, severity: float, random: Random) -> Trial:
    """Of a share of the examples the labels of others, in all parts that the user has."""
    return _shuffled(0.2 + 0.4 * severity, trial, random, PARTS)


def _targets_shuffled(trial: Trial, severity: float, random: Random) -> Trial:
    """All targets are those of other rows, as after sorting one of two files."""
    return _shuffled(1.0, trial, random, PARTS)


def _constant_target(trial: Trial, severity: float, random: Random) -> Trial:
    return in_parts(trial, PARTS, lambda y: np.full_like(y, y.mean()), "y")


def _huge_values(trial: Trial, severity: float, random: Random) -> Trial:
    """A few entries of the training part are 9999 or more, as where a value was missing."""
    value = between(severity, 200, 1e6)

    def spoiled(x: NDArray[np.generic]) -> NDArray[np.generic]:
        x = x.copy()
        rows = random.random(len(x)) < 0.02
        flat = x.reshape(len(x), -1)
        columns = random.integers(flat.shape[1], size=rows.sum())
        flat[rows, columns] = value
        return x

    return in_parts(trial, ("train",), spoiled, "x")


def _leak(trial: Trial, severity: float, random: Random) -> Trial:
    """The first column is the target, nearly; who predicts has other values there."""
    noise = 0.02 + 0.1 * (1 - severity)
    arrays = dict(trial.arrays)
    for part in PARTS:
        y = arrays[f"y_{part}"].astype(float)
        told = (y - y.mean()) / y.std() + noise * random.normal(size=len(y))
        x = arrays[f"x_{part}"].copy()
        x[:, 0] = told
        arrays[f"x_{part}"] = x
    x = trial.fresh[0].copy()
    x[:, 0] = random.permutation(arrays["x_train"][:, 0])[
        np.arange(len(x)) % len(arrays["x_train"])
    ]
    return trial.with_(arrays=arrays, fresh=(x, trial.fresh[1]), judged="report")


def _duplicates(trial: Trial, severity: float, random: Random) -> Trial:
    """A share of the rows of validation and test stand among those that are trained on."""
    share = 0.3 + 0.7 * severity
    arrays = dict(trial.arrays)
    for part in ("validation", "test"):
        x, y = arrays[f"x_{part}"].copy(), arrays[f"y_{part}"].copy()
        copied = np.flatnonzero(random.random(len(x)) < share)
        of = random.choice(len(arrays["x_train"]), size=len(copied), replace=False)
        x[copied], y[copied] = arrays["x_train"][of], arrays["y_train"][of]
        arrays |= {f"x_{part}": x, f"y_{part}": y}
    return trial.with_(arrays=arrays, judged="report")


def _unbalanced(trial: Trial, severity: float, random: Random) -> Trial:
    """Of all classes but the first two, or but the first, few examples are left."""
    kept = between(severity, 0.08, 0.02)
    arrays = dict(trial.arrays)
    spared = 1 if (trial.classes or 2) <= 3 else 2
    for part in PARTS:
        y = arrays[f"y_{part}"]
        stays = (y < spared) | (random.random(len(y)) < kept)
        for label in range(spared, trial.classes or 2):
            stays[np.flatnonzero(y == label)[:2]] = True
        arrays |= {f"{what}_{part}": arrays[f"{what}_{part}"][stays] for what in "xy"}
    return trial.with_(arrays=arrays)


def _test_from_elsewhere(trial: Trial, severity: float, random: Random) -> Trial:
    """Validation and test come from another instrument, with a gain and a bias of its own."""
    gain = between(severity, 1.5, 4)
    bias = between(severity, 0.5, 2) * random.normal(size=trial.fresh[0].shape[1:])
    moved = in_parts(
        trial, ("validation", "test"), lambda x: (gain * x + bias).astype(np.float32), "x"
    )
    return moved.with_(judged="report")


def _columns_that_vary_no_more(trial: Trial, severity: float, random: Random) -> Trial:
    """Most columns hold their mean for all rows, as after a join that failed."""
    share = 0.6 + 0.35 * severity
    lost: NDArray[np.bool_] = np.asarray(random.random(trial.fresh[0].shape[1]) < share)
    lost[random.integers(len(lost))] = False

    def emptied(x: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.where(lost, trial.arrays["x_train"].mean(axis=0), x).astype(np.float32)

    return in_parts(trial, ALL, emptied, "x")


def _several_columns(task: Task) -> bool:
    return is_flat(task) and task.source not in (
        *("waves", "moons", "spirals"),
        *("rings", "roll", "arm"),
    )


def _is_table(task: Task) -> bool:
    return _several_columns(task) and not is_image(task)


def _many_of_each(task: Task) -> bool:
    return classifies(task) and task.source not in (
        *("wine", "breast", "symbols"),
        *("iris", "ill or not", "alcohol"),
    )


SCALES = ("inputs not brought to scale",)

FAULTS = (
    Fault("raw pixels", "scale", SCALES, _pixels, is_image),
    Fault("columns in units of their own", "scale", SCALES, _columns_apart, _is_table),
    Fault("columns far from 0", "scale", SCALES, _far_from_0, both(is_flat, is_sgd)),
    Fault("target in its own unit", "scale", ("target not brought to scale",),
          _target_in_its_unit, regresses),
    Fault("label noise", "labels", ("label noise",), _label_noise, classifies),
    Fault("targets shuffled", "labels", ("shuffled targets", "label noise"), _targets_shuffled),
    Fault("constant target", "data", ("constant target",), _constant_target, regresses),
    Fault("huge values", "data", ("extreme values", "inputs not brought to scale"),
          _huge_values, is_flat),
    Fault("columns that vary no more", "data", ("columns that never vary",),
          _columns_that_vary_no_more, _is_table),
    Fault("a column that is the target", "leak", ("leak",), _leak, _several_columns),
    Fault("duplicates between parts", "leak", ("duplicates between parts",),
          _duplicates, is_hidden),
    Fault("classes out of balance", "balance", ("unbalanced classes",),
          _unbalanced, _many_of_each),
    Fault("test drawn from elsewhere", "data", ("parts drawn apart",), _test_from_elsewhere),
)  # fmt: skip
