"""`--lr auto`: the learning rate of one run, found by short trainings before it.

A range test says from which learning rate on the loss is lost, and four shares of that, or more
while the smallest does best, are trained for a quarter of the run; the best is taken.
``python -m benchmarks.tune`` measures what that is worth.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch

from gradus.data.dataset import Split
from gradus.engine import choose
from gradus.engine.job import Job, Progress
from gradus.engine.selection import Selection
from gradus.engine.snapshot import Course
from gradus.errors import InputError
from gradus.runs.executing import execute, own_code_of
from gradus.runs.job import prepare
from gradus.runs.learning_rate.limit import Limit, limit_at_start
from gradus.runs.learning_rate.range_test import range_test
from gradus.runs.objects.given import NO_OBJECTS, Objects
from gradus.runs.spec import RunSpec
from gradus.runs.start import Start

SHARES = (1 / 3, 1 / 10, 1 / 30, 1 / 100)
"""Of the learning rate from which on the loss is lost: those that are trained."""

LOWER, FLOOR = 1 / 3, 1e-7
"""While the best of these is the smallest, one of this share of it is trained too, down to this
share of the edge; a hundredth, where it diverged."""

PART = 1 / 4
"""Of the steps of the run, taken with each."""

UNKNOWN = 1.0
"""Where the range test is laid around, where theory says nothing."""

Tell = Callable[[str, int, int], None]
"""Told what is done, how far it is, and how far that goes."""


class NoRateError(InputError):
    """Every learning rate that was tried diverged."""


@dataclass(frozen=True)
class Found:
    """A learning rate, and how it was found.

    Attributes:
        lr: it.
        measure: by which it was chosen.
        part: of the training in which.
        edge: the learning rate from which on the loss was lost in the range test.
        limit: what theory allows at the start; None where it says nothing.
        tried: learning rates and the measure of each, None where it diverged.
        steps: taken in all.
        seconds: that it took.
    """

    lr: float
    measure: str
    part: float
    edge: float
    limit: Limit | None
    tried: Mapping[float, float | None]
    steps: int
    seconds: float

    def record(self) -> dict[str, Any]:
        """What run.json says of it."""
        limit = None if self.limit is None else self.limit.lr
        curvature = None if self.limit is None else self.limit.curvature
        tried = [{"lr": lr, self.measure: value} for lr, value in self.tried.items()]
        return {
            "lr": self.lr, "measure": self.measure, "part": self.part, "lost_from": self.edge,
            "limit": limit, "curvature": curvature, "tried": tried,
            "steps": self.steps, "seconds": self.seconds,
        }  # fmt: skip


def start_anchor(spec: RunSpec, start: Job) -> tuple[Limit | None, float]:
    """What theory allows at the start, and the learning rate around which a range test is laid."""
    limit = limit_at_start(spec, start)
    return limit, UNKNOWN if limit is None else limit.lr


def found_for(
    spec: RunSpec,
    split: Split,
    start: Start | None = None,
    objects: Objects = NO_OBJECTS,
    tell: Tell = lambda what, done, of: None,
) -> Found:
    """The learning rate of a run whose spec leaves it open.

    Args:
        spec: of the run, its learning rate ``auto``.
        split: its data.
        start: what it begins with, where that is another's.
        objects: of which the spec says only what identifies them.
        tell: told how far it is.

    Raises:
        NoRateError: every learning rate that was tried diverged.
        InputError: the model or the loss fails.
    """
    began, spec = time.perf_counter(), spec.model_copy(update={"lr": UNKNOWN})
    with torch.random.fork_rng():
        job = prepare(spec, split, start, objects=objects)
    with own_code_of(spec):
        limit, anchor = start_anchor(spec, job)
        test = range_test(spec, job, anchor, lambda step, of: tell("range test", step, of))
    selection = _selection(job)
    assert selection.measure is not None
    sign = -1.0 if selection.rises else 1.0
    tried: dict[float, float | None] = {}
    steps = test.steps

    def worth(lr: float) -> float:
        value = tried[lr]
        return math.inf if value is None else sign * value

    left = [two_digits(share * test.edge) for share in SHARES]
    while left:
        lr = left.pop(0)

        def told(part: float, done: int = len(tried), of: int = len(tried) + len(left) + 1) -> None:
            tell("short trainings", round(100 * (done + part)), 100 * of)

        tried[lr], taken = _short(spec.model_copy(update={"lr": lr}), job, told)
        steps += taken
        smallest, best = min(tried), min(sorted(tried), key=worth)
        if not left and best == smallest > FLOOR * test.edge:
            left = [two_digits(best * (LOWER if math.isfinite(worth(best)) else 0.01))]
    if math.isinf(worth(best)):
        raise NoRateError(
            f"--lr auto: diverges at every learning rate from {max(tried):g} down to "
            f"{min(tried):g}; look for extreme values in the data, or give --clip-norm 1"
        )
    seconds = time.perf_counter() - began
    return Found(best, selection.measure, PART, test.edge, limit, tried, steps, seconds)


def two_digits(number: float) -> float:
    """A number with two digits that count, as a person writes it.

    Example:
        >>> two_digits(0.034567), two_digits(12.3)
        (0.035, 12.0)
    """
    return float(f"{number:.1e}")


def _selection(job: Job) -> Selection:
    """What the short trainings are compared by: what the run chooses by, if it chooses."""
    chosen = job.selection
    return replace(chosen, measure=chosen.measure or "train_loss", patience=None)


def _short(spec: RunSpec, start: Job, tell: Callable[[float], None]) -> tuple[float | None, int]:
    """The measure after a part of a run, None where it diverged, and the steps it took."""
    steps = max(1, math.ceil(PART * start.steps))
    selection = _selection(start)
    job = replace(
        start,
        model=copy.deepcopy(start.model),
        method=spec.build_method(steps),
        epochs=math.ceil(steps / start.sampling.steps),
        log_every=max(1, steps // 20),
        selection=selection,
        measured=start.validation is None,
    )

    def observe(progress: Progress) -> Literal["stop"] | None:
        tell(progress.step / steps)
        return "stop" if progress.step >= steps else None

    engine, _ = choose.chosen(spec.engine if spec.engine != "stacked" else "auto", job)
    with torch.random.fork_rng():
        torch.manual_seed(start.seed)
        outcome = execute(spec, engine, job, lambda progress: None, Course(observe=observe))
    if outcome.status == "interrupted":
        raise KeyboardInterrupt
    if outcome.status != "finished":
        return None, outcome.step
    rows = outcome.evaluation
    best = (
        min(map(selection.worth, rows)) if selection.keep == "best" else selection.worth(rows[-1])
    )
    if not math.isfinite(best):
        return None, outcome.step
    return (-best if selection.rises else best), outcome.step
