"""What all runs of a map have in common, and the ranges of its axes, from what was asked for."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from gradus.engine.job import Job
from gradus.errors import InputError
from gradus.models.own import check_named
from gradus.runs.again import again
from gradus.runs.choices import flag
from gradus.runs.job import prepare
from gradus.runs.learning_rate.limit import limit_at_start
from gradus.runs.record import open_run
from gradus.runs.spec import RunSpec
from gradus.sweep.split_cache import SplitCache
from gradus.trainability.axis import Axis, check_numeric, decades_below

MOMENTUM = "0:0.99"
"""The range of factors of momentum where none is given."""


class Asked(NamedTuple):
    """The runs of a map.

    Attributes:
        base: what they have in common, as one of them.
        x: the option along columns.
        y: that along rows.
    """

    base: RunSpec
    x: Axis
    y: Axis

    def spec(self, row: int, column: int) -> RunSpec:
        """The run of a point."""
        values = {self.x.option: self.x.value(column), self.y.option: self.y.value(row)}
        return RunSpec.read({**options_of(self.base), **values})


def read(
    data: str | os.PathLike[str],
    options: Mapping[str, Any],
    x: tuple[str, str | Sequence[float] | None],
    y: tuple[str, str | Sequence[float] | None],
    size: int,
    steps: int,
    splits: SplitCache,
) -> Asked:
    """The runs that are meant.

    Args:
        data: their name or path, or the folder of a run.
        options: that are fixed.
        x: an option and its range; None: the usual one.
        y: another.
        size: cells a side.
        steps: of each run, where the options do not say its epochs: to the nearest epoch.
        splits: loads the data.

    Raises:
        InputError: they cannot be.
    """
    if size < 2 or size & (size - 1):
        raise InputError(f"--size {size}: give a power of two, as 64, 128 or 256")
    if steps < 1:
        raise InputError(f"--steps {steps}: give at least 1")
    named = {"x": x, "y": y}
    for where, (option, _) in named.items():
        check_numeric(option, where)
        if option in options:
            raise InputError(f"{flag(option)}: is an axis of the map (--{where}); leave it out")
    if x[0] == y[0]:
        raise InputError(f"--y {x[0]}: is the other axis already; give another option")
    given = {
        where: Axis.read(option, written, size, where)
        for where, (option, written) in named.items()
        if written is not None
    }
    lowest = {axis.option: axis.value(0) for axis in given.values()}
    base = _base(data, {**options, **lowest}, steps, splits)
    axes = {
        where: given.get(where) or Axis.read(option, _usual(option, where, base, splits), size)
        for where, (option, _) in named.items()
    }
    asked = Asked(base, axes["x"], axes["y"])
    asked.spec(size, size)  # both ends are values that a run takes beside the rest
    return asked._replace(base=asked.spec(0, 0))


def options_of(spec: RunSpec) -> dict[str, Any]:
    """The options of a spec of which nothing follows from the data any more."""
    return {**spec.model_dump(exclude_none=True), "auto": ()}


def prepared(spec: RunSpec, splits: SplitCache) -> Job:
    """The job of a run; the random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        return prepare(spec, splits.get(spec).split)


def _base(
    data: str | os.PathLike[str], options: Mapping[str, Any], steps: int, splits: SplitCache
) -> RunSpec:
    """One of the runs: a single net, which trains to its last epoch."""
    if (Path(data) / "run.json").exists():
        run = open_run(data)
        for option in ("model", "method"):
            code = str(getattr(run.spec, option))
            check_named([code], Path(data), named=[str(options.get(option))], option=option)
        spec, _ = again(run.spec, run.summary.get("auto") or (), options, where=f"{data}: ")
    else:
        spec = RunSpec.read({"data": os.fspath(data), **options})
    spec = splits.resolved(spec.fixed)
    changes: dict[str, Any] = {"models": 1, "patience": None, "keep": None, "auto": ()}
    changes["measure"] = "train-loss"
    if "epochs" not in options:
        at_once = prepared(spec, splits).sampling.steps
        changes["epochs"] = max(1, round(steps / at_once))
    return spec.model_copy(update=changes)


def _usual(option: str, where: str, base: RunSpec, splits: SplitCache) -> str:
    """The range of an axis of which none was given.

    Raises:
        InputError: there is none.
    """
    if option in ("momentum", "beta"):
        return MOMENTUM
    limit = limit_at_start(base, prepared(base, splits)) if option == "lr" else None
    if limit is None:
        raise InputError(
            f"--{where} {option.replace('_', '-')}: needs a range, as --{where}-range 1e-3:10"
        )
    return decades_below(limit.lr)
