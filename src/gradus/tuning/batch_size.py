r"""Which batch size is the fastest to the same loss: noise of the gradient, and time of a step.

With $B_{\mathrm{simple}}$ of :mod:`gradus.risk.noise`, and t(B) the time of a step on this machine,

$$\mathrm{steps}(B) \propto 1 + \frac{B_{\mathrm{simple}}}{B}, \qquad
\mathrm{time}(B) \propto \mathrm{steps}(B) \, t(B), \qquad
\alpha(B) \propto \Big(1 + \frac{B_{\mathrm{simple}}}{B}\Big)^{-p}$$

with p 1 for methods whose step is as long as the gradient says, and 1/2 for those that scale it.

Source: McCandlish et al. (2018), "An Empirical Model of Large-Batch Training", sections 2.2 and
2.3; Malladi et al. (2022), "On the SDEs and Scaling Rules for Adaptive Gradient Algorithms", for p.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import vector_to_parameters

from gradus.data.dataset import Split
from gradus.engine import choose
from gradus.engine.execution import Execution
from gradus.engine.job import Job
from gradus.engine.selection import NOTHING_SELECTED
from gradus.engine.snapshot import Course, Watch
from gradus.errors import InputError
from gradus.risk.noise import EXAMPLES, noise_scale
from gradus.runs.job import prepare
from gradus.runs.learning_rate.automatic import two_digits
from gradus.runs.objects.given import NO_OBJECTS, Objects
from gradus.runs.spec import RunSpec
from gradus.tuning.alternatives import UNSCALED

COST = 1.0
"""Trainings of the run that finding it out takes, at most, but for the smallest of data."""

PART = 1 / 3
"""Of the epochs, trained to see the noise on the way."""

LOOKS = 8
"""At the noise, evenly spaced: the last at the end."""

FEWEST_STEPS = 8
"""In an epoch, at least: larger batches are not looked at."""

LARGEST = 2**14
"""Nor are larger ones than that."""

TIMED, WARM, REPEATS = 150, 2, 5
"""Examples of which a step is timed, at least one step more than these, and how often: the least
time counts."""

STILL = 1e-6
"""Times the learning rate: what nearly stands still does not diverge, and takes as long."""

ALIKE = 1.25
"""Two batch sizes whose times differ by a smaller factor are not told apart."""


class _Enough(Exception):  # noqa: N818  (no error: ends the training)
    """All that is to be seen is: raised by what watches."""


@dataclass(frozen=True)
class BatchSizes:
    r"""What batch sizes cost on the way to the same loss.

    Attributes:
        noise: $B_{\mathrm{simple}}$, in examples.
        now: the batch size of the run.
        lr: its learning rate.
        epochs: its epochs.
        seconds: what a step takes, of each batch size, ascending; that of the run is one of them.
        power: p.
    """

    noise: float
    now: int
    lr: float
    epochs: int
    seconds: dict[int, float]
    power: float

    def steps(self, size: int) -> float:
        """Steps to the same loss, as a multiple of those of the run."""
        return (1 + self.noise / size) / (1 + self.noise / self.now)

    def time(self, size: int) -> float:
        """Time to the same loss, likewise."""
        return self.steps(size) * self.seconds[size] / self.seconds[self.now]

    @property
    def fastest(self) -> int:
        """The batch size with the least time; that of the run where it cannot be told from it."""
        best = min(self.seconds, key=self.time)
        return best if self.time(self.now) > ALIKE * self.time(best) else self.now

    def options(self, size: int) -> dict[str, Any]:
        """Where to begin with a batch size: the learning rate and the epochs that theory says."""
        epochs = self.epochs * self.steps(size) * size / self.now
        lr = two_digits(self.lr / self.steps(size) ** self.power)
        return {"batch_size": size, "lr": lr, "epochs": max(1, math.ceil(epochs))}

    def __str__(self) -> str:
        size, noise = self.fastest, f"noise scale {self.noise:.2g}"
        if size == self.now:
            return f"{size} to the same loss, as it is; {noise}"
        return (
            f"{size}, {1 / self.time(size):.2g} × as fast to the same loss as {self.now}: "
            f"{self.steps(size):.2g} × the steps, each "
            f"{self.seconds[size] / self.seconds[self.now]:.2g} × as long; {noise}"
        )

    def record(self) -> dict[str, Any]:
        """What tune.json says of it."""
        rows = [{"batch_size": size, "seconds_of_a_step": seconds, "steps": self.steps(size),
                 "time": self.time(size)} for size, seconds in self.seconds.items()]  # fmt: skip
        return {
            "noise_scale": self.noise,
            "fastest": self.options(self.fastest),
            "batch_sizes": rows,
        }


def batch_sizes(
    spec: RunSpec, split: Split, objects: Objects = NO_OBJECTS
) -> tuple[BatchSizes | None, float]:
    """What batch sizes cost, of a run whose learning rate is good; and the trainings that it took.

    None where the noise is not known: of few examples, of a model whose gradient cannot be taken
    example by example, or where the training diverged.

    Args:
        spec: of the run.
        split: its data.
        objects: of which the spec says only what identifies them.
    """
    job = _job(spec, split, objects)
    whole = spec.epochs * len(job.train)
    now = spec.batch_size
    assert now is not None
    noise, epochs = _noise(job)
    if noise is None:
        return None, epochs / spec.epochs
    most = min(LARGEST, len(job.train) // FEWEST_STEPS)
    powers = [2**k for k in range(15) if 2**k <= most]
    seconds, examples = {}, epochs * len(job.train)
    for size in sorted({now, *powers}):
        still = {"batch_size": size, "lr": STILL * float(spec.lr)}
        try:
            sized = _job(spec.model_copy(update=still), split, objects)
        except InputError:  # with --accumulate, more than there are
            continue
        try:
            seconds[size], steps = _seconds_of_a_step(sized, size)
        except ValueError:  # one example is less than a batch norm can take
            continue
        examples += steps * size
    power = 1.0 if spec.method in UNSCALED else 0.5
    found = BatchSizes(noise, now, float(spec.lr), spec.epochs, seconds, power)
    return found, examples / whole


def _job(spec: RunSpec, split: Split, objects: Objects) -> Job:
    """The job of a run of which nothing is evaluated on the way."""
    with torch.random.fork_rng():
        job = prepare(spec, split, objects=objects)
    return replace(
        *(job,), validation=None, selection=NOTHING_SELECTED, measured=False, log_every=10**9
    )


def _noise(job: Job) -> tuple[float | None, int]:
    """The noise scale over the first epochs of a run, and how many they were."""
    epochs = max(1, round(PART * job.epochs))
    steps = epochs * job.sampling.steps
    models: list[nn.Module] = []

    def see(execution: Execution, step: int, w: Tensor) -> None:
        model = copy.deepcopy(execution.model).cpu().eval()
        vector_to_parameters(w, (p for p in model.parameters() if p.requires_grad))
        models.append(model)

    looks = sorted({math.ceil(steps * (k + 1) / LOOKS) for k in range(LOOKS)})
    short = replace(job, model=copy.deepcopy(job.model), epochs=epochs)
    if not _executed(short, looks, see) or not all(
        bool(p.isfinite().all()) for model in models for p in model.parameters()
    ):
        return None, epochs
    data = job.train.subset(slice(0, EXAMPLES)).to(dtype=job.dtype, device="cpu")
    return noise_scale(models, job.loss.cpu(), data, len(job.train)), epochs


def _seconds_of_a_step(job: Job, size: int) -> tuple[float, int]:
    """The least of some times of a step, and how many steps were taken."""
    timed = max(1, TIMED // size)
    marks = [WARM + timed * k for k in range(REPEATS + 1)]
    times: list[float] = []
    short = replace(
        *(job,), model=copy.deepcopy(job.model), epochs=math.ceil(marks[-1] / job.sampling.steps)
    )
    _executed(short, marks, lambda execution, step, w: times.append(time.perf_counter()))
    return min(after - before for before, after in pairwise(times)) / timed, marks[-1]


def _executed(job: Job, looks: list[int], see: Callable[[Execution, int, Tensor], None]) -> bool:
    """Train, and look after these steps, the last of which ends it; whether it came there."""

    def looked(step: int, w: Tensor) -> None:
        see(begun[0], step, w)
        if step == looks[-1]:
            raise _Enough

    begun: list[Execution] = []
    course = Course(watch=Watch(looks, looked), attach=begun.append)
    engine, _ = choose.chosen("auto", job)
    with torch.random.fork_rng():
        torch.manual_seed(job.seed)
        try:
            outcome = choose.execute(engine, job, lambda progress: None, course)
        except _Enough:
            return True
    if outcome.status == "interrupted":
        raise KeyboardInterrupt
    return False
