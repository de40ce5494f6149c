r"""What growing learning rates do to the loss: where it begins to fall, and where it is lost.

From the same parameters, in the orders of three seeds where there is time for it, steps are taken
whose learning rate grows from one to the next by the same factor. The loss is that of the same
examples at every look, and of the orders the middle one counts: neither a hard mini-batch nor one
unlucky order is taken for an answer. A loss that is not a number counts as infinite.

Source: Smith (2017), "Cyclical Learning Rates for Training Neural Networks", section 3.3.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gradus.engine import choose
from gradus.engine.job import Job, Progress
from gradus.engine.selection import NOTHING_SELECTED
from gradus.engine.snapshot import Course, Watch
from gradus.methods.schedules import Schedule
from gradus.metrics import best_constant
from gradus.risk.empirical import EmpiricalRisk
from gradus.runs.executing import execute
from gradus.runs.spec import RunSpec

SEEDS = 3
"""Orders of the examples in which the steps are taken."""

FEWEST, MOST = 50, 120
"""Steps in each order: a third of those of the run itself, within these bounds."""

LEAST = 10
"""Steps in one order, however little the test may take."""

LOOKS = 40
"""Looks at the loss on the way."""

EXAMPLES = 500
"""Training examples of which the loss is taken, at most."""

LOWEST, HIGHEST = 1e-7, 1e3
"""Where the test begins and ends, as a share of the limit of theory."""

LOST = 10.0
"""Times the loss at the beginning, and more, is never made good again."""

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Growing(Schedule):
    r"""$\alpha_t = \alpha_0 c^t$."""

    lr: float
    factor: float

    def __call__(self, step: int) -> float:  # noqa: D102  (said by Schedule)
        return self.lr * self.factor**step


@dataclass(frozen=True, eq=False)
class RangeTest:
    """What came out.

    Attributes:
        lrs: ``[n]``, the learning rate of the last step before each look, growing.
        losses: ``[orders, n]``, infinite from where it was no number any more.
        beginning: the loss at the start.
        constant: that of the best constant prediction; None where it is not known.
        steps: how many were taken in all.
    """

    lrs: Numbers
    losses: Numbers
    beginning: float
    constant: float | None
    steps: int

    @property
    def middle(self) -> Numbers:
        """``[n]``: the middle of the losses over the seeds."""
        return np.median(self.losses, axis=0)

    @property
    def edge(self) -> float:
        """The learning rate from which on the loss is lost for good.

        From there on it lies, at every look, above the half way back from the least before it to
        the line: where it began or, if that is less and some rate came below, what the best
        constant prediction has. The largest rate tried where it never does.
        """
        middle, line = self.middle, self.beginning
        if self.constant is not None and middle.min() < self.constant:
            line = min(line, self.constant)
        least = np.minimum.accumulate(np.minimum(middle, line))
        back = middle > least + 0.5 * (line - least)
        back |= middle > line * (1 + 1e-6)
        lost = np.flip(np.logical_and.accumulate(np.flip(back)))
        return float(self.lrs[int(lost.argmax())] if lost.any() else self.lrs[-1])


def range_test(
    spec: RunSpec,
    start: Job,
    anchor: float,
    tell: Callable[[int, int], None] = lambda step, steps: None,
    most: float = math.inf,
) -> RangeTest:
    """Take steps of growing learning rates from where a job starts, which stays as it is.

    Args:
        spec: of the job, its method one whose learning rate can be chosen.
        start: before its first step.
        anchor: a learning rate near which it is lost: the limit of theory.
        tell: told how many of the steps are taken.
        most: steps that it may take in all: there are fewer orders, and then fewer steps, where
            that is little.
    """
    steps = min(MOST, max(FEWEST, start.steps // SEEDS))
    orders = int(max(1, min(SEEDS, most // steps)))
    steps = int(max(LEAST, min(steps, most)))
    factor = (HIGHEST / LOWEST) ** (1 / (steps - 1))
    apart = max(1, round(steps / LOOKS))
    looks = list(range(steps % apart or apart, steps + 1, apart))
    growing = Growing(LOWEST * anchor, factor)
    method = spec.build_method(steps, spec.build_equation(growing))
    sample = start.train.subset(slice(0, EXAMPLES)).to(dtype=start.dtype)
    risk = EmpiricalRisk(copy.deepcopy(start.model).cpu(), start.loss, sample)
    beginning = float(risk.value(risk.point))
    losses = np.full((orders, len(looks)), math.inf)
    taken = 0
    for seed in range(orders):
        job = replace(
            start,
            model=copy.deepcopy(start.model),
            method=method,
            sampling=replace(start.sampling, seed=start.sampling.seed + seed),
            epochs=-(-steps // start.sampling.steps),
            log_every=1,
            seed=start.seed + seed,
            validation=None,
            selection=NOTHING_SELECTED,
            measured=False,
        )
        looking = _Looking(risk, looks, losses[seed], LOST * abs(beginning))

        def told(step: int, before: int = seed * steps) -> None:
            tell(before + step, orders * steps)

        taken += _grow(spec, job, looking, told)
    lrs = np.array([growing(look - 1) for look in looks])
    constant = best_constant(start.train.to(dtype=start.dtype), start.loss)
    of_constant = None if constant is None else constant.judge(sample).loss
    return RangeTest(lrs, losses, beginning, of_constant, taken)


class _Looking:
    """Looks at the loss on the way, until there is nothing more to see."""

    def __init__(
        self, risk: EmpiricalRisk, looks: Sequence[int], losses: Numbers, lost: float
    ) -> None:
        self.risk, self.looks, self.losses, self.lost = risk, looks, losses, lost
        self.is_over = False

    def see(self, step: int, w: Tensor) -> None:
        """The loss at w."""
        loss = float(self.risk.value(w)) if bool(w.isfinite().all()) else math.inf
        self.is_over = step == self.looks[-1] or not loss < self.lost
        self.losses[self.looks.index(step)] = loss if math.isfinite(loss) else math.inf


def _grow(spec: RunSpec, job: Job, looking: _Looking, tell: Callable[[int], None]) -> int:
    """Take the steps; says how many."""

    def observe(progress: Progress) -> Literal["stop"] | None:
        tell(progress.step)
        return "stop" if looking.is_over else None

    engine, _ = choose.chosen("auto", job)
    course = Course(observe=observe, watch=Watch(looking.looks, looking.see))
    with torch.random.fork_rng():
        torch.manual_seed(job.seed)
        outcome = execute(spec, engine, job, lambda progress: None, course)
    if outcome.status == "interrupted":
        raise KeyboardInterrupt
    return outcome.step
