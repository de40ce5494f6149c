"""The engine that runs dense networks in C++: the history of the eager engine, many times faster.

The kernels take all steps of a call by themselves; Python chooses the batches, looks at the losses
every tenth of a second, and keeps the record.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gradus import kernels
from gradus.data.dataset import Dataset
from gradus.engine import dense
from gradus.engine.job import Job, Outcome, Report
from gradus.engine.journal import Journal

CALL_SECONDS = 0.1
"""How long a call of the kernels may last: in between, the run can be interrupted and reports."""


def obstacle(job: Job) -> str | None:
    """Why this engine does not run the job, as one sentence; None where it does."""
    if reason := kernels.absence():
        return reason
    try:
        dense.check(job)
    except dense.Obstacle as found:
        return f"the native engine does not run {found}"
    return None


def execute(job: Job, report: Report = lambda progress: None) -> Outcome:
    """Take the steps of a job, leaving the parameters where they end in its model.

    The record is that of the eager engine but for rounding, for any number of threads the same to
    the bit. It reports after every call of the kernels, which take as many steps at once as fit
    into a tenth of a second.

    A run ends early as ``diverged`` at the first loss that is not finite, before its step, and as
    ``interrupted`` on KeyboardInterrupt; what it has recorded until then is kept.

    Raises:
        Obstacle: the job is not one that the kernels run; ask ``obstacle`` first.
    """
    return _Execution(job, report).run()


class _Execution:
    """One run under way."""

    def __init__(self, job: Job, report: Report) -> None:
        self.job = job
        self.model = job.model.to(dtype=job.dtype)
        self.journal = Journal(job, job.test.to(dtype=job.dtype), report)
        self.dense = dense.network_of(job.model)
        core: Any = kernels.core()
        bits = 32 if job.dtype == torch.float32 else 64
        train = job.train.to(dtype=job.dtype)
        loss = dense.loss_of(job.loss, train, self.dense.widths[-1])
        rule = dense.method_of(job.method)
        self.size = job.sampling.n if job.sampling.name == "full" else job.sampling.batch_size
        self.network = getattr(core, f"Network{bits}")(
            kernels.variant(),
            self.dense.widths,
            self.dense.activations,
            [linear.bias is not None for linear in self.dense.linears],
            self.dense.log_softmax,
            getattr(core, f"Risk{bits}")(*loss),
            core.Method(**rule),
            core.Penalty(**dense.penalty_of(job.penalty, job.method)),
            self.size,
            torch.get_num_threads(),
        )
        for index, (weight, bias) in enumerate(self._arrays()):
            self.network.set(index, weight, bias)
        self.data = getattr(core, f"Data{bits}")(**_arrays_of(train))
        self.queries_ahead = rule["rule"] == "nesterov"
        self.aheads = dense.aheads_of(job.method)
        self.calls = _Calls()

    def run(self) -> Outcome:
        outcome = self.journal.outcome
        try:
            for epoch in range(1, self.job.epochs + 1):
                train_loss = self._train(epoch)
                self._assign()
                if train_loss is not None:
                    self.journal.evaluate(epoch, train_loss, self.model)
                if outcome.status != "finished":
                    break
        except KeyboardInterrupt:
            self._assign()
            outcome.status = "interrupted"
        return outcome

    def _train(self, epoch: int) -> float | None:
        """One pass: the mean of the losses that the method saw, or None where it diverged."""
        started, sampling = time.perf_counter(), self.job.sampling
        order = sampling.order(epoch - 1).numpy()
        losses = np.empty(sampling.steps)
        at = 0
        try:
            while at < sampling.steps:
                until = min(at + self.calls.steps(), sampling.steps)
                if not self._call(epoch, order, losses, at, until):
                    return None
                self.journal.tell(epoch)
                at = until
        finally:
            self.journal.outcome.train_seconds += time.perf_counter() - started
        sizes = np.full(sampling.steps, self.size)
        sizes[-1] = len(order) - self.size * (sampling.steps - 1)
        return float(np.average(losses, weights=sizes))

    def _call(
        self, epoch: int, order: NDArray[np.int64], losses: NDArray[np.float64], at: int, until: int
    ) -> bool:
        """Take the steps of an epoch from ``at`` to ``until``; False where the run diverged."""
        step, steps = self.journal.outcome.step, until - at
        rates = np.array([self.journal.lr(step + i) for i in range(steps)])
        given: dict[str, Any] = {}
        seen = losses[at:until]
        logged = seen
        if self.queries_ahead:
            logged = np.empty(steps)
            given["aheads"] = np.fromiter(itertools.islice(self.aheads, steps), np.float64)
            given["wanted"] = np.arange(at, until) % self.job.log_every == 0
            given["losses_at_iterate"] = logged
        batches = order[at * self.size : until * self.size]
        started = time.perf_counter()
        try:
            self.network.run(self.data, batches, self.size, rates, seen, **given)
        finally:  # interrupted or not: what was done is written down
            taken = self.network.steps - step
            self.calls.took(time.perf_counter() - started, taken)
            self._note(epoch, at, seen[:taken].tolist(), logged[:taken].tolist(), len(batches))
        if taken < steps:
            self.journal.diverged(step + taken, epoch, float(seen[taken]))
        return bool(taken == steps)

    def _note(
        self, epoch: int, at: int, losses: list[float], logged: list[float], examples: int
    ) -> None:
        """Write down steps that were taken, of which the first has this index in its epoch."""
        journal, left = self.journal, examples
        for index, (loss, loss_at_iterate) in enumerate(zip(losses, logged, strict=True), start=at):
            size = min(self.size, left)
            left -= size
            if index % self.job.log_every == 0:
                journal.log(epoch, journal.outcome.samples + size, loss_at_iterate)
            journal.last_loss = loss
            journal.stepped(1, size)

    def _assign(self) -> None:
        """Bring the model to where the network stands."""
        for index, (weight, bias) in enumerate(self._arrays()):
            self.network.get(index, weight, bias)

    def _arrays(self) -> Iterator[tuple[NDArray[Any], NDArray[Any] | None]]:
        """The parameters of every layer, in the memory of the model."""
        for linear in self.dense.linears:
            bias = None if linear.bias is None else linear.bias.detach().numpy()
            yield linear.weight.detach().numpy(), bias


class _Calls:
    """How many steps fit into a call."""

    def __init__(self) -> None:
        self._steps = 1

    def steps(self) -> int:
        return self._steps

    def took(self, seconds: float, steps: int) -> None:
        if steps:
            fitting = math.floor(CALL_SECONDS * steps / max(seconds, 1e-9))
            self._steps = max(1, min(fitting, 8 * self._steps))


def _arrays_of(data: Dataset) -> dict[str, Any]:
    """The examples as the kernels take them."""

    def flat(values: Tensor) -> NDArray[Any]:
        """One number for every feature."""
        return values.broadcast_to(data.input_shape).flatten().contiguous().numpy()

    arrays: dict[str, Any] = {"x": data.x.flatten(1).contiguous().numpy(), "scale": data.scale}
    arrays["numbers" if data.y.is_floating_point() else "classes"] = data.y.contiguous().numpy()
    if data.mean is not None:
        arrays["mean"] = flat(data.mean)
    if data.std is not None:
        arrays["deviation"] = flat(data.std)
    return arrays
