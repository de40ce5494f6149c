"""The engine that runs any module on any device, by the pure equations."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gradus.engine.job import Job, Outcome, Report
from gradus.engine.journal import Journal
from gradus.errors import NotPositiveDefiniteError
from gradus.methods.second_order import SecondOrder
from gradus.risk.curvature import Curvature
from gradus.risk.empirical import Batch, EmpiricalRisk
from gradus.risk.tensors import Tensors


@dataclass
class Seen:
    """What the method saw first in a step: where it stood, and the mean loss there."""

    point: Tensors | None = None
    loss: Tensor = field(default_factory=lambda: torch.tensor(math.nan))
    seed: int = 0
    """Of what is random in the model, the same for all evaluations of the step."""


class Watched:
    """The risk as the method sees it, remembering the first evaluation of every step.

    The engine records the loss that the first gradient came with: nothing is evaluated twice, and
    what a line search tries afterwards is not taken for the loss of the step. For the same reason
    only the first evaluation moves the running statistics of layers such as batch normalisation.

    Args:
        moving: the risk whose evaluations move running statistics.
        resting: the same risk, whose evaluations change nothing.
        repeats: whether the method evaluates f more than once a step. Dropout then draws the same
            units in all evaluations of a step, so that they are evaluations of one function.
        seen: shared with the risk that this one is a part of.
    """

    def __init__(
        self,
        moving: EmpiricalRisk,
        resting: EmpiricalRisk,
        *,
        repeats: bool,
        seen: Seen | None = None,
    ) -> None:
        self.moving, self.resting, self.repeats = moving, resting, repeats
        self.seen = Seen() if seen is None else seen
        self.penalty = moving.penalty

    @cached_property
    def smooth(self) -> Watched:
        """The risk without its penalty, watched by the same eyes."""
        if self.penalty is None:
            return self
        parts = self.moving.smooth, self.resting.smooth
        return Watched(*parts, repeats=self.repeats, seen=self.seen)

    def gradient(self, w: Tensors, batch: Batch | None = None) -> Tensors:
        """The gradient of f at w."""
        return self._loss_and_gradient(w, batch)[1]

    def value_and_gradient(self, w: Tensors, batch: Batch | None = None) -> tuple[Tensor, Tensors]:
        """F and its gradient at w."""
        loss, g = self._loss_and_gradient(w, batch)
        return (loss if self.penalty is None else loss + self.penalty.value(w)), g

    def value(self, w: Tensors, batch: Batch | None = None) -> Tensor:
        """F at w."""
        with self._random():
            return self.resting.value(w, batch)

    def hvp(self, w: Tensors, v: Tensors, batch: Batch | None = None) -> Tensors:
        """The Hessian of f at w, times v."""
        with self._random():
            return self.resting.hvp(w, v, batch)

    def curvature_at(self, w: Tensors, batch: Batch | None = None) -> Curvature[Tensors]:
        """The Hessian of f at w, for many products."""
        with self._random():
            return self.resting.curvature_at(w, batch)

    def hessian(self, w: Tensors, batch: Batch | None = None) -> Tensor:
        """The Hessian of f at w."""
        with self._random():
            return self.resting.hessian(w, batch)

    def gauss_newton(self, w: Tensors, batch: Batch | None = None) -> Tensor:
        """The Gauss-Newton matrix of f at w."""
        with self._random():
            return self.resting.gauss_newton(w, batch)

    def _loss_and_gradient(self, w: Tensors, batch: Batch | None = None) -> tuple[Tensor, Tensors]:
        if self.seen.point is not None:
            with self._random():
                return self.resting.loss_and_gradient(w, batch)
        if self.repeats:
            self.seen.seed = int(torch.randint(2**62, ()))
        with self._random():
            loss, g = self.moving.loss_and_gradient(w, batch)
        self.seen.point, self.seen.loss = w, loss
        return loss, g

    @contextmanager
    def _random(self) -> Iterator[None]:
        """What the model draws within is what it drew before in this step."""
        if not self.repeats:
            yield
            return
        with torch.random.fork_rng():
            torch.manual_seed(self.seen.seed)
            yield


def execute(job: Job, report: Report = lambda progress: None) -> Outcome:
    """Take the steps of a job, leaving the parameters where they end in its model.

    The record does not depend on the speed of the machine: on a CPU every loss is looked at before
    its step is accepted; elsewhere, where looking means waiting for the device, at every logged
    row and at the end of the epoch.

    A run ends early as ``diverged`` at the first loss that is not finite, as ``stopped`` where the
    method cannot take its next step, and as ``interrupted`` on KeyboardInterrupt; what it has
    recorded until then is kept.

    Raises:
        NotPositiveDefiniteError: the method cannot even take its first step.
    """
    return _Execution(job, report).run()


class _Execution:
    """One run under way."""

    def __init__(self, job: Job, report: Report) -> None:
        self.job = job
        self.model = job.model.to(device=job.device, dtype=job.dtype)
        train = job.train.to(device=job.device, dtype=job.dtype)
        test = job.test.to(device=job.device, dtype=job.dtype)
        self.risk = EmpiricalRisk(self.model, job.loss, train, job.penalty, update_buffers=True)
        self.resting = EmpiricalRisk(self.model, job.loss, train, job.penalty)
        self.oracle = Watched(self.risk, self.resting, repeats=isinstance(job.method, SecondOrder))
        self.looks_at_every_step = job.device.type == "cpu"
        self.journal = Journal(job, test, report)
        self.w = self.risk.parameters
        self.state: Any = job.method.init(self.w)

    def run(self) -> Outcome:
        outcome = self.journal.outcome
        try:
            for epoch in range(1, self.job.epochs + 1):
                train_loss = self._train(epoch)
                self.risk.assign(self.w)
                if train_loss is not None:
                    self.journal.evaluate(epoch, train_loss, self.model)
                if outcome.status != "finished":
                    break
        except KeyboardInterrupt:
            self.risk.assign(self.w)
            outcome.status = "interrupted"
        return outcome

    def _train(self, epoch: int) -> float | None:
        """One pass: the mean of the losses that the method saw, or None where it ended early."""
        job, journal, started = self.job, self.journal, time.perf_counter()
        outcome = journal.outcome
        torch.manual_seed(_seed_of(job.seed, epoch))
        self.model.train()
        seen: list[Tensor] = []
        sizes: list[int] = []
        looked_at: list[float] = []
        try:
            for index, batch in enumerate(job.sampling.epoch(epoch - 1, device=job.device)):
                size = batch.stop - batch.start if isinstance(batch, slice) else len(batch)
                self.oracle.seen.point = None
                try:
                    w, state = job.method.step(self.oracle, self.w, self.state, batch)
                except NotPositiveDefiniteError as error:
                    if outcome.step == 0:
                        raise
                    outcome.status, outcome.stopped = "stopped", str(error)
                    return None
                seen.append(self.oracle.seen.loss)
                sizes.append(size)
                logged = index % job.log_every == 0
                if logged or self.looks_at_every_step or index + 1 == job.sampling.steps:
                    first = outcome.step + 1 - len(seen)
                    values = torch.stack(seen).tolist()
                    seen.clear()
                    for step, value in enumerate(values, start=first):
                        if not math.isfinite(value):
                            journal.diverged(step, epoch, value)
                            return None
                        journal.last_loss = value
                    looked_at += values
                if logged:
                    journal.log(epoch, outcome.samples + size, self._loss_at_iterate(batch))
                self.w, self.state = w, state
                journal.stepped(1, size)
                journal.tell(epoch)
        finally:
            outcome.train_seconds += time.perf_counter() - started
        return float(np.average(looked_at, weights=sizes))

    def _loss_at_iterate(self, batch: Batch) -> float:
        """The mean loss of the batch at w_t, where the method may not have looked."""
        loss = self.oracle.seen.loss
        if self.oracle.seen.point is not self.w:
            with torch.random.fork_rng():  # logging draws nothing that training would draw
                loss = self.resting.mean_loss(self.w, batch)
        return loss.item()


def _seed_of(seed: int, epoch: int) -> int:
    """One seed for what is random within an epoch, so that a run can start at any epoch."""
    return int(np.random.SeedSequence(seed, spawn_key=(1, epoch)).generate_state(1, np.uint64)[0])
