"""What is known of a run before it is trained: that it can be, and about how long it takes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Sequence
from typing import Any

import torch

from gradus.engine import choose
from gradus.errors import InputError
from gradus.runs.job import prepare
from gradus.runs.spec import RunSpec
from gradus.sweep.ranges import Range
from gradus.sweep.space import drawn
from gradus.sweep.specification import SweepSpec
from gradus.sweep.split_cache import CachedSplit, SplitCache
from gradus.sweep.values import is_whole


def cost_of(spec: RunSpec, cached: CachedSplit) -> float:
    """About how many seconds a run takes; only the order and the ratios are used."""
    split = cached.split
    examples = len(split.train)
    size = examples if spec.sampling == "full" else min(spec.batch_size or 1, examples)
    widths = [math.prod(split.train.input_shape), *(spec.hidden or ()), split.train.outputs]
    parameters = sum(before * after for before, after in itertools.pairwise(widths))
    step = 2e-5 + parameters * (2e-10 + 6e-11 * size)
    return spec.epochs * math.ceil(examples / size) * step


def epochs_of(spec: SweepSpec, listed: Sequence[RunSpec] | None, splits: SplitCache) -> int:
    """How many epochs every run of a sweep with pruning has, which may follow from a table's size.

    Raises:
        InputError: they are not the same in all, or come to an end before anything is compared.
    """
    runs = [drawn(spec, lambda name, option, values: _any(option, values))]
    epochs = {splits.resolved(run).epochs for run in (runs if listed is None else listed)}
    if len(epochs) > 1:
        raise InputError(
            "--prune compares runs of the same length, and by the sizes of their data they have "
            f"{' and '.join(map(str, sorted(epochs)))} epochs: give --epochs one value"
        )
    if spec.first_rung >= max(epochs):
        raise InputError(
            f"--first-rung {spec.first_rung}: nothing would be compared, of the {max(epochs)} "
            "epochs that follow from the size of the data"
        )
    return max(epochs)


def _any(option: str, values: tuple[Any, ...] | Range) -> Any:
    return values.at(0.0, whole=is_whole(option)) if isinstance(values, Range) else values[0]


def check(runs: list[RunSpec], splits: SplitCache) -> None:
    """Prepare one run of every kind, so that errors are raised before anything is trained.

    Raises:
        InputError: a run cannot be trained.
    """
    seen = set()
    for spec in runs:
        if kind_of(spec) in seen:
            continue
        seen.add(kind_of(spec))
        with torch.random.fork_rng(devices=[]):
            choose.chosen(spec.engine, prepare(spec, splits.get(spec).split))


def kind_of(spec: RunSpec) -> Hashable:
    """The options that decide whether a run can be trained, and by which engine."""
    return (
        spec.data, spec.target, spec.loss, spec.model, spec.hidden, spec.sampling,
        spec.batch_size, spec.engine, spec.device, spec.dtype, spec.method, spec.penalty,
        spec.proximal, bool(spec.dropout),
    )  # fmt: skip
