"""What is known of a run before it is trained: that it can be, and about how long it takes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable

import torch

from gradus.engine import choose
from gradus.runs.job import prepare
from gradus.runs.spec import RunSpec
from gradus.sweep.split_cache import CachedSplit, SplitCache


def cost_of(spec: RunSpec, cached: CachedSplit) -> float:
    """About how many seconds a run takes; only the order and the ratios are used."""
    split = cached.split
    examples = len(split.train)
    size = examples if spec.sampling == "full" else min(spec.batch_size or 1, examples)
    widths = [math.prod(split.train.input_shape), *(spec.hidden or ()), split.train.outputs]
    parameters = sum(before * after for before, after in itertools.pairwise(widths))
    step = 2e-5 + parameters * (2e-10 + 6e-11 * size)
    return spec.epochs * math.ceil(examples / size) * step


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
        spec.proximal,
    )  # fmt: skip
